"""One race: a card at one size by the engine, and its peers; time in this process, memory in one of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks.peers import LARGEST_DIFFERENCE, difference, peers_of
from benchmarks.subjects import PUBLISHED, BenchmarkStore, calibrate, picture, subjects
from benchmarks.timing import available_megabytes, interleaved, peak_memory
from restoration.card import ModelCard
from restoration.errors import RestorationError
from restoration.images.document import ImageDocument
from restoration.images.limits import Limits
from restoration.inference.engine import Engine, finish
from restoration.inference.report import Report
from restoration.registry import Registry

OURS = "ours"
_MOST_PEER_GIGAFLOP = 5000.0  # a peer slower than minutes, and larger than memory, is not run
_CHECK_SIZE = (96, 128)
MEMORY_SECONDS = 1800
_ROOM = 0.8  # of the memory that is free, for a peer
_ROOT = Path(__file__).resolve().parent.parent


class ChildFailed(RestorationError):
    """The process that measures memory ended with an error, or did not end."""


class Racer:
    """A card, its engine, its network in plain fp32 and its peers.

    Args:
        card: one of `subjects`.
        backend: of the engine.
        with_peers: whether there is a race at all.
    """

    def __init__(self, card: ModelCard, *, backend: str = "auto", with_peers: bool = False) -> None:
        self.card, self.backend = card, backend
        store = BenchmarkStore()
        limits = Limits(output_megapixels=400)
        self.engine = Engine(Registry([card]), store, device="cpu", limits=limits, backend=backend)
        self.peers = peers_of(card, store.load(card)[0]) if with_peers and not card.observes else {}
        self.report: Report | None = None

    def ours(self, size: tuple[int, int]) -> Callable[[], object]:
        """A call of the engine: uint8 picture in, uint8 picture out, tiles and all."""
        document = ImageDocument(color=picture(*size))

        def call() -> None:
            self.report = finish(self.engine.stream(document, self.card)).report

        return call

    def calls(self, size: tuple[int, int]) -> dict[str, Callable[[], object]]:
        """What runs in turns at one size: the engine, and the peers that can be run here."""
        pixels = picture(*size)
        calls = {OURS: self.ours(size)}
        if self.gigaflop(size) <= _MOST_PEER_GIGAFLOP:
            calls |= {name: lambda peer=peer: peer(pixels) for name, peer in self.peers.items()}
        return calls

    def gigaflop(self, size: tuple[int, int]) -> float:
        """Of the whole picture, without the tiles' margins."""
        return self.card.gigaflop_per_megapixel * size[0] * size[1] / 1e6


def check_peers(card: ModelCard) -> dict[str, float]:
    """The difference of every peer from the network it races, on one small picture with the same statistics.

    Raises:
        AssertionError: one is beyond `LARGEST_DIFFERENCE`: then the race would compare two different things.
    """
    (size,) = sizes_of(card, [_CHECK_SIZE])
    pixels = picture(*size)
    network, _ = BenchmarkStore().load(card)
    if card.name == PUBLISHED:
        calibrate(network, pixels, residual=0.2)  # large, so that a difference shows
    peers = {} if card.observes else peers_of(card, network)  # those measure blur differently: nothing to race
    found = {name: difference(peer, network, pixels) for name, peer in peers.items()}
    for name, value in found.items():
        assert value <= LARGEST_DIFFERENCE, f"{name} differs from {card.name} by {value:.5f}"
    return found


def sizes_of(card: ModelCard, sizes: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The sizes a card is measured at: its only one, or those that are wanted."""
    fixed = card.size.fixed
    return [(fixed, fixed)] if fixed else sizes


def race(racer: Racer, size: tuple[int, int], roof: dict[str, float], *, memory: bool = True) -> dict[str, Any]:
    """One row of the result.

    `seconds` is end to end: with the picture's observation, where the network observes (`observe_seconds` of it), which
    `gigaflop` and `roofline_share` do not count. `notes` says by name why a peer was skipped or memory is not known.

    Raises:
        ChildFailed: ours cannot be measured.
    """
    card = racer.card
    racer.engine.warm([card])
    calls = racer.calls(size)
    needed, notes = _needed(racer, size, list(calls)) if memory else ({}, {})
    for name in racer.peers:
        if name not in calls:
            notes[name] = f"a picture would take it more than {_MOST_PEER_GIGAFLOP:.0f} GFLOP"
    skipped = [name for name in racer.peers if name in notes]
    seconds = interleaved({name: call for name, call in calls.items() if name not in skipped})
    report = racer.report
    assert report is not None
    gigaflop = racer.gigaflop(size)
    speed = gigaflop / seconds[OURS]
    peers = {
        name: {"seconds": seconds[name], "ratio": seconds[name] / seconds[OURS], "peak_megabytes": needed.get(name)}
        for name in seconds
        if name != OURS
    }
    return {
        "model": card.name, "weights": report.checkpoint, "width": size[1], "height": size[0],
        "backend": report.backend, "precision": report.precision, "tiles": report.tiles,
        "seconds": seconds[OURS], "observe_seconds": report.seconds.get("observe"),
        "gigaflop": gigaflop, "gigaflop_per_second": speed,
        "roofline_share": speed / roof[report.precision], "peak_megabytes": needed.get(OURS),
        "peers": peers, "skipped": skipped, "notes": notes,
    }  # fmt: skip


def _needed(racer: Racer, size: tuple[int, int], names: list[str]) -> tuple[dict[str, float | None], dict[str, str]]:
    """The memory of each runner, and why it is not known, or a peer cannot be run in this process.

    Raises:
        ChildFailed: ours failed. (Where it takes too long, its memory is not known.)
    """
    needed: dict[str, float | None] = {}
    notes: dict[str, str] = {}
    for name in names:
        try:
            needed[name] = _memory(racer, size, name)
        except subprocess.TimeoutExpired:
            notes[name] = f"measuring its memory took more than {MEMORY_SECONDS} seconds"
        except ChildFailed as failure:
            if name == OURS:
                raise
            notes[name] = str(failure)
    room = _ROOM * available_megabytes()
    too_large = {name: megabytes for name, megabytes in needed.items() if megabytes is not None and megabytes > room}
    for name, megabytes in too_large.items():
        if name != OURS:
            notes[name] = f"it takes {megabytes:.0f} MB, and {room:.0f} MB can be spared"
    return needed, notes


def _memory(racer: Racer, size: tuple[int, int], runner: str) -> float | None:
    """Peak megabytes added by one call, measured in a process of its own; None where it cannot be told.

    Raises:
        ChildFailed: it ended with an error.
        TimeoutExpired: it did not end.
    """
    facts = (racer.card.name, *size, runner, torch.get_num_threads(), racer.backend)
    child = subprocess.run(
        [sys.executable, "-m", "benchmarks.races", *map(str, facts)],
        cwd=_ROOT, capture_output=True, text=True, timeout=MEMORY_SECONDS, check=False,
    )  # fmt: skip
    if child.returncode:
        last = (child.stderr.strip().splitlines() or [f"it ended with code {child.returncode}"])[-1]
        raise ChildFailed(f"The memory of {runner} for {racer.card.name} cannot be measured: {last.rstrip('.')}.")
    return json.loads(child.stdout.splitlines()[-1])


def _measure_memory(name: str, size: tuple[int, int], runner: str, threads: int, backend: str) -> float | None:
    """In the child: a small picture first, so that code and weights do not count."""
    torch.set_num_threads(threads)
    (card,) = subjects([name])
    racer = Racer(card, backend=backend, with_peers=runner != OURS)
    (small,) = sizes_of(card, [(128, 128)])
    if runner == OURS:
        racer.engine.warm([card])
    else:
        _refuse_memory_beyond(_ROOM * available_megabytes())
    racer.calls(small)[runner]()
    return peak_memory(racer.calls(size)[runner])


def _refuse_memory_beyond(megabytes: float) -> None:
    """Lets this process fail before the machine does."""
    try:
        import resource
    except ImportError:  # not on Windows
        return
    if megabytes < float("inf"):
        resource.setrlimit(resource.RLIMIT_DATA, (int(megabytes * 2**20), resource.RLIM_INFINITY))


if __name__ == "__main__":
    own, high, wide, who, count, what = sys.argv[1:]
    print(json.dumps(_measure_memory(own, (int(high), int(wide)), who, int(count), what)))
