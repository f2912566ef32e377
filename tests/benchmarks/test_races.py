"""One race: memory in a process of its own, which may fail; and a network that observes, measured end to end."""

import subprocess
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import pytest
import torch

from benchmarks import races
from benchmarks.races import OURS, ChildFailed, Racer, check_peers, race
from benchmarks.subjects import BenchmarkStore, published_card
from benchmarks.table import OBSERVED, speed_table
from restoration.architectures.blind_deconvolution import BlindDeconvolution
from restoration.registry import MODELS

SIZE = (64, 96)
ROOF = {"fp32": 100.0, "bf16": 200.0}


@pytest.fixture
def racer():
    """A racer by torch with one peer that does nothing."""
    made = Racer(published_card(), backend="torch")
    made.peers = {"eager": lambda pixels: pixels}
    return made


@pytest.fixture
def children(monkeypatch):
    """What the processes for memory answer, by runner, and the words they were started with."""
    answers, started = {}, []

    def run(words, **options):
        started.append(words)
        answer = answers.get(words[6], (0, "noise\n12.5\n", ""))
        if isinstance(answer, Exception):
            raise answer
        return SimpleNamespace(returncode=answer[0], stdout=answer[1], stderr=answer[2])

    monkeypatch.setattr(races.subprocess, "run", run)
    monkeypatch.setattr(races, "interleaved", lambda calls: {name: (call(), 1.0)[1] for name, call in calls.items()})
    return SimpleNamespace(answers=answers, started=started)


def test_memory_is_measured_with_the_backend_that_is_raced(racer, children):
    found = race(racer, SIZE, ROOF)
    assert [words[6] for words in children.started] == [OURS, "eager"]
    assert all(words[-1] == "torch" for words in children.started)
    assert (found["peak_megabytes"], found["peers"]["eager"]["peak_megabytes"]) == (12.5, 12.5)
    assert (found["skipped"], found["notes"]) == ([], {})


def test_the_process_runs_the_backend_it_is_told(monkeypatch):
    made = []

    class Watched(Racer):
        def __init__(self, card, **options):
            super().__init__(card, **options)
            made.append(self)

    monkeypatch.setattr(races, "Racer", Watched)
    races._measure_memory(published_card().name, SIZE, OURS, torch.get_num_threads(), "torch")
    assert made[0].report.backend == "torch"


def test_when_ours_fails_its_last_words_are_told(racer, children):
    children.answers[OURS] = (1, "", "Traceback\nRuntimeError: it went wrong\n")
    with pytest.raises(ChildFailed, match=r"memory of ours for .* cannot be measured: RuntimeError: it went wrong\.$"):
        race(racer, SIZE, ROOF)


def test_a_peer_that_fails_is_skipped_with_a_note(racer, children):
    children.answers["eager"] = (-9, "", "")
    found = race(racer, SIZE, ROOF)
    assert (found["skipped"], found["peers"]) == (["eager"], {})
    assert "ended with code -9" in found["notes"]["eager"]
    assert found["peak_megabytes"] == 12.5


def test_a_peer_that_needs_more_than_there_is_is_skipped_with_a_note(racer, children, monkeypatch):
    monkeypatch.setattr(races, "available_megabytes", lambda: 100.0)
    children.answers["eager"] = (0, "81\n", "")
    found = race(racer, SIZE, ROOF)
    assert (found["skipped"], found["notes"]) == (["eager"], {"eager": "it takes 81 MB, and 80 MB can be spared"})


@pytest.mark.parametrize("runner", [OURS, "eager"])
def test_a_process_that_does_not_end_loses_no_row(racer, children, runner):
    children.answers[runner] = subprocess.TimeoutExpired("python", races.MEMORY_SECONDS)
    found = race(racer, SIZE, ROOF)
    assert "1800 seconds" in found["notes"][runner]
    assert found["seconds"] > 0
    assert (found["peak_megabytes"] is None) == (runner == OURS)
    assert found["skipped"] == [name for name in ("eager",) if name == runner]


class RandomStore(BenchmarkStore):
    """Random weights for every card."""

    def load(self, card):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return card.build().eval(), "random"


def test_a_network_that_observes_is_measured_with_its_observation(monkeypatch):
    monkeypatch.setattr(races, "BenchmarkStore", RandomStore)
    card = replace(MODELS["blind-wiener-unet"], build=partial(BlindDeconvolution, (8, 8, 8), (1, 1, 1)))
    assert check_peers(card) == {}
    found = race(Racer(card, with_peers=True), (96, 128), ROOF, memory=False)
    assert (found["backend"], found["peers"]) == ("openvino", {})
    assert found["observe_seconds"] > 0
    result = {
        "date": "2026-01-02",
        "processor": "A",
        "threads": 1,
        "roofline_gigaflop_per_second": ROOF,
        "rows": [found],
    }
    table = speed_table(result)
    assert f"| {found['seconds']:.3g} † (openvino, " in table
    assert OBSERVED in table


def test_the_observation_is_inside_the_call_that_is_timed(monkeypatch):
    monkeypatch.setattr(races, "BenchmarkStore", RandomStore)
    looks = []
    card = replace(MODELS["blind-wiener-unet"], build=partial(BlindDeconvolution, (8, 8, 8), (1, 1, 1)))
    observe = BlindDeconvolution.observe
    monkeypatch.setattr(BlindDeconvolution, "observe", lambda self, x: (looks.append(1), observe(self, x))[1])
    call = Racer(card, backend="torch").ours((96, 128))
    for number in (1, 2):
        call()
        assert len(looks) == number
