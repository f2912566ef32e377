"""The benchmark from plan to documents, at sizes that take no time: what is partial never passes for a full run."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks import suite, timing
from benchmarks.plan import Plan, Race
from benchmarks.subjects import PUBLISHED, published_card
from benchmarks.table import NOT_YET, UNTOLD, speed_table
from benchmarks.timing import interleaved, peak_memory
from restoration.cli.main import main
from tests.benchmarks.results import result, row


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
    assert order == ["a", "b"] * 3
    assert medians == {"a": 6.0, "b": 1.0}


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


def test_a_call_without_a_rival_is_made_once_sooner(clock):
    calls = []

    def alone():
        calls.append(1)
        clock[0] += timing.LONG_ALONE_SECONDS + 1

    interleaved({"alone": alone})
    assert len(calls) == 1


def test_a_run_measures_races_and_compares(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(suite, "roofline", lambda: timing.roofline(16, 8, rounds=1))
    planned = Race(card=published_card(), size=(64, 96), peers=("eager", "predict.py"))
    measured = suite.run(Plan(races=(planned,)), with_memory=False, say=said.append)
    (only,) = measured["rows"]
    assert (only["model"], only["width"], only["height"], only["weights"]) == (PUBLISHED, 96, 64, "random, calibrated")
    assert only["peers"].keys() == measured["differences_from_peers"][PUBLISHED].keys() == {"eager", "predict.py"}
    assert all(peer["ratio"] > 0 for peer in only["peers"].values())
    assert only["seconds"] > 0
    assert PUBLISHED in said[-1]
    assert f"{PUBLISHED} at 1280 x 720" in measured["left_out"]
    assert "page" in measured["left_out"]
    path = suite.write(measured, tmp_path)
    assert path.name == f"partial-{measured['date']}.json"
    assert suite.newest(tmp_path) is None
    assert path.stat().st_size < 5000


def test_a_partial_result_is_never_the_newest_and_draws_no_plot(tmp_path):
    suite.write(result(row(), date="2026-01-01"), tmp_path)
    before = (tmp_path / "speed.png").read_bytes()
    suite.write(result(row("b"), date="2026-01-02", left_out=["page"]), tmp_path)
    newest = suite.newest(tmp_path)
    assert newest == result(row(), date="2026-01-01")
    assert (tmp_path / "speed.png").read_bytes() == before
    with Image.open(tmp_path / "speed.png") as plot:
        assert plot.width == 900


def test_a_table_of_a_partial_result_begins_with_saying_so():
    assert speed_table(result(row())).startswith("| model")
    assert speed_table(result(row(), left_out=["page", "b at 256 x 256"])).startswith(
        "**Partial.** Not measured: page; b at 256 x 256.\n\n| model"
    )
    old = result(row())
    del old["left_out"], old["trials"]
    assert speed_table(old).startswith(f"**Partial.** {UNTOLD}")


def test_the_table_tells_seconds_roofline_memory_and_ratios():
    table = speed_table(result(row(), row("b", ratio=0, memory=None)))
    assert "| `a` | 256 x 128 | 0.5 (openvino, bf16) | 80% | 100 MB | 4.0x |" in table
    assert "| `b` | 256 x 128 | 0.5 (openvino, bf16) | 80% |  |  |" in table
    assert "200 fp32, 400 bf16" in table
    assert "to reach" not in table
    assert speed_table(None) == NOT_YET


def test_the_newest_result_is_taken(tmp_path):
    assert suite.newest(tmp_path) is None
    for date in ("2026-03-01", "2026-02-01"):
        suite.write(result(row(), date=date), tmp_path)
    newest = suite.newest(tmp_path)
    assert newest is not None
    assert newest["date"] == "2026-03-01"


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
    assert main([*words, "--check"]) == 0
    measured["rows"][0]["peers"]["eager"]["ratio"] = 1.0
    written = sorted(tmp_path.iterdir())
    assert main([*words, "--check"]) == 1
    assert "is now 1.00" in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == written


def test_a_slow_down_and_a_memory_growth_fail_the_check(tmp_path, capsys, measured):
    measured["trials"] = {"tiled": {"ratio": 1.2}, "100mp-deblur": {"peak_megabytes": 1500.0}}
    words = ["bench", "--out", str(tmp_path)]
    assert main(words) == 0
    assert main([*words, "--check"]) == 0
    measured["rows"][0]["peak_megabytes"] = 300.0
    assert main([*words, "--check"]) == 1
    assert "a at 256x128 took 100 MB and now takes 300" in capsys.readouterr().err
    measured["rows"][0]["peak_megabytes"] = 100.0
    measured["trials"] = {"tiled": {"ratio": 1.6}, "100mp-deblur": {"peak_megabytes": 1950.0}}
    assert main([*words, "--check"]) == 1
    said = capsys.readouterr().err
    assert "The ratio of tiled was 1.20 and is now 1.60." in said
    assert "tiled-12mp is 1.6 and should be at most 1.35." in said
    assert "100mp-deblur took 1500 MB and now takes 1950." in said
    measured["trials"] = {}
    assert main([*words, "--check"]) == 1
    assert "tiled was measured, and is not now: it was not run." in capsys.readouterr().err


def test_a_check_against_a_partial_result_fails(tmp_path, capsys, measured):
    old = result(row())
    del old["left_out"]  # from before there was such a list
    (tmp_path / "speed-2026-01-01.json").write_text(json.dumps(old))
    assert main(["bench", "--out", str(tmp_path), "--check"]) == 1
    assert "is partial" in capsys.readouterr().err
    assert main(["bench", "--out", str(tmp_path), "--check", "--models", PUBLISHED]) == 0, "asked for a part"


def test_a_full_run_that_lacks_something_fails_and_one_that_was_limited_does_not(tmp_path, capsys, measured):
    measured["left_out"] = ["page"]
    assert main(["bench", "--out", str(tmp_path), "--peers"]) == 1
    assert "This run is partial. Not measured: page." in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["partial-2026-01-02.json"]
    assert main(["bench", "--out", str(tmp_path), "--peers", "--only", "page-720p"]) == 0


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
    assert suite.run(Plan(races=()), say=lambda text: None)["processor"] == "fast"


def test_a_wrong_size_goal_or_backend_is_wrong_usage(monkeypatch, tmp_path):
    assert main(["bench", "--out", str(tmp_path), "--sizes", "9"]) == 2
    assert main(["bench", "--out", str(tmp_path), "--only", "nothing"]) == 2
    monkeypatch.setenv("RESTORATION_BACKEND", "onnx")
    assert main(["bench", "--out", str(tmp_path)]) == 2


def test_a_ceiling_is_measured_anew_at_every_call_and_its_median_counts(monkeypatch):
    speeds = iter([100.0, 90.0, 40.0])
    monkeypatch.setattr(timing, "_fastest", lambda products, rounds: next(speeds))
    ceiling = timing.Ceiling("fp32", 16, 8)
    for _ in range(3):
        ceiling()
    assert ceiling.speed == 90.0


@pytest.mark.parametrize("precision", sorted(timing.roofline(16, 8, rounds=1)))
def test_a_ceiling_is_what_the_roofline_is(precision):
    ceiling = timing.Ceiling(precision, 16, 8)
    ceiling()
    assert ceiling.speed > 0
