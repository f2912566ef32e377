"""One race: its peers, what is skipped and why; and a network that observes, measured end to end."""

from dataclasses import replace
from functools import partial

import pytest
import torch

from benchmarks import races
from benchmarks.plan import Race
from benchmarks.races import OURS, Racer, check_peers, race
from benchmarks.subjects import BenchmarkStore, published_card
from benchmarks.table import OBSERVED, speed_table
from restoration.architectures.blind_deconvolution import BlindDeconvolution, with_unet
from restoration.registry import MODELS
from tests.benchmarks.results import ROOF, result

SIZE = (64, 96)
PLANNED = Race(card=published_card(), size=SIZE, peers=("eager",))


class Measured:
    """A ceiling of half the roofline, once it was measured."""

    def __init__(self, precision):
        self.precision, self.speed = precision, None

    def __call__(self):
        self.speed = ROOF[self.precision] / 2


@pytest.fixture
def racer(monkeypatch):
    """A racer by torch with one peer that does nothing, and a clock that says one second."""
    monkeypatch.setattr(races, "interleaved", lambda calls: {name: (call(), 1.0)[1] for name, call in calls.items()})
    monkeypatch.setattr(races, "Ceiling", Measured)
    made = Racer(published_card(), backend="torch")
    made.peers = {"eager": lambda pixels: pixels}
    return made


def test_a_row_tells_memory_ratio_and_share_of_the_roofline(racer):
    found = race(racer, PLANNED, ROOF, {OURS: 12.5, "eager": 30.0})
    assert (found["peak_megabytes"], found["peers"]["eager"]["peak_megabytes"]) == (12.5, 30.0)
    assert found["peers"]["eager"]["ratio"] == 1.0
    assert found["gigaflop"] == pytest.approx(82.7 * 64 * 96 / 1e6)
    assert found["ceiling"] == ROOF[found["precision"]] / 2, "what was measured beside it, not before"
    assert 0.5 < found["computed"] < 0.95, "doubled maps are not convolved"
    assert found["roofline_share"] == pytest.approx(found["computed"] * found["gigaflop"] / found["ceiling"])
    assert (found["backend"], found["skipped"], found["notes"]) == ("torch", [], {})


def test_a_peer_that_is_not_planned_is_not_run(racer):
    assert race(racer, replace(PLANNED, peers=()), ROOF, {})["peers"] == {}


def test_a_peer_whose_memory_failed_is_skipped_with_a_note(racer):
    found = race(racer, PLANNED, ROOF, {OURS: 12.5, "eager": "it ended with code -9"})
    assert (found["skipped"], found["peers"]) == (["eager"], {})
    assert found["notes"] == {"eager": "it ended with code -9"}
    assert found["peak_megabytes"] == 12.5


def test_our_own_unknown_memory_loses_no_row(racer):
    found = race(racer, PLANNED, ROOF, {OURS: "it took too long", "eager": 1.0})
    assert (found["peak_megabytes"], found["skipped"]) == (None, [])
    assert found["notes"] == {OURS: "it took too long"}


def test_a_peer_that_needs_more_than_there_is_is_skipped_with_a_note(racer, monkeypatch):
    monkeypatch.setattr(races, "available_megabytes", lambda: 100.0)
    found = race(racer, PLANNED, ROOF, {OURS: 1.0, "eager": 81.0})
    assert (found["skipped"], found["notes"]) == (["eager"], {"eager": "it takes 81 MB, and 80 MB can be spared"})


def test_a_peer_that_is_not_installed_is_skipped_with_a_note(racer, monkeypatch):
    monkeypatch.setattr(races, "cannot_run", lambda name: "onnx is not installed")
    found = race(racer, PLANNED, ROOF, {OURS: 1.0})
    assert (found["skipped"], found["notes"]) == (["eager"], {"eager": "onnx is not installed"})


class RandomStore(BenchmarkStore):
    """Random weights for every card."""

    def load(self, card):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return card.build().eval(), "random"


def observing_card():
    return replace(MODELS["blind-wiener-unet"], build=partial(with_unet, (8, 8, 8), (1, 1, 1)))


def test_a_network_that_observes_is_measured_with_its_observation(monkeypatch):
    monkeypatch.setattr(races, "BenchmarkStore", RandomStore)
    card = observing_card()
    assert check_peers(card, ()) == {}
    found = race(Racer(card), Race(card=card, size=(96, 128)), ROOF, {})
    assert (found["backend"], found["peers"]) == ("openvino", {})
    assert found["observe_seconds"] > 0
    table = speed_table(result(found))
    assert f"| {found['seconds']:.3g} † (openvino, " in table
    assert OBSERVED in table


def test_the_observation_is_inside_the_call_that_is_timed(monkeypatch):
    monkeypatch.setattr(races, "BenchmarkStore", RandomStore)
    looks = []
    observe = BlindDeconvolution.observe
    monkeypatch.setattr(BlindDeconvolution, "observe", lambda self, x: (looks.append(1), observe(self, x))[1])
    call = Racer(observing_card(), backend="torch").ours((96, 128))
    for number in (1, 2):
        call()
        assert len(looks) == number
