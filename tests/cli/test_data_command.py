"""`data resize` and `data degrade`: what they write, what they never touch, and their exit codes."""

import csv

import numpy as np
import pytest
import skimage.data
from PIL import Image

from restoration.cli.data import _RECIPES
from restoration.training.data import load_pictures
from restoration.training.folders import PAIR_MAKERS


@pytest.fixture
def folder(tmp_path):
    """Four photographs of 120 x 96 pixels, a text with a picture's ending, and a file that is no picture at all."""
    source = tmp_path / "in"
    source.mkdir()
    astronaut = skimage.data.astronaut()
    for number, name in enumerate(("1.png", "2.jpg", "10.png", "a.webp")):
        piece = np.ascontiguousarray(astronaut[20 : 20 + 96, 100 + 40 * number : 220 + 40 * number])
        Image.fromarray(piece).save(source / name, **({"lossless": True} if name.endswith("webp") else {}))
    (source / "broken.png").write_text("not a picture")
    (source / "notes.txt").write_text("nothing to see")
    return source


def picture(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def split(out):
    with (out / "split.csv").open(newline="") as file:
        return {row["fnames"]: row["is_val"] for row in csv.DictReader(file)}


def snapshot(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_resize_reduces_the_longer_side_and_leaves_small_pictures(command, folder, tmp_path):
    Image.new("RGB", (20, 40), "red").save(folder / "small.bmp")
    before, out = snapshot(folder), tmp_path / "out"
    code, stdout, stderr = command("data", "resize", folder, out, "--side", 60, "--workers", 3)
    assert code == 1  # one file is broken, the others are done
    assert stdout == f"{out}: 5 pictures\n"
    assert stderr.count("\n") == 1
    assert str(folder / "broken.png") in stderr
    sizes = {path.name: picture(path).shape[:2] for path in out.iterdir()}
    assert sizes == {
        "1.png": (48, 60), "2.jpg": (48, 60), "10.png": (48, 60), "a.webp": (48, 60), "small.png": (40, 20)
    }  # fmt: skip
    expected = Image.fromarray(picture(folder / "1.png")).resize((60, 48), Image.Resampling.BICUBIC)
    assert np.array_equal(picture(out / "1.png"), np.asarray(expected))
    assert snapshot(folder) == before


def test_resize_keeps_equal_names_apart(command, folder, tmp_path):
    (folder / "broken.png").unlink()
    Image.new("RGB", (30, 30), "red").save(folder / "1.bmp")
    code, _, stderr = command("data", "resize", folder, tmp_path / "out", "--side", 60)
    assert (code, stderr) == (0, "")
    assert {"1.png", "1-2.png"} <= {path.name for path in (tmp_path / "out").iterdir()}
    assert len(list((tmp_path / "out").iterdir())) == 5


def test_degrade_writes_pairs_and_a_split_that_training_reads(command, folder, tmp_path):
    before, out = snapshot(folder), tmp_path / "out"
    words = ("data", "degrade", folder, out, "--recipe", "enhance", "--validation", 0.25)
    code, stdout, stderr = command(*words)
    assert code == 1
    assert stdout == f"{out}: 4 pairs in degraded and sharp, 1 for validation (split.csv)\n"
    assert stderr.count("\n") == 1
    for name in ("1", "2", "10", "a"):
        sharp, degraded = picture(out / "sharp" / f"{name}.png"), picture(out / "degraded" / f"{name}.png")
        assert sharp.shape == degraded.shape == (96, 120, 3)
        assert 0.3 < np.abs(sharp.astype(float) - degraded).mean() < 40
    assert np.array_equal(picture(out / "sharp" / "10.png"), picture(folder / "10.png"))
    rows = split(out)
    assert set(rows) == {f"sharp/{name}.png" for name in ("1", "2", "10", "a")}
    assert sorted(rows.values()) == ["False", "False", "False", "True"]
    loaded = load_pictures(out, 64)
    assert (len(loaded.train), len(loaded.validation)) == (3, 1)
    assert snapshot(folder) == before


@pytest.mark.parametrize("recipe", _RECIPES)
def test_every_recipe_is_seeded_and_its_pairs_lie_on_each_other(command, folder, tmp_path, recipe):
    (folder / "broken.png").unlink()
    for number, seed in enumerate((7, 7, 8)):
        words = ("--recipe", recipe, "--seed", seed, "--count", 2)
        assert command("data", "degrade", folder, tmp_path / str(number), *words)[0] == 0
    outs = [tmp_path / str(number) for number in range(3)]
    first, again, other = ([picture(out / "degraded" / f"{name}.png") for name in ("1", "2")] for out in outs)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(first, other, strict=True))
    margin = 16 if recipe in ("deblur", "lens-blur") else 0
    sharp = picture(outs[0] / "sharp" / "1.png")
    assert np.array_equal(sharp, picture(folder / "1.png")[margin : 96 - margin, margin : 120 - margin])
    assert first[0].shape == sharp.shape
    assert set(_RECIPES) == set(PAIR_MAKERS)


def test_more_pairs_than_pictures_take_them_in_turn_on_one_side_of_the_split(command, folder, tmp_path):
    (folder / "broken.png").unlink()
    out = tmp_path / "out"
    words = ("--recipe", "faces", "--count", 10, "--validation", 0.5)
    code, stdout, _ = command("data", "degrade", folder, out, *words)
    assert code == 0
    assert stdout.startswith(f"{out}: 10 pairs")
    rows = split(out)
    assert list(rows)[:3] == ["sharp/1.png", "sharp/1-2.png", "sharp/1-3.png"]
    assert len(rows) == len(list((out / "degraded").iterdir())) == len(list((out / "sharp").iterdir())) == 10
    for name in ("1", "2", "10", "a"):
        own = [flag for file, flag in rows.items() if file.removeprefix("sharp/").split(".")[0].split("-")[0] == name]
        assert len(set(own)) == 1
    versions = [picture(out / "degraded" / f"1{number}.png") for number in ("", "-2", "-3")]
    assert not np.array_equal(versions[0], versions[1])
    assert not np.array_equal(versions[1], versions[2])


def test_inputs_are_never_overwritten(command, folder, tmp_path):
    before = snapshot(folder)
    link = tmp_path / "link"
    link.symlink_to(folder)
    for out in (folder, link):
        code, stdout, stderr = command("data", "resize", folder, out, "--side", 20)
        assert (code, stdout) == (2, "")
        assert "never overwritten" in stderr
    sharp = tmp_path / "set" / "sharp"
    sharp.parent.mkdir()
    folder.rename(sharp)
    assert command("data", "degrade", sharp, sharp.parent, "--recipe", "enhance")[0] == 2
    assert command("data", "degrade", sharp, sharp, "--recipe", "enhance")[0] == 2
    assert snapshot(sharp) == before


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        ("resize IN OUT --side 0", 2, "at least 8 pixels"),
        ("resize IN OUT --side 60 --workers 0", 2, "worker"),
        ("resize nowhere OUT --side 60", 1, "no folder"),
        ("resize EMPTY OUT --side 60", 1, "no picture"),
        ("resize IN FILE --side 60", 2, "cannot be made"),
        ("degrade IN OUT --recipe enhance --validation 1", 2, "validation"),
        ("degrade IN OUT --recipe enhance --count 0", 2, "At least one pair"),
        ("degrade IN OUT --recipe enhance --seed -1", 2, "seed"),
        ("degrade IN OUT --recipe rain", 2, "invalid choice"),
        ("degrade TINY OUT --recipe deblur", 1, "40 x 30 pixels"),
        ("", 2, "ACTION"),
    ],
)
def test_what_cannot_be_is_one_sentence(command, folder, words, code, sentence):
    places = {"IN": folder, **{name: folder.parent / name.lower() for name in ("OUT", "EMPTY", "FILE", "TINY")}}
    for name in ("EMPTY", "TINY"):
        places[name].mkdir()
    places["FILE"].touch()
    Image.new("RGB", (40, 30)).save(places["TINY"] / "a.png")
    found, stdout, stderr = command("data", *(places.get(word, word) for word in words.split()))
    assert (found, stdout) == (code, "")
    assert sentence in stderr
