"""`python -m tests.load`: starts the app, sends many visitors, says what they saw; exit code 1 when it is wrong.

Wrong are: a result that is not the photo's own, a good photo refused, a bad file taken or refused without a sentence,
more jobs at once than one, more waiting than there are places, a place in the queue that gets worse, and a server that
is not idle soon after the last visitor has left. Memory is reported, and wrong when it grew by more than `--megabytes`.

With `--chaos 20` the server is killed in the middle of a job, every 20 seconds at most, and started again: visitors may
lose their connection then, but no result may be another's, and nothing half-written may be left.
"""

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from tests.load.host import Host, half_written, kill_again_and_again
from tests.load.visitor import Tally, Visitor

IDLE_SECONDS, PATIENCE_IN_CHAOS = 30.0, 20.0


@dataclass
class Watch:
    """What the server says of itself meanwhile."""

    running: int = 0
    waiting: int = 0
    places: int = 0
    failures: int = 0
    slowest: float = 0.0
    megabytes: list[float] = field(default_factory=list)


@contextmanager
def served(command: list[str], folder: Path) -> Iterator[Host]:
    """A server of its own."""
    host = Host(command, folder)
    try:
        yield host
    finally:
        host.end()


def resident_megabytes(pid: int) -> float:
    """Memory of a process and its children (Linux; 0 elsewhere)."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6 + sum(resident_megabytes(int(child)) for child in children)


def look(host: Host, watch: Watch, stop: threading.Event) -> None:
    """Asks `/healthz` four times a second."""
    while not stop.wait(0.25):
        began, kills = time.monotonic(), host.kills
        try:
            queue = httpx.get(f"{host.url}/healthz", timeout=30).json()["queue"]
        except (httpx.HTTPError, ValueError):
            watch.failures += not host.down and kills == host.kills
            continue
        watch.slowest = max(watch.slowest, time.monotonic() - began)
        watch.running, watch.waiting = max(watch.running, queue["running"]), max(watch.waiting, queue["waiting"])
        watch.places = queue["places"]
        watch.megabytes.append(resident_megabytes(host.pid))


def idle(url: str) -> bool:
    """Whether nothing runs and nothing waits soon."""
    deadline = time.monotonic() + IDLE_SECONDS
    while time.monotonic() < deadline:
        queue = httpx.get(f"{url}/healthz", timeout=30).json()["queue"]
        if (queue["running"], queue["waiting"]) == (0, 0):
            return True
        time.sleep(0.5)
    return False


def send(host: Host, folder: Path, options: argparse.Namespace) -> tuple[Tally, Watch]:
    """Lets all visitors in at once, and waits until the last has left."""
    tally, watch, stop, calm = Tally(), Watch(), threading.Event(), threading.Event()
    brave = PATIENCE_IN_CHAOS if options.chaos else None
    visitors = [
        Visitor(host.url, options.seed + n, folder / str(n), tally, options.block, patience=brave)
        for n in range(options.clients)
    ]
    watcher = threading.Thread(target=look, args=(host, watch, stop))
    killer = threading.Thread(target=kill_again_and_again, args=(host, options.chaos, calm))
    until = time.monotonic() + options.seconds
    threads = [threading.Thread(target=visitor.stay, args=(until,)) for visitor in visitors]
    for thread in (watcher, *threads, *([killer] if options.chaos else [])):
        thread.start()
    calm.wait(max(0.0, until - time.monotonic()))
    calm.set()
    for thread in threads:
        thread.join()
    if options.chaos:
        killer.join()
    if not idle(host.url):
        tally.complain(f"jobs still ran {IDLE_SECONDS:g} s after the last visitor had left")
    stop.set()
    watcher.join()
    for sentence in half_written(host.cache):
        tally.complain(sentence)
    return tally, watch


def judge(tally: Tally, watch: Watch, options: argparse.Namespace) -> dict[str, Any]:
    """The report; everything wrong stands under "wrong"."""
    wrong = list(tally.wrong)
    if watch.running > 1:
        wrong.append(f"{watch.running} jobs ran at once")
    if watch.waiting > watch.places or tally.highest_rank >= max(watch.places, 1):
        wrong.append(f"{watch.waiting} waited, at place {tally.highest_rank}, where there are {watch.places}")
    if watch.failures:
        wrong.append(f"/healthz did not answer {watch.failures} times")
    memory = watch.megabytes or [0.0]
    settled = max(memory[: max(1, len(memory) // 3)])
    growth = 0 if tally.kills else max(memory) - settled  # a new process begins anew
    if growth > options.megabytes:
        wrong.append(f"memory grew by {growth:.0f} MB")
    if options.chaos and not tally.kills:
        wrong.append("nothing was killed")
    if not any(outcome.startswith("/") for outcome in tally.outcomes):
        wrong.append("no photo was restored")
    return {
        "clients": options.clients,
        "seconds": options.seconds,
        "kills": tally.kills,
        "outcomes": dict(sorted(tally.outcomes.items())),
        "latency": {name: percentiles(values) for name, values in sorted(tally.seconds.items())},
        "queue": {"running": watch.running, "waiting": watch.waiting, "places": watch.places},
        "slowest_health_seconds": round(watch.slowest, 2),
        "megabytes": {"begin": round(memory[0]), "settled": round(settled), "most": round(max(memory))},
        "wrong": wrong,
    }


def percentiles(values: list[float]) -> dict[str, float]:
    """Seconds."""
    return {f"p{p}": round(float(np.percentile(values, p)), 2) for p in (50, 90, 99)}


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.load", description=__doc__.partition("\n")[0])
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=180)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--block", type=int, default=64, help="the largest photo is 6 x 8 squares of so many pixels")
    parser.add_argument("--megabytes", type=float, default=300, help="how much the server may grow once it has settled")
    parser.add_argument("--chaos", type=float, default=0.0, help="kill the server mid-job, every so many seconds")
    parser.add_argument("--fake", action="store_true", help="on the fake networks of the tests")
    parser.add_argument("--json", type=Path, help="where to write the report")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    options = arguments(argv)
    command = [sys.executable, "-m", "tests.ui.fake_app"] if options.fake else [sys.executable, "app.py"]
    with tempfile.TemporaryDirectory() as name, served(command, Path(name)) as host:
        tally, watch = send(host, Path(name) / "visitors", options)
        tally.kills = host.kills
    report = judge(tally, watch, options)
    text = json.dumps(report, indent=2)
    if options.json:
        options.json.write_text(text + "\n")
    print(text)
    return 1 if report["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
