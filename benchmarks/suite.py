"""The whole benchmark: every race, one dated JSON file, one plot, and the comparison with an older result."""

from __future__ import annotations

import datetime
import json
import platform
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.races import Racer, check_peers, race, sizes_of
from benchmarks.timing import roofline
from restoration.card import ModelCard
from restoration.errors import DataError
from restoration.training.run_folder import environment

RESULTS = Path(__file__).resolve().parent / "results"
SIZES = ((256, 256), (720, 1280), (3000, 4000))  # (height, width)
CHECK_SIZES = SIZES[:2]
_SLOWER, _LARGER, _LARGER_MEGABYTES = 0.8, 1.25, 40.0  # what `regressions` lets pass: noise

Say = Callable[[str], None]


def run(
    cards: Sequence[ModelCard],
    sizes: Sequence[tuple[int, int]] = SIZES,
    *,
    peers: bool = False,
    backend: str = "auto",
    memory: bool = True,
    say: Say = print,
) -> dict[str, Any]:
    """Measures cards at sizes.

    Args:
        cards: of `benchmarks.subjects.subjects`.
        sizes: (height, width) in pixels.
        peers: race the reference implementations too, after comparing their results.
        memory: measure memory as well, each in a process of its own.
        say: is told of every row when it is done.

    Returns: JSON values; `rows` holds one object a card and size.
    """
    roof = roofline()
    say("roofline: " + ", ".join(f"{speed:.0f} GF/s {precision}" for precision, speed in roof.items()))
    differences = {card.name: check_peers(card) for card in cards} if peers else {}
    rows = []
    for card in cards:
        racer = Racer(card, backend=backend, with_peers=peers)
        for size in sizes_of(card, list(sizes)):
            rows.append(race(racer, size, roof, memory=memory))
            say(line(rows[-1]))
            for name, note in rows[-1]["notes"].items():
                say(f"    {name}: {note}")
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "processor": environment(torch.device("cpu"), 1)["processor"],
        "threads": torch.get_num_threads(),
        "versions": {"torch": torch.__version__, "python": platform.python_version(), **_openvino_version()},
        "roofline_gigaflop_per_second": roof,
        "differences_from_peers": differences,
        "rows": rows,
    }


def line(row: dict[str, Any]) -> str:
    """A row for people."""
    size = f"{row['width']}x{row['height']}"
    speed = f"{row['seconds']:8.2f} s  {row['gigaflop_per_second']:5.0f} GF/s  {row['roofline_share']:4.0%}"
    memory = "" if row["peak_megabytes"] is None else f"  {row['peak_megabytes']:6.0f} MB"
    ratios = "".join(f"  {name} x{peer['ratio']:.2f}" for name, peer in row["peers"].items())
    where = f"{row['backend']} {row['precision']}"
    return f"{row['model']:24} {size:>10}  {where:13} {speed}{memory}{ratios}"


def write(result: dict[str, Any], folder: Path = RESULTS) -> Path:
    """Writes `speed-DATE.json` and `speed.png`; returns the path of the first."""
    from benchmarks.plot import draw

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"speed-{result['date']}.json"
    path.write_text(as_json(result) + "\n", encoding="utf-8")
    draw(result).save(folder / "speed.png", "PNG", optimize=True)
    return path


def as_json(result: dict[str, Any]) -> str:
    """The result as JSON text, floats to four significant digits; JSON has no infinity, so it becomes null."""
    return json.dumps(_rounded(result), indent=1, allow_nan=False)


def newest(folder: Path = RESULTS) -> dict[str, Any] | None:
    """The result with the latest date, or None.

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


def regressions(result: dict[str, Any], before: dict[str, Any]) -> Iterator[str]:
    """A sentence for every ratio to a peer that fell, and every memory peak that grew, beyond what is noise.

    Seconds are not compared: another machine, or a busy one, has others.
    """
    old = {_place(row): row for row in before["rows"]}
    for row in result["rows"]:
        known = old.get(_place(row))
        if known is None:
            continue
        name = f"{row['model']} at {row['width']}x{row['height']}"
        for peer, told in known["peers"].items():
            now = row["peers"].get(peer)
            if now and now["ratio"] < _SLOWER * told["ratio"]:
                yield f"{name} was {told['ratio']:.2f} times as fast as {peer} and is now {now['ratio']:.2f}."
        memory, then = row["peak_megabytes"], known["peak_megabytes"]
        if memory is not None and then is not None and memory > _LARGER * then + _LARGER_MEGABYTES:
            yield f"{name} took {then:.0f} MB and now takes {memory:.0f}."


def uncompared(result: dict[str, Any], before: dict[str, Any], models: Sequence[str] | None = None) -> Iterator[str]:
    """A sentence for every known ratio, at the sizes measured now, that is not here to be compared; or one for all.

    Args:
        models: the only ones that were to be measured; None = all.
    """
    now = {_place(row): row["peers"] for row in result["rows"]}
    old = {_place(row): row["peers"] for row in before["rows"]}
    sizes = {place[1:] for place in now}
    for place, peers in old.items():
        missing = [peer for peer in peers if peer not in now.get(place, ())]
        if missing and place[1:] in sizes and (models is None or place[0] in models):
            name, width, height = place
            yield f"{name} at {width}x{height} was raced against {' and '.join(missing)}, and is not now."
    common = now.keys() & old.keys()
    if not common:
        yield f"Nothing was compared: the result of {before['date']} has none of these models at these sizes."
    elif any(now[place] for place in common) and not any(now[place] and old[place] for place in common):
        yield f"No ratio was compared: the result of {before['date']} was measured without peers."


def _place(row: dict[str, Any]) -> tuple[str, int, int]:
    return row["model"], row["width"], row["height"]


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
