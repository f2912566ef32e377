"""The whole benchmark: memory, every race, every trial, one dated JSON file, one plot."""

from __future__ import annotations

import datetime
import json
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks import memory, races, trials
from benchmarks.plan import Plan, full, left_out
from benchmarks.races import OURS, Racer, check_peers
from benchmarks.subjects import subjects
from benchmarks.timing import roofline
from restoration.errors import DataError
from restoration.training.run_folder import environment

RESULTS = Path(__file__).resolve().parent / "results"

Say = Callable[[str], None]


def run(plan: Plan, *, backend: str = "auto", with_memory: bool = True, say: Say = print) -> dict[str, Any]:
    """Measures what a plan holds.

    Args:
        with_memory: measure memory as well, each runner in a process of its own.
        say: is told of every row when it is done.

    Returns: JSON values. `rows` holds one object a card and size, `trials` one a name; `left_out` says what a full run
        has and this one lacks, for whatever reason: only where it is empty was everything measured.
    """
    began = time.perf_counter()
    roof = roofline()
    say("roofline: " + ", ".join(f"{speed:.0f} GF/s {precision}" for precision, speed in roof.items()))
    needed = memory.measure(plan.races, backend=backend) if with_memory else {}
    differences, rows = _raced(plan, backend, roof, needed, say)
    result: dict[str, Any] = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "processor": environment(torch.device("cpu"), 1)["processor"],
        "threads": torch.get_num_threads(),
        "versions": {"torch": torch.__version__, "python": platform.python_version(), **_openvino_version()},
        "roofline_gigaflop_per_second": roof,
        "differences_from_peers": differences,
        "rows": rows,
        "trials": trials.run(plan.trials, backend=backend, say=say),
    }
    result["seconds"] = time.perf_counter() - began
    return result | {"left_out": list(left_out(result, full(subjects())))}


def _raced(
    plan: Plan, backend: str, roof: dict[str, float], needed: dict[Any, memory.Known], say: Say
) -> tuple[dict[str, dict[str, float]], list[dict[str, Any]]]:
    """The differences of the peers by card, and the rows; a card's network is built once."""
    differences, rows = {}, []
    for name in dict.fromkeys(each.card.name for each in plan.races):
        own = [each for each in plan.races if each.card.name == name]
        peers = {peer for each in own for peer in each.peers}
        differences[name] = check_peers(own[0].card, peers)
        racer = Racer(own[0].card, backend=backend, peers=peers)
        for each in own:
            known = {runner: needed[key] for runner in (OURS, *each.peers) if (key := (*each.place, runner)) in needed}
            rows.append(races.race(racer, each, roof, known))
            say(line(rows[-1]))
            for runner, note in rows[-1]["notes"].items():
                say(f"    {runner}: {note}")
    return differences, rows


def line(row: dict[str, Any]) -> str:
    """A row for people."""
    size = f"{row['width']}x{row['height']}"
    speed = f"{row['seconds']:8.2f} s  {row['gigaflop_per_second']:5.0f} GF/s  {row['roofline_share']:4.0%}"
    memory = "" if row["peak_megabytes"] is None else f"  {row['peak_megabytes']:6.0f} MB"
    ratios = "".join(f"  {name} x{peer['ratio']:.2f}" for name, peer in row["peers"].items())
    where = f"{row['backend']} {row['precision']}"
    return f"{row['model']:24} {size:>10}  {where:13} {speed}{memory}{ratios}"


def write(result: dict[str, Any], folder: Path = RESULTS) -> Path:
    """Writes the result of a full run as `speed-DATE.json` with `speed.png`; returns the path of the first.

    Any other becomes `partial-DATE.json`, which nothing reads: neither the README's table nor the check.
    """
    from benchmarks.plot import draw

    folder.mkdir(parents=True, exist_ok=True)
    kind = "partial" if lacking(result) else "speed"
    path = folder / f"{kind}-{result['date']}.json"
    path.write_text(as_json(result) + "\n", encoding="utf-8")
    if kind == "speed":
        draw(result).save(folder / "speed.png", "PNG", optimize=True)
    return path


def as_json(result: dict[str, Any]) -> str:
    """The result as JSON text, floats to four significant digits; JSON has no infinity, so it becomes null."""
    return json.dumps(_rounded(result), indent=1, allow_nan=False)


def newest(folder: Path = RESULTS) -> dict[str, Any] | None:
    """The result of a full run with the latest date, or None.

    Raises:
        DataError: it cannot be read.
    """
    paths = sorted(folder.glob("speed-*.json"))
    if not paths:
        return None
    try:
        return json.loads(paths[-1].read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"The result {paths[-1].name} cannot be read.") from error


def lacking(result: dict[str, Any]) -> list[str]:
    """What a result lacks of a full run, as it was when it was measured; older files do not tell."""
    return result.get("left_out", ["what a full run is, which this file does not tell"])


def _openvino_version() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return {"openvino": version("openvino")}
    except PackageNotFoundError:
        return {}


def _rounded(value: Any) -> Any:
    """Floats to four significant digits; infinite ones and NaN become None."""
    if isinstance(value, float):
        return float(f"{value:.4g}") if abs(value) < float("inf") else None
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    return [_rounded(each) for each in value] if isinstance(value, list) else value
