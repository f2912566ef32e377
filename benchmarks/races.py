"""One race: a card at one size by the engine, and its peers, which take turns in this process."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from benchmarks.counting import computed_part
from benchmarks.peers import LARGEST_DIFFERENCE, cannot_run, difference, peers_of
from benchmarks.plan import Race, Size, gigaflop, sizes_of
from benchmarks.subjects import PUBLISHED, BenchmarkStore, calibrate, picture
from benchmarks.timing import Ceiling, available_megabytes, interleaved
from restoration.card import ModelCard
from restoration.images.document import ImageDocument
from restoration.images.limits import Limits
from restoration.inference.engine import Engine, finish
from restoration.inference.report import Report
from restoration.registry import Registry
from restoration.weights import WeightStore

OURS = "ours"
_ROOF = "roofline"
_CHECK_SIZE = (96, 128)
_ROOM = 0.8  # of the memory that is free, for a peer


class Racer:
    """A card, its engine, its network in plain fp32 and its peers.

    Args:
        card: one of `subjects`.
        device, backend: of the engine.
        peers: the names of those that are wanted; one that cannot run here is left out.
        store: of the weights; None takes the benchmark's.
    """

    def __init__(
        self,
        card: ModelCard,
        *,
        device: str = "cpu",
        backend: str = "auto",
        peers: Collection[str] = (),
        store: WeightStore | None = None,
    ) -> None:
        self.card, self.backend = card, backend
        store = store or BenchmarkStore()
        limits = Limits(output_megapixels=400)
        self.engine = Engine(Registry([card]), store, device=device, limits=limits, backend=backend)
        self.peers = peers_of(card, store.load(card)[0], peers) if peers else {}
        self.report: Report | None = None

    def ours(self, size: Size, precision: str = "auto") -> Callable[[], object]:
        """A call of the engine: uint8 picture in, uint8 picture out, tiles and all; `precision` as the engine's."""
        document = ImageDocument(color=picture(*size))

        def call() -> None:
            self.report = finish(self.engine.stream(document, self.card, precision=precision)).report

        return call

    def calls(self, size: Size, skipped: Collection[str] = ()) -> dict[str, Callable[[], object]]:
        """What runs in turns at one size: the engine, and the peers that are not skipped."""
        pixels = picture(*size)
        peers = {name: peer for name, peer in self.peers.items() if name not in skipped}
        return {OURS: self.ours(size), **{name: lambda peer=peer: peer(pixels) for name, peer in peers.items()}}


def check_peers(card: ModelCard, peers: Collection[str]) -> dict[str, float]:
    """The difference of peers from the network they race, on one small picture with the same statistics.

    Raises:
        AssertionError: one is beyond `LARGEST_DIFFERENCE`: then the race would compare two different things.
    """
    (size,) = sizes_of(card, [_CHECK_SIZE])
    pixels = picture(*size)
    network, _ = BenchmarkStore().load(card)
    if card.name == PUBLISHED:
        calibrate(network, pixels, residual=0.2)  # large, so that a difference shows
    found = {name: difference(peer, network, pixels) for name, peer in peers_of(card, network, peers).items()}
    for name, value in found.items():
        assert value <= LARGEST_DIFFERENCE, f"{name} differs from {card.name} by {value:.5f}"
    return found


def race(
    racer: Racer, planned: Race, roof: Mapping[str, float], needed: Mapping[str, float | str | None]
) -> dict[str, Any]:
    """One row of the result.

    `seconds` is end to end: with the picture's observation, where the network observes (`observe_seconds` of it), which
    `gigaflop` and `roofline_share` do not count. `gigaflop` is that of the network as it is drawn; of it the part
    `computed` is left when it is folded, and that alone counts for `roofline_share`. The roofline takes its turns with
    the others (`ceiling` in gigaflop a second). `notes` says by name why a peer was skipped or memory is not known.

    Args:
        roof: gigaflop a second by precision, for one that was not expected.
        needed: by runner, the megabytes it takes, None where that is not told, or the reason why it is not known.
    """
    card, size = racer.card, planned.size
    notes = _notes(planned, needed)
    skipped = [name for name in planned.peers if name in notes]
    racer.engine.warm([card])
    calls = {name: call for name, call in racer.calls(size, skipped).items() if _runs(name, planned)}
    expected = racer.engine.place(card).precision
    ceiling = Ceiling(expected)
    seconds = interleaved({**calls, _ROOF: ceiling})
    del seconds[_ROOF]
    report = racer.report
    assert report is not None
    computed = computed_part(card, BenchmarkStore().load(card)[0])
    speed = gigaflop(card, size) / seconds[OURS]
    most = ceiling.speed if report.precision == expected else roof[report.precision]
    return {
        "model": card.name, "weights": report.checkpoint, "width": size[1], "height": size[0],
        "backend": report.backend, "precision": report.precision, "tiles": report.tiles,
        "seconds": seconds[OURS], "observe_seconds": report.seconds.get("observe"),
        "gigaflop": gigaflop(card, size), "gigaflop_per_second": speed,
        "computed": computed, "roofline_share": computed * speed / most, "ceiling": most,
        "peak_megabytes": _megabytes(needed, OURS),
        "peers": {
            name: {
                "seconds": seconds[name], "ratio": seconds[name] / seconds[OURS],
                "peak_megabytes": _megabytes(needed, name),
            }
            for name in seconds if name != OURS
        },
        "skipped": skipped, "notes": notes,
    }  # fmt: skip


def _runs(name: str, planned: Race) -> bool:
    return name == OURS or name in planned.peers


def _megabytes(needed: Mapping[str, float | str | None], runner: str) -> float | None:
    value = needed.get(runner)
    return None if isinstance(value, str) else value


def _notes(planned: Race, needed: Mapping[str, float | str | None]) -> dict[str, str]:
    """Why a peer cannot be run in this process, or our memory is not known."""
    notes = {name: value for name, value in needed.items() if isinstance(value, str)}
    notes |= {name: reason for name in planned.peers if (reason := cannot_run(name)) is not None}
    room = _ROOM * available_megabytes()
    for name in planned.peers:
        megabytes = _megabytes(needed, name)
        if megabytes is not None and megabytes > room:
            notes[name] = f"it takes {megabytes:.0f} MB, and {room:.0f} MB can be spared"
    return notes
