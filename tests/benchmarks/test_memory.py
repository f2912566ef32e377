"""Memory is measured in processes of their own, which may fail, and may not end."""

import json

import pytest
import torch

from benchmarks import children, memory, peers
from benchmarks.children import ChildFailed
from benchmarks.memory import MemoryUnknown, measure
from benchmarks.plan import Race
from benchmarks.races import OURS, Racer
from benchmarks.subjects import PUBLISHED, published_card

SMALL, LARGE = (64, 96), (128, 96)
RACES = [Race(card=published_card(), size=LARGE), Race(card=published_card(), size=SMALL, peers=("eager",))]


@pytest.fixture
def started(monkeypatch):
    """What the processes answer, by runner, and the words they were started with."""
    answers: dict = {}
    words: list = []

    def run(module, *given, seconds):
        assert module == "memory"
        words.append(given)
        answer = answers.get(given[1], [12.5] * (len(given) - 4))
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(children, "run", run)
    return answers, words


def test_one_process_measures_all_sizes_of_a_runner_small_ones_first(started):
    answers, words = started
    answers[OURS] = [1.0, 2.0]
    assert measure(RACES, backend="torch") == {
        (PUBLISHED, SMALL, OURS): 1.0,
        (PUBLISHED, LARGE, OURS): 2.0,
        (PUBLISHED, SMALL, "eager"): 12.5,
    }
    threads = torch.get_num_threads()
    assert sorted(words) == [
        (PUBLISHED, "eager", threads, "torch", "64x96"),
        (PUBLISHED, OURS, threads, "torch", "64x96", "128x96"),
    ]


def test_when_ours_fails_its_last_words_are_told(started):
    started[0][OURS] = ChildFailed("RuntimeError: it went wrong", [])
    with pytest.raises(MemoryUnknown, match=r"memory of .* cannot be measured: RuntimeError: it went wrong\.$"):
        measure(RACES, backend="torch")


def test_a_peer_that_fails_is_a_reason_and_keeps_what_it_printed(started):
    started[0]["eager"] = ChildFailed("it ended with code -9", [7.0])
    races = [Race(card=published_card(), size=size, peers=("eager",)) for size in (SMALL, LARGE)]
    found = measure(races, backend="torch")
    assert found[PUBLISHED, SMALL, "eager"] == 7.0
    assert found[PUBLISHED, LARGE, "eager"] == "it ended with code -9"


@pytest.mark.parametrize("runner", [OURS, "eager"])
def test_a_process_that_does_not_end_is_a_reason(started, runner):
    started[0][runner] = ChildFailed("it took more than 600 seconds", [])
    found = measure(RACES, backend="torch")
    assert found[PUBLISHED, SMALL, runner] == "measuring its memory took more than 600 seconds"


def test_a_peer_that_cannot_run_here_is_not_started(started, monkeypatch):
    monkeypatch.setattr(memory, "cannot_run", lambda name: "onnx is not installed")
    assert {key[2] for key in measure(RACES, backend="torch")} == {OURS}


def test_the_process_runs_the_backend_it_is_told(monkeypatch, capsys):
    made = []

    class Watched(Racer):
        def __init__(self, card, **options):
            super().__init__(card, **options)
            made.append(self)

    monkeypatch.setattr(memory, "Racer", Watched)
    memory.main(PUBLISHED, OURS, str(torch.get_num_threads()), "torch", "64x96", "96x96")
    assert made[0].report.backend == "torch"
    assert len([json.loads(line) for line in capsys.readouterr().out.splitlines()]) == 2


def child(monkeypatch, tmp_path, text):
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "made.py").write_text(text)
    monkeypatch.setattr(children, "ROOT", tmp_path)


def test_a_process_tells_json_lines_between_others(monkeypatch, tmp_path):
    child(monkeypatch, tmp_path, "import sys\nprint('noise')\nprint(12.5)\nprint('{\"a\": 1}')\nprint(len(sys.argv))")
    assert children.run("made", "x", 2, seconds=60) == [12.5, {"a": 1}, 3]


def test_a_process_that_fails_or_does_not_end_tells_why_and_what_it_had(monkeypatch, tmp_path):
    child(monkeypatch, tmp_path, "print(1, flush=True)\nraise ValueError('no.')")
    with pytest.raises(ChildFailed, match=r"ValueError: no$") as failure:
        children.run("made", seconds=60)
    assert failure.value.values == [1]
    (tmp_path / "benchmarks" / "made.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(ChildFailed, match="it ended with code -9"):
        children.run("made", seconds=60)
    (tmp_path / "benchmarks" / "made.py").write_text("import time\nprint(2, flush=True)\ntime.sleep(60)")
    with pytest.raises(ChildFailed, match="more than 1 seconds") as failure:
        children.run("made", seconds=1)
    assert failure.value.values == [2]


def test_opencv_needs_onnx_for_its_export(monkeypatch):
    assert peers.cannot_run("eager") is None
    monkeypatch.setattr(peers, "find_spec", lambda module: None if module == "onnx" else object())
    assert peers.cannot_run("cv2.dnn") == "onnx is not installed"
