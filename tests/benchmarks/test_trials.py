"""What is measured beside the races: each trial tells what it should, and a failure ends only itself."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
from PIL import Image

from benchmarks import large_file, page, precisions, trials
from benchmarks.goals import HD
from benchmarks.large_file import ProgressLost
from benchmarks.subjects import PUBLISHED, published_card
from benchmarks.trials import TRIALS, TrialFailed
from restoration.cli.main import main
from restoration.inference.backends.backend import LEAST_PSNR
from tests.ui.fakes import CARDS, fake_engine

SMALL = (96, 128)


def test_a_trial_that_fails_says_why_and_the_next_one_runs(monkeypatch):
    def fail(backend):
        raise ValueError("it went wrong.")

    monkeypatch.setattr(trials, "TRIALS", {"a": fail, "b": lambda backend: {"ratio": 2.0, "backend": backend}})
    said = []
    found = trials.run(["a", "b"], backend="torch", say=said.append)
    assert found == {"a": {"failed": "ValueError: it went wrong"}, "b": {"ratio": 2.0, "backend": "torch"}}
    assert "it went wrong" in said[0]
    assert "ratio 2" in said[1]


def test_torch_is_raced_whatever_backend_was_asked_for(monkeypatch):
    monkeypatch.setattr(trials, "HD", SMALL)
    seen = []

    def timed(calls):
        for call in calls.values():
            call()
        seen.append(set(calls))
        return {"ours": 2.0, "predict.py": 9.0}

    monkeypatch.setattr(trials, "interleaved", timed)
    assert trials.torch_path("openvino") == {"seconds": 2.0, "ratio": 4.5}
    assert seen == [{"ours", "predict.py"}]


def one_second(calls):
    for call in calls.values():
        call()
    return dict.fromkeys(calls, 1.0)


@pytest.mark.parametrize("trusted", [True, False])
def test_an_int8_graph_is_made_and_raced_and_one_that_is_refused_is_no_race(monkeypatch, trusted):
    pytest.importorskip("nncf")
    monkeypatch.setattr(trials, "HD", SMALL)
    monkeypatch.setattr(trials, "interleaved", one_second)
    if not trusted:
        monkeypatch.setitem(LEAST_PSNR, "int8", 200.0)
        with pytest.raises(TrialFailed, match="the int8 graph was not used OpenVINO's result was only"):
            trials.int8("auto")
        return
    found = trials.int8("auto")
    assert found["ratio"] == 1.0
    assert LEAST_PSNR["int8"] < found["psnr"] < 80


def test_tiles_are_timed_against_the_whole_picture(monkeypatch):
    monkeypatch.setattr(trials, "TWELVE", (400, 500))
    monkeypatch.setattr(trials, "interleaved", lambda calls: {name: (call(), 1.0)[1] for name, call in calls.items()})
    monkeypatch.setattr("restoration.inference.engine.most_pixels", lambda card, place, **known: 200 * 200.0)
    monkeypatch.setattr("restoration.inference.run.most_pixels", lambda card, place, **known: 200 * 200.0)
    found = trials.tiled("torch")
    assert found["tiles"] > 1
    assert found["ratio"] == 1.0


def test_a_picture_that_was_not_tiled_is_no_race(monkeypatch):
    monkeypatch.setattr(trials, "TWELVE", SMALL)
    monkeypatch.setattr(trials, "interleaved", lambda calls: {name: (call(), 1.0)[1] for name, call in calls.items()})
    with pytest.raises(TrialFailed, match="tiled and whole ran as"):
        trials.tiled("torch")


@pytest.fixture
def on_fakes(monkeypatch):
    """The page's trials on the tests' fake engine."""
    engine = fake_engine()
    monkeypatch.setattr("restoration.inference.engine.Engine", lambda **options: engine)
    monkeypatch.setattr(page, "Engine", lambda **options: engine)
    return engine


def test_the_lightest_enlarger_follows_the_registry(on_fakes, monkeypatch):
    assert page.lightest(on_fakes).scale == 2
    cheap = SimpleNamespace(name="cheap", scale=2, gigaflop_per_megapixel=0.01)
    large = SimpleNamespace(name="large", scale=4, gigaflop_per_megapixel=0.001)
    listed = [*on_fakes.available("enlarge"), cheap, large]
    monkeypatch.setattr(on_fakes, "available", lambda task=None: listed)
    assert page.lightest(on_fakes) is cheap


def test_the_pages_handler_is_timed_from_file_to_file(on_fakes, monkeypatch):
    monkeypatch.setattr(page, "HD", SMALL)
    found = page.light_page("torch")
    assert found["model"] in CARDS
    assert found["seconds"] > 0
    assert found["ratio"] >= 1


def test_only_the_engines_stages_are_taken_off_the_round_trip():
    seconds = {"decode": 8.0, "prepare": 1.0, "observe": 2.0, "restore": 4.0, "encode": 16.0}
    assert page.engine_seconds({"seconds": seconds}) == 7.0


def test_a_server_that_does_not_start_is_told(tmp_path, monkeypatch):
    (tmp_path / "app.py").write_text("raise SystemExit(3)")
    monkeypatch.setattr(page, "ROOT", tmp_path)
    with pytest.raises(page.NoServer), page.served(tmp_path, "torch"):
        pass


def large(on_fakes, tmp_path, task="enhance", **changes):
    path = tmp_path / "large.jpg"
    Image.new("RGB", (600, 500), (90, 120, 200)).save(path)
    return large_file.measure(task, "torch", path)


def test_a_large_file_tells_memory_and_progress(on_fakes, tmp_path, monkeypatch):
    monkeypatch.setattr(large_file, "LEAST_STEPS", 2)
    found = large(on_fakes, tmp_path)
    assert found["peak_megabytes"] > 50
    assert found["steps"] >= 2
    assert 0 < found["longest_silence_seconds"] <= found["seconds"]


def test_too_little_progress_is_no_result(on_fakes, tmp_path, monkeypatch):
    monkeypatch.setattr(large_file, "LEAST_STEPS", 10**6)
    with pytest.raises(ProgressLost, match="steps of progress"):
        large(on_fakes, tmp_path)


def test_faces_are_measured_on_a_picture_with_a_face(on_fakes, tmp_path, monkeypatch):
    with pytest.raises(ProgressLost, match="no face was found"):
        large(on_fakes, tmp_path, "faces")
    monkeypatch.setattr(large_file, "SIZE", (4096, 4200))
    monkeypatch.setattr(on_fakes, "limits", replace(on_fakes.limits, megapixels=20, megabytes=20))
    with large_file.large_jpeg() as path:
        assert large_file.measure("faces", "torch", path)["steps"] >= 2


@pytest.mark.parametrize("seen", [[], [(1.0, 0, 40)] * 30, [(1.0, n % 7, 6) for n in range(30)]])
def test_progress_must_lead_to_the_end(seen):
    with pytest.raises(ProgressLost):
        large_file._progress(seen, "enhance", 0.0, 2.0)


def test_the_large_file_has_a_hundred_megapixels_and_is_read_within_the_limits(monkeypatch):
    from restoration.images.limits import Limits
    from restoration.images.reading import read_header

    assert large_file.SIZE[0] * large_file.SIZE[1] >= 100_000_000
    Limits().check_input(*large_file.SIZE)
    monkeypatch.setattr(large_file, "SIZE", (300, 400))
    with large_file.large_jpeg() as path:
        header = read_header(path)
    assert (header.format, header.height, header.width) == ("JPEG", 300, 400)
    assert not path.exists()


def test_the_trials_run_in_a_process_of_their_own(monkeypatch):
    words = []
    monkeypatch.setattr(large_file.children, "run", lambda *given, seconds: (words.append(given), [{"steps": 3}])[1])
    monkeypatch.setattr(large_file, "SIZE", (30, 40))
    assert TRIALS["100mp-faces"]("torch") == {"steps": 3}
    assert words[0][:2] == ("large_file", "faces")


def test_the_precision_table_has_a_column_for_each_precision_that_was_used(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(precisions, "HD", (64, 96))
    monkeypatch.setattr(precisions, "devices", lambda: ["cpu"])
    monkeypatch.setattr(precisions, "subjects", lambda names: [published_card()], raising=False)
    words = ["bench", "--table", "--models", PUBLISHED]
    assert main([*words, "--out", str(tmp_path)]) == 0
    (path,) = tmp_path.iterdir()
    rows = json.loads(path.read_text())["rows"]
    assert rows[0]["precision"] in {"fp32", "bf16"}
    assert len({row["precision"] for row in rows}) == len(rows)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("| seconds a picture | device | size | fp32 |")
    assert lines[2].startswith(f"| `{PUBLISHED}` | ")
    assert "96 x 64" in lines[2]
    assert HD == (720, 1280)


def test_a_device_that_fell_back_has_no_row(monkeypatch):
    class Fallen:
        def __init__(self, card, **options):
            self.engine = SimpleNamespace(warm=lambda cards: None)
            self.report = SimpleNamespace(device="cpu", precision="fp32", checkpoint="w", backend="torch")

        def ours(self, size, precision):
            return lambda: None

    monkeypatch.setattr(precisions, "Racer", Fallen)
    monkeypatch.setattr(precisions, "devices", lambda: ["cuda"])
    monkeypatch.setattr(precisions, "_name", lambda device: device)
    assert precisions.measure([published_card()], say=lambda text: None)["rows"] == []
    monkeypatch.setattr(precisions, "devices", lambda: ["cpu"])
    (row,) = precisions.measure([published_card()], say=lambda text: None)["rows"]
    assert (row["device"], row["precision"]) == ("cpu", "fp32")


def test_an_upload_cache_of_its_own_is_removed(monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", "before")
    with page.own_upload_folder() as folder:
        assert folder.is_dir()
        assert page.os.environ["GRADIO_TEMP_DIR"] == str(folder)
    assert not folder.exists()
    assert page.os.environ["GRADIO_TEMP_DIR"] == "before"
