"""`restore`: exit codes, names, and what is never overwritten."""

import json

import numpy as np
import pytest
from PIL import Image

from restoration.cli.engines import default_engine
from restoration.cli.main import main
from restoration.cli.outputs import find_sources
from restoration.errors import WeightsError
from restoration.weights import WeightStore


def _pixels(path):
    with Image.open(path) as image:
        return np.asarray(image)


def test_a_photo_is_restored_into_a_folder_under_a_telling_name(command, photo, tmp_path):
    source, out = photo("beach.png"), tmp_path / "new" / "out"
    code, stdout, _ = command("restore", source, "-o", out, "--task", "enhance")
    assert code == 0
    assert [path.name for path in out.iterdir()] == ["beach-enhanced.png"]
    assert np.array_equal(_pixels(out / "beach-enhanced.png"), 255 - _pixels(source))
    assert stdout.startswith(f"{source} -> {out / 'beach-enhanced.png'} (")


def test_enlarge_says_the_scale_in_the_name_and_obeys_it(command, photo, tmp_path):
    source = photo("beach.jpg")
    for words, name, side in (([], "beach-enlarged-2x.jpg", 48), (["--scale", 3], "beach-enlarged-3x.jpg", 72)):
        assert command("restore", source, "-o", tmp_path / "out", "--task", "enlarge", *words)[0] == 0
        assert _pixels(tmp_path / "out" / name).shape[1] == side


def test_model_and_strength_reach_the_engine(command, photo, tmp_path, engine):
    words = ("--task", "enlarge", "--model", "edsr-baseline-x3", "--strength", 0.25)
    assert command("restore", photo("a.png"), "-o", tmp_path / "out", *words)[0] == 0
    assert engine.calls == [("edsr-baseline-x3", "enlarge", 3, 0.25)]


def test_the_precision_reaches_the_engine(command, photo, tmp_path, engine):
    for wish in ("fast", "fp32"):
        words = ("restore", photo("a.png"), "-o", tmp_path / "out", "--task", "enhance", "--precision", wish)
        assert command(*words)[0] == 0
    assert command("evaluate", "--task", "enhance", "--data", photo("b/a.png").parent, "--precision", "fast")[0] == 0
    assert engine.precisions == ["fast", "fp32", "fast"]
    code, _, stderr = command("restore", photo("a.png"), "-o", tmp_path, "--task", "enhance", "--precision", "int8")
    assert code == 2
    assert "invalid choice: 'int8'" in stderr


def test_one_bad_file_is_one_line_and_the_others_are_done(command, photo, tmp_path):
    first, last = photo("1.png"), photo("3.png")
    (tmp_path / "2.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    words = (first, tmp_path / "2.png", tmp_path / "4.png", last, "-o", tmp_path / "out", "--task", "enhance")
    code, _, stderr = command("restore", *words)
    assert code == 1
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["1-enhanced.png", "3-enhanced.png"]
    lines = stderr.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith(f"restoration: {tmp_path / '2.png'}: ")
    assert lines[1] == f"restoration: {tmp_path / '4.png'}: There is no such file."


def test_a_picture_over_the_limits_fails_alone(command, photo, tmp_path):
    Image.new("RGB", (301, 20)).save(tmp_path / "wide.png")  # the fake engine's limit is 300
    code, _, stderr = command(
        "restore", tmp_path / "wide.png", photo("a.png"), "-o", tmp_path / "out", "--task", "enhance"
    )
    assert code == 1
    assert "301" in stderr
    assert (tmp_path / "out" / "a-enhanced.png").exists()


def test_json_is_a_list_of_reports_with_both_paths(command, photo, tmp_path):
    source, out = photo("a.png"), tmp_path / "out"
    code, stdout, _ = command("restore", source, tmp_path / "no.png", "-o", out, "--task", "enhance", "--json")
    good, bad = json.loads(stdout)
    assert code == 1
    assert set(good) == {
        "input_path", "output_path", "task", "model", "checkpoint", "device", "precision", "backend", "input", "output",
        "tiles", "seconds", "warnings",
    }  # fmt: skip
    assert good["input_path"] == str(source)
    assert good["output_path"] == str(out / "a-enhanced.png")
    assert {"decode", "encode"} <= set(good["seconds"])
    assert bad == {"input_path": str(tmp_path / "no.png"), "error": "There is no such file."}


def test_what_the_format_cannot_hold_is_a_warning(command, tmp_path):
    Image.new("RGBA", (20, 20), (9, 9, 9, 100)).save(tmp_path / "a.png")
    words = (tmp_path / "a.png", "-o", tmp_path / "out", "--task", "enhance", "--format", "jpeg")
    code, stdout, _ = command("restore", *words)
    assert code == 0
    assert "transparency" in stdout


def test_a_folder_is_its_pictures_in_natural_order_and_every_file_once(photo, tmp_path):
    for name in ("f/10.png", "f/2.png", "f/deeper/1.png"):
        photo(name)
    (tmp_path / "f" / "notes.txt").touch()
    (tmp_path / "empty").mkdir()
    found = find_sources([tmp_path / "f" / "10.png", tmp_path / "f", tmp_path / "empty"])
    assert [source.path.name for source in found] == ["10.png", "2.png", "empty"]
    assert [bool(source.problem) for source in found] == [False, False, True]


def test_two_photos_of_one_name_both_survive(command, photo, tmp_path):
    sources = [photo("a/beach.png"), photo("b/beach.png"), photo("c/BEACH.png")]
    code, _, _ = command("restore", *sources, "-o", tmp_path / "out", "--task", "enhance")
    assert code == 0
    names = ["beach-enhanced.png", "beach-enhanced-2.png", "BEACH-enhanced-3.png"]
    written = {path.name.casefold(): path for path in (tmp_path / "out").iterdir()}
    assert len(written) == 3
    for source, name in zip(sources[:2], names[:2], strict=True):
        assert np.array_equal(_pixels(written[name]), 255 - _pixels(source))


def test_a_result_never_replaces_an_input(command, photo, tmp_path):
    source, decoy = photo("out/a.png"), photo("out/a-enhanced.png")
    before = decoy.read_bytes()
    assert command("restore", tmp_path / "out", "-o", tmp_path / "out", "--task", "enhance")[0] == 0
    assert decoy.read_bytes() == before
    assert np.array_equal(_pixels(tmp_path / "out" / "a-enhanced-2.png"), 255 - _pixels(source))
    assert np.array_equal(_pixels(tmp_path / "out" / "a-enhanced-enhanced.png"), 255 - _pixels(decoy))


def test_a_result_of_an_earlier_run_is_replaced(command, photo, tmp_path, engine):
    source = photo("a.png")
    assert command("restore", source, "-o", tmp_path / "out", "--task", "enhance")[0] == 0
    engine.change = lambda picture: picture // 2
    assert command("restore", source, "-o", tmp_path / "out", "--task", "enhance")[0] == 0
    (only,) = (tmp_path / "out").iterdir()
    assert np.array_equal(_pixels(only), _pixels(source) // 2)


def test_out_may_be_a_file_whose_ending_decides_the_format(command, photo, tmp_path):
    source = photo("a.png")
    for name, kind in (("x.jpeg", "JPEG"), ("y.JPG", "JPEG"), ("z.webp", "WEBP"), ("t.tiff", "TIFF"), ("p.png", "PNG")):
        assert command("restore", source, "-o", tmp_path / "new" / name, "--task", "enhance")[0] == 0
        with Image.open(tmp_path / "new" / name) as image:
            assert image.format == kind
    assert len(list((tmp_path / "new").iterdir())) == 5


@pytest.fixture
def in_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_several_photos_cannot_become_one_file(command, photo, tmp_path):
    photos = (photo("f/a.png"), photo("f/b.png"))
    for inputs in (photos, (tmp_path / "f",)):
        code, _, stderr = command("restore", *inputs, "-o", tmp_path / "x.png", "--task", "enhance")
        assert code == 2
        assert "give a folder" in stderr
    assert not (tmp_path / "x.png").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["-o", "x.bmp"], "not as .bmp"),
        (["-o", "x.png", "--format", "jpeg"], "contradicts"),
        (["-o", "a.png"], "never overwritten"),
        (["-o", "file"], "is a file"),
        (["-o", "file/out"], "cannot be written"),
        (["-o", "out", "--quality", "0"], "1 to 100"),
        (["-o", "out", "--strength", "nan"], "strength"),
        (["-o", "out", "--scale", "2"], "enlarge"),
        (["-o", "out", "--model", "unet-resnet-enhanc"], "did you mean"),
    ],
)
def test_options_that_cannot_be_are_one_line_and_exit_2(words, sentence, command, photo, in_folder):
    before = photo("a.png").read_bytes()
    (in_folder / "file").touch()
    code, stdout, stderr = command("restore", "a.png", "--task", "enhance", *words)
    assert code == 2
    assert stdout == ""
    assert sentence in stderr
    assert stderr.startswith("restoration: ")
    assert stderr.count("\n") == 1
    assert (in_folder / "a.png").read_bytes() == before


@pytest.mark.parametrize("words", [[], ["--task", "sharpen"], ["--task", "enhance", "--format", "bmp"]])
def test_argparse_refusals_exit_with_2(words, command, photo, tmp_path):
    code, _, stderr = command("restore", photo("a.png"), "-o", tmp_path / "out", *words)
    assert code == 2
    assert "usage:" in stderr


def test_ctrl_c_exits_with_130_and_leaves_no_half_file(command, photo, tmp_path, engine):
    def interrupt(_):
        raise KeyboardInterrupt

    engine.change = interrupt
    code, _, stderr = command("restore", photo("a.png"), "-o", tmp_path / "out", "--task", "enhance")
    assert code == 130
    assert stderr == "restoration: stopped.\n"
    assert list((tmp_path / "out").iterdir()) == []


def test_missing_weights_are_said_once_and_exit_with_1(photo, tmp_path, capsys, engine):
    engine.store = WeightStore(tmp_path)
    sources = [str(photo("a.png")), str(photo("b.png"))]
    code = main(["restore", *sources, "-o", str(tmp_path / "out"), "--task", "enhance"], make_engine=lambda *_: engine)
    stderr = capsys.readouterr().err
    assert code == 1
    assert stderr.count("\n") == 1
    assert "residual-unet-enhance" in stderr


def test_a_bug_travels_as_it_is(command, photo, tmp_path, engine):
    engine.change = lambda _: 1 / 0
    with pytest.raises(ZeroDivisionError):
        command("restore", photo("a.png"), "-o", tmp_path / "out", "--task", "enhance")


def test_damaged_weights_stop_the_command_at_the_first_file(command, photo, tmp_path, engine):
    def damaged(_):
        raise WeightsError("The weights are damaged.")

    engine.change = damaged
    code, _, stderr = command("restore", photo("a.png"), photo("b.png"), "-o", tmp_path / "out", "--task", "enhance")
    assert code == 1
    assert stderr == "restoration: The weights are damaged.\n"


def test_the_real_engine_has_the_limits_of_the_environment_and_the_folder_asked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("RESTORATION_MAX_SIDE", "123")
    real = default_engine("cpu", WeightStore(tmp_path))
    assert real.limits.side == 123
    assert real.store.folder == tmp_path
    assert real.device == "cpu"
