"""The memory that calls take: every runner of a card in a process of its own, small pictures first, two at a time.

Memory, unlike time, does not depend on what else the machine does.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import torch

from benchmarks import children
from benchmarks.children import ChildFailed
from benchmarks.peers import cannot_run
from benchmarks.plan import Race, Size, sizes_of
from benchmarks.races import OURS, Racer
from benchmarks.subjects import subjects
from benchmarks.timing import available_megabytes, peak_memory
from restoration.errors import RestorationError

SECONDS = 600.0
ROOM = 0.8  # of the memory that is free, for a peer
_AT_ONCE = 2

Known = float | str | None
"""Megabytes, the reason why they are not known, or None where this machine does not tell."""


class MemoryUnknown(RestorationError):
    """Ours failed while its memory was measured."""


def measure(races: Iterable[Race], *, backend: str) -> dict[tuple[str, Size, str], Known]:
    """(card, size, runner) -> the memory one call adds, for ours and for every peer that can run here.

    Raises:
        MemoryUnknown: ours failed. (Where it only takes too long, that is the reason told.)
    """
    sizes: dict[tuple[str, str], list[Size]] = {}
    for race in races:
        for runner in (OURS, *(name for name in race.peers if cannot_run(name) is None)):
            sizes.setdefault((race.card.name, runner), []).append(race.size)

    def one(key: tuple[str, str]) -> dict[Size, Known]:
        card, runner = key
        return _of_runner(card, runner, sorted(sizes[key]), backend)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found = list(pool.map(one, sizes))
    return {
        (card, size, runner): value
        for (card, runner), known in zip(sizes, found, strict=True)
        for size, value in known.items()
    }


def _of_runner(card: str, runner: str, sizes: list[Size], backend: str) -> dict[Size, Known]:
    words = (card, runner, torch.get_num_threads(), backend, *(f"{height}x{width}" for height, width in sizes))
    try:
        return dict(zip(sizes, children.run("memory", *words, seconds=SECONDS), strict=True))
    except ChildFailed as failure:
        ended = "it took more than" not in str(failure)
        if runner == OURS and ended:
            raise MemoryUnknown(f"The memory of {card} cannot be measured: {failure}.") from failure
        reason = str(failure) if ended else f"measuring its memory took more than {SECONDS:.0f} seconds"
        return dict.fromkeys(sizes, reason) | dict(zip(sizes, failure.values, strict=False))


def main(name: str, runner: str, threads: str, backend: str, *sizes: str) -> None:
    """In the child: a picture of 128 x 128 first, so that code and weights do not count."""
    torch.set_num_threads(int(threads))
    (card,) = subjects([name])
    racer = Racer(card, backend=backend, peers=() if runner == OURS else (runner,))
    if runner == OURS:
        racer.engine.warm([card])
    else:
        _refuse_memory_beyond(ROOM * available_megabytes())
    racer.calls(sizes_of(card, [(128, 128)])[0])[runner]()
    for height, width in (map(int, size.split("x")) for size in sizes):
        print(json.dumps(peak_memory(racer.calls((height, width))[runner])), flush=True)


def _refuse_memory_beyond(megabytes: float) -> None:
    """Lets this process fail before the machine does."""
    try:
        import resource
    except ImportError:  # not on Windows
        return
    if megabytes < float("inf"):
        resource.setrlimit(resource.RLIMIT_DATA, (int(megabytes * 2**20), resource.RLIM_INFINITY))


if __name__ == "__main__":
    main(*sys.argv[1:])
