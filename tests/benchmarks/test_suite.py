"""The benchmark from races to documents, at sizes that take no time."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks import suite, timing
from benchmarks.races import Racer
from benchmarks.subjects import PUBLISHED, published_card
from benchmarks.table import NOT_YET, speed_table
from benchmarks.timing import interleaved, peak_memory
from restoration.cli.main import main


def row(model="a", *, ratio=4.0, memory=100.0, width=256) -> dict:
    return {
        "model": model, "weights": "restoration", "width": width, "height": 128, "backend": "openvino",
        "precision": "bf16", "tiles": 1, "seconds": 0.5, "gigaflop": 10.0, "gigaflop_per_second": 20.0,
        "roofline_share": 0.8, "peak_megabytes": memory, "skipped": [],
        "peers": {"eager": {"seconds": 2.0, "ratio": ratio, "peak_megabytes": 400.0}} if ratio else {},
    }  # fmt: skip


def result(*rows: dict, date="2026-01-02") -> dict:
    roof = {"fp32": 200.0, "bf16": 400.0}
    return {
        "date": date, "processor": "A", "threads": 2, "versions": {}, "roofline_gigaflop_per_second": roof,
        "differences_from_peers": {}, "rows": list(rows),
    }  # fmt: skip


@pytest.fixture
def clock(monkeypatch):
    """A clock that only the calls move."""
    now = [0.0]
    monkeypatch.setattr(timing.time, "perf_counter", lambda: now[0])
    return now


def test_calls_take_turns_and_their_medians_count(clock):
    order = []

    def lasting(name, *seconds):
        left = list(seconds)

        def call():
            order.append(name)
            clock[0] += left.pop(0) if len(left) > 1 else left[0]

        return call

    medians = interleaved({"a": lasting("a", 9, 10, 2, 3), "b": lasting("b", 1)})
    assert order == ["a", "b"] * 4
    assert medians == {"a": 3.0, "b": 1.0}


def test_a_very_long_call_is_made_once(clock):
    calls = []

    def long():
        calls.append(1)
        clock[0] += timing.LONG_SECONDS + 1

    assert interleaved({"long": long}) == {"long": timing.LONG_SECONDS + 1}
    assert len(calls) == 1


def test_peak_memory_is_the_highest_mark_of_a_call_less_what_was_there_before(tmp_path, monkeypatch):
    status, clear = tmp_path / "status", tmp_path / "clear"
    monkeypatch.setattr(timing, "_STATUS", status)
    monkeypatch.setattr(timing, "_CLEAR", clear)
    status.write_text("VmHWM:   900000 kB\nVmRSS:   204800 kB\n")

    def take():
        assert clear.read_text() == "5", "the mark is set back first"
        status.write_text("VmHWM:   307200 kB\nVmRSS:   205000 kB\n")

    assert peak_memory(take) == 100
    monkeypatch.setattr(timing, "_CLEAR", tmp_path / "nowhere" / "clear")
    assert peak_memory(take) is None


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux tells")
def test_peak_memory_sees_what_a_call_takes_though_it_gives_it_back():
    """Bounds with much room: the process has other threads, and the machine other work."""

    def take():
        np.ones(400_000_000, np.uint8).sum()

    taken, idle = peak_memory(take), peak_memory(lambda: None)
    assert taken is not None
    assert idle is not None
    assert taken - idle > 200


def test_a_run_measures_races_and_compares(tmp_path):
    said = []
    measured = suite.run([published_card()], [(64, 96)], peers=True, memory=False, say=said.append)
    (only,) = measured["rows"]
    assert (only["model"], only["width"], only["height"], only["weights"]) == (PUBLISHED, 96, 64, "random, calibrated")
    assert only["peers"].keys() == {"eager", "predict.py"}
    assert all(peer["ratio"] > 0 for peer in only["peers"].values())
    assert only["seconds"] > 0
    assert only["gigaflop"] == pytest.approx(82.7 * 64 * 96 / 1e6)
    assert PUBLISHED in said[-1]
    path = suite.write(measured, tmp_path)
    assert path.name == f"speed-{measured['date']}.json"
    assert suite.newest(tmp_path) == json.loads(path.read_text())
    with Image.open(tmp_path / "speed.png") as plot:
        assert plot.width == 900
    assert path.stat().st_size < 5000


def test_a_peer_that_would_take_minutes_is_not_run():
    racer = Racer(published_card(), backend="torch")
    racer.peers = {"eager": lambda pixels: pixels}
    assert racer.calls((64, 64)).keys() == {"ours", "eager"}
    racer.gigaflop = lambda size: 1e9  # type: ignore[method-assign]
    assert racer.calls((64, 64)).keys() == {"ours"}


def test_the_table_tells_seconds_roofline_memory_and_ratios():
    table = speed_table(result(row(), row("b", ratio=0, memory=None)))
    assert "| `a` | 256 x 128 | 0.5 (openvino, bf16) | 80% | 100 MB | 4.0x |" in table
    assert "| `b` | 256 x 128 | 0.5 (openvino, bf16) | 80% |  |  |" in table
    assert "200 fp32, 400 bf16" in table
    assert speed_table(None) == NOT_YET


def test_the_newest_result_is_taken(tmp_path):
    assert suite.newest(tmp_path) is None
    for date in ("2026-03-01", "2026-02-01"):
        suite.write(result(row(), date=date), tmp_path)
    newest = suite.newest(tmp_path)
    assert newest is not None
    assert newest["date"] == "2026-03-01"


def test_what_got_worse_is_said_and_noise_is_not():
    before = result(row("a"), row("b", memory=100), row("gone"))
    assert list(suite.regressions(result(row("a", ratio=3.5), row("b", memory=150)), before)) == []
    assert list(suite.regressions(result(row("new", ratio=0.1)), before)) == []
    assert list(suite.regressions(result(row("a", ratio=3.0), row("b", memory=200)), before)) == [
        "a at 256x128 was 4.00 times as fast as eager and is now 3.00.",
        "b at 256x128 took 100 MB and now takes 200.",
    ]


def test_what_cannot_be_compared_is_said():
    before = result(row("a"), row("b"), row("large", width=4000))
    assert list(suite.uncompared(result(row("a"), row("b"), row("new")), before)) == []
    assert list(suite.uncompared(result(row("a"), row("b", ratio=0)), before)) == [
        "b at 256x128 was raced against eager, and is not now."
    ]
    assert list(suite.uncompared(result(row("a")), before)) == ["b at 256x128 was raced against eager, and is not now."]
    assert list(suite.uncompared(result(row("a")), before, ["a"])) == []
    assert list(suite.uncompared(result(row("a", width=64)), before)) == [
        "Nothing was compared: the result of 2026-01-02 has none of these models at these sizes."
    ]
    assert list(suite.uncompared(result(row("a"), row("b")), result(row("a", ratio=0), row("b", ratio=0)))) == [
        "No ratio was compared: the result of 2026-01-02 was measured without peers."
    ]
    assert list(suite.uncompared(result(row("a", ratio=0)), result(row("a", ratio=0)))) == [], "memory is compared"


@pytest.fixture
def measured(monkeypatch):
    """What the next run will find."""
    found = result(row())
    monkeypatch.setattr(suite, "run", lambda *args, **options: found)
    return found


def test_the_command_writes_prints_and_checks(tmp_path, capsys, measured):
    words = ["bench", "--out", str(tmp_path), "--models", PUBLISHED, "--sizes", "96x64"]
    assert main([*words, "--check"]) == 1
    assert "no result to compare with" in capsys.readouterr().err
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == measured
    assert main([*words, "--table"]) == 0
    assert capsys.readouterr().out.startswith("| model | size |")
    assert main([*words, "--check"]) == 0
    measured["rows"][0]["peers"]["eager"]["ratio"] = 1.0
    written = sorted(tmp_path.iterdir())
    assert main([*words, "--check"]) == 1
    assert "is now 1.00" in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == written


def test_a_check_that_compares_nothing_fails(tmp_path, capsys, measured):
    suite.write(result(row(ratio=0)), tmp_path)
    words = ["bench", "--out", str(tmp_path), "--check"]
    assert main(words) == 1
    assert "measured without peers" in capsys.readouterr().err
    suite.write(result(row(width=64)), tmp_path)
    assert main(words) == 1
    assert "Nothing was compared" in capsys.readouterr().err


def test_infinity_never_reaches_the_json(tmp_path, capsys, measured):
    measured["rows"][0]["peak_megabytes"] = float("inf")
    measured["rows"][0]["seconds"] = float("nan")
    assert main(["bench", "--out", str(tmp_path), "--json"]) == 0

    def refuse(word):
        raise AssertionError(word)

    (found,) = json.loads(capsys.readouterr().out, parse_constant=refuse)["rows"]
    assert (found["peak_megabytes"], found["seconds"]) == (None, None)


def test_the_processor_is_named_as_the_trainings_name_it(monkeypatch):
    monkeypatch.setattr(suite, "roofline", lambda: {"fp32": 1.0})
    monkeypatch.setattr(suite, "environment", lambda device, processes: {"processor": "fast"})
    assert suite.run([], say=lambda text: None)["processor"] == "fast"


def test_a_wrong_size_or_backend_is_wrong_usage(monkeypatch, tmp_path):
    assert main(["bench", "--out", str(tmp_path), "--sizes", "9"]) == 2
    monkeypatch.setenv("RESTORATION_BACKEND", "onnx")
    assert main(["bench", "--out", str(tmp_path)]) == 2
