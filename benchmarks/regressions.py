"""What got worse against an older result: by ratios and memory only, since another machine has other seconds.

And what could not be compared, so that a check that compares nothing fails.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

SLOWER, LARGER, LARGER_MEGABYTES = 0.8, 1.25, 40.0  # what passes: noise
_HIGHER_IS_BETTER = {"torch-path", "int8"}  # of the trials' ratios; the others tell how much longer something takes


def regressions(result: dict[str, Any], before: dict[str, Any]) -> Iterator[str]:
    """A sentence for every ratio that fell, and every memory peak that grew, beyond what is noise."""
    old = {_place(row): row for row in before["rows"]}
    for row in result["rows"]:
        known = old.get(_place(row))
        if known is None:
            continue
        name = f"{row['model']} at {row['width']}x{row['height']}"
        for peer, told in known["peers"].items():
            now = row["peers"].get(peer)
            if now and now["ratio"] < SLOWER * told["ratio"]:
                yield f"{name} was {told['ratio']:.2f} times as fast as {peer} and is now {now['ratio']:.2f}."
        yield from _larger(name, row, known)
    for name, known in before.get("trials", {}).items():
        yield from _trial(name, result.get("trials", {}).get(name, {}), known)


def uncompared(
    result: dict[str, Any], before: dict[str, Any], models: Sequence[str] | None = None, *, trials: bool = True
) -> Iterator[str]:
    """A sentence for every known ratio, at the sizes measured now, that is not here to be compared; or one for all.

    Args:
        models: the only ones that were to be measured; None = all.
        trials: whether the trials were to be run, too.
    """
    now = {_place(row): row["peers"] for row in result["rows"]}
    old = {_place(row): row["peers"] for row in before["rows"]}
    sizes = {place[1:] for place in now}
    for place, peers in old.items():
        missing = [peer for peer in peers if peer not in now.get(place, ())]
        if missing and place[1:] in sizes and (models is None or place[0] in models):
            name, width, height = place
            yield f"{name} at {width}x{height} was raced against {' and '.join(missing)}, and is not now."
    for name, known in before.get("trials", {}).items() if trials else ():
        missing_now = result.get("trials", {}).get(name, {"failed": "it was not run"}).get("failed")
        if missing_now is not None and "failed" not in known:
            yield f"{name} was measured, and is not now: {missing_now}."
    common = now.keys() & old.keys()
    if not common:
        yield f"Nothing was compared: the result of {before['date']} has none of these models at these sizes."
    elif any(now[place] for place in common) and not any(now[place] and old[place] for place in common):
        yield f"No ratio was compared: the result of {before['date']} was measured without peers."


def _trial(name: str, now: dict[str, Any], known: dict[str, Any]) -> Iterator[str]:
    if "ratio" in now and "ratio" in known:
        faster = now["ratio"] / known["ratio"] if name in _HIGHER_IS_BETTER else known["ratio"] / now["ratio"]
        if faster < SLOWER:
            yield f"The ratio of {name} was {known['ratio']:.2f} and is now {now['ratio']:.2f}."
    yield from _larger(name, now, known)


def _larger(name: str, now: dict[str, Any], known: dict[str, Any]) -> Iterator[str]:
    memory, then = now.get("peak_megabytes"), known.get("peak_megabytes")
    if memory is not None and then is not None and memory > LARGER * then + LARGER_MEGABYTES:
        yield f"{name} took {then:.0f} MB and now takes {memory:.0f}."


def _place(row: dict[str, Any]) -> tuple[str, int, int]:
    return row["model"], row["width"], row["height"]
