"""Training data: seeded pairs, a split by photograph, and clear sentences for bad folders."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from restoration.errors import DataError
from restoration.images.document import ImageDocument
from restoration.images.writing import write_image
from restoration.training.data import Pairs, batches, busy_crop, crop, find_folder, load_pictures
from restoration.training.recipes import RECIPES, enlarge_pairs, face_pairs, shake_pairs, wear_pairs


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    photos = tmp_path / "photos"
    photos.mkdir()
    rng = np.random.default_rng(0)
    rows = []
    for index in range(60):
        small = rng.integers(0, 255, (9, 9, 3), np.uint8)
        Image.fromarray(small).resize((72, 64)).save(photos / f"{index:02}.jpg")
        rows.append({"file": f"{index:02}.jpg", "source": "made", "original": f"photo {index // 2}", "licence": "CC0"})
    (tmp_path / "photos.json").write_text(json.dumps(rows))
    return photos


def test_tiles_of_one_photograph_stay_on_one_side_of_the_split(folder: Path) -> None:
    pictures = load_pictures(folder, 32)
    assert len(pictures.train) + len(pictures.validation) == 60
    assert len(pictures.validation) % 2 == 0
    assert {p.tobytes() for p in pictures.train}.isdisjoint({p.tobytes() for p in pictures.validation})


def test_damaged_and_small_pictures_are_counted_and_skipped(folder: Path) -> None:
    (folder / "text.png").write_text("not a picture")
    whole = (folder / "00.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    Image.new("RGB", (40, 40)).save(folder / "broken.png")
    broken = (folder / "broken.png").read_bytes()
    (folder / "broken.png").write_bytes(broken.replace(b"IDAT", b"IDAX"))
    Image.new("RGB", (8, 8)).save(folder / "tiny.png")
    pictures = load_pictures(folder, 32)
    assert (pictures.unreadable, pictures.small, pictures.skipped) == (3, 1, 4)
    assert pictures.describe().endswith("4 skipped (3 unreadable, 1 too small)")
    assert all(picture.dtype == np.uint8 for picture in pictures.train + pictures.validation)


def test_a_folder_without_pictures_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no picture of at least 32 x 32"):
        load_pictures(tmp_path, 32)
    with pytest.raises(DataError, match="There is no folder"):
        load_pictures(tmp_path / "nowhere", 32)
    Image.new("RGB", (31, 99)).save(tmp_path / "small.png")
    (tmp_path / "text.jpg").write_text("not a picture")
    with pytest.raises(DataError, match=r"2 skipped \(1 unreadable, 1 too small\)\.$"):
        load_pictures(tmp_path, 32)


def test_pictures_are_upright_without_alpha_and_of_eight_bits(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    color = rng.integers(0, 256, (40, 48, 3), np.uint8)
    deep = ImageDocument(color=color.astype(np.uint16) * 257)
    write_image(deep, tmp_path / "deep.png", format="png")
    gray = ImageDocument(color=color[..., :1].astype(np.uint16) * 257)
    write_image(gray, tmp_path / "gray.png", format="png")
    exif = Image.Exif()
    exif[274] = 6  # to be turned clockwise by 90 degrees
    Image.fromarray(color).save(tmp_path / "turned.png", exif=exif)
    alpha = np.full((40, 48, 1), 128, np.uint8)
    Image.fromarray(np.concatenate([color, alpha], axis=2)).save(tmp_path / "veil.png")
    (tmp_path / "split.csv").write_text(
        "fnames,is_val\n" + "".join(f"{name}.png,0\n" for name in ("deep", "gray", "turned", "veil"))
    )
    expected = color, np.repeat(color[..., :1], 3, axis=2), np.rot90(color, -1), color
    loaded = load_pictures(tmp_path, 32).train
    assert all(np.array_equal(a, b) for a, b in zip(loaded, expected, strict=True))
    assert all(picture.dtype == np.uint8 for picture in loaded)


def test_whole_tiles_are_squares_of_one_size(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    same = rng.integers(0, 256, (32, 32, 3), np.uint8)
    for name, picture in (("same", same), ("large", np.full((50, 50, 3), 9, np.uint8))):
        Image.fromarray(picture).save(tmp_path / f"{name}.png")
    for name, size in (("wide", (60, 50)), ("thin", (30, 50)), ("tiny", (31, 31))):
        Image.new("RGB", size).save(tmp_path / f"{name}.png")
    pictures = load_pictures(tmp_path, 32, squares=True)
    assert (pictures.oblong, pictures.small, pictures.skipped) == (1, 2, 3)
    assert pictures.describe().endswith("3 skipped (0 unreadable, 2 too small, 1 not square)")
    found = pictures.train + pictures.validation
    assert [picture.shape for picture in found] == [(32, 32, 3)] * 2
    assert any(np.array_equal(picture, same) for picture in found)
    for name in ("same", "large"):
        (tmp_path / f"{name}.png").unlink()
    with pytest.raises(DataError, match=r"no square picture of at least 32 x 32 pixels .* 1 not square\)\.$"):
        load_pictures(tmp_path, 32, squares=True)


def test_where_nothing_is_held_out_it_is_said(tmp_path: Path) -> None:
    for index in range(10):
        Image.new("RGB", (40, 40), (index, 0, 0)).save(tmp_path / f"{index}.png")
    rows = [f"{index}.png,0\n" for index in range(10)]
    (tmp_path / "split.csv").write_text("fnames,is_val\n" + "".join(rows))
    pictures = load_pictures(tmp_path, 32)
    assert pictures.shared
    assert (len(pictures.train), len(pictures.validation)) == (10, 8)
    assert pictures.describe().endswith("; none is held out: the validation pictures are training pictures")
    (tmp_path / "split.csv").unlink()
    assert not load_pictures(tmp_path, 32).shared


def test_of_few_photographs_one_is_held_out_and_a_single_one_is_trained_on(tmp_path: Path) -> None:
    for index, count in ((0, 1), (1, 2), (2, 3)):
        Image.new("RGB", (40, 40), (index, 0, 0)).save(tmp_path / f"{index}.png")
        pictures = load_pictures(tmp_path, 32)
        assert len(pictures.train) == max(1, count - 1)
        shared = {p.tobytes() for p in pictures.train} & {p.tobytes() for p in pictures.validation}
        assert bool(shared) is (count == 1)


def test_a_split_beside_the_pictures_is_kept_to(folder: Path) -> None:
    (folder / "sharp").mkdir()
    Image.new("RGB", (40, 40), (1, 2, 3)).save(folder / "sharp" / "deep.png")
    (folder / "split.csv").write_text("fnames,is_val\n01.jpg,False\n02.jpg,0\nsharp/deep.png,True\nlost.png,false\n")
    pictures = load_pictures(folder, 32)
    assert (len(pictures.train), len(pictures.validation), pictures.unreadable) == (2, 1, 1)
    assert (pictures.validation[0] == (1, 2, 3)).all()
    assert find_folder(folder, "train/general") == folder


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("name,is_val\na.png,0\n", "columns fnames and is_val"),
        ("fnames,is_val\na.png\n", "columns fnames and is_val"),
        ("fnames,is_val\na.png,perhaps\n", "neither true nor false"),
        ("fnames,is_val\n../a.png,0\n", "outside its folder"),
        ("fnames,is_val\n01.jpg,1\n", "to train on"),
    ],
)
def test_a_split_that_cannot_be_used_is_one_sentence(folder: Path, text: str, sentence: str) -> None:
    (folder / "split.csv").write_text(text)
    with pytest.raises(DataError, match=sentence):
        load_pictures(folder, 32)


def test_the_shares_of_several_processes_are_one_larger_batch(folder: Path) -> None:
    pairs = Pairs(load_pictures(folder, 32).train, partial(enlarge_pairs, 2, 8), seed=5)
    whole = batches(pairs, start=1, batch=6, workers=0)
    shares = [batches(pairs, start=1, batch=2, workers=0, process=p, processes=3) for p in range(3)]
    for _ in range(2):
        joined = [torch.cat(parts) for parts in zip(*(next(share) for share in shares), strict=True)]
        assert all(torch.equal(a, b) for a, b in zip(next(whole), joined, strict=True))


def test_a_resumed_feed_continues_the_unbroken_one(folder: Path) -> None:
    pairs = Pairs(load_pictures(folder, 32).train, partial(enlarge_pairs, 2, 8), seed=5)
    whole = batches(pairs, start=0, batch=4, workers=0)
    first = [next(whole) for _ in range(4)]
    again = batches(pairs, start=2, batch=4, workers=1)
    for expected, got in zip(first[2:], (next(again), next(again)), strict=True):
        assert torch.equal(expected[0], got[0])
        assert torch.equal(expected[1], got[1])
    assert not torch.equal(first[0][0], first[1][0])


def test_pairs_have_the_promised_sizes_and_are_aligned() -> None:
    rng = np.random.default_rng(0)
    smooth = np.asarray(Image.fromarray(rng.integers(0, 255, (12, 12, 3), np.uint8)).resize((256, 256), 3))
    for scale in (2, 3, 4):
        low, high = enlarge_pairs(scale, 16, np.random.default_rng(1), smooth)
        assert low.shape == (16, 16, 3)
        assert high.shape == (16 * scale, 16 * scale, 3)
        back = np.asarray(Image.fromarray(high).resize((16, 16), Image.Resampling.BICUBIC)).astype(int)
        assert np.abs(back - low)[2:-2, 2:-2].max() <= 2
    for make, side in ((partial(shake_pairs, 96), 96), (partial(wear_pairs, 96), 96), (face_pairs, 256)):
        worn, sharp = make(np.random.default_rng(1), smooth)
        assert worn.shape == sharp.shape == (side, side, 3)
        assert np.corrcoef(worn.ravel().astype(float), sharp.ravel().astype(float))[0, 1] > 0.7


def test_the_busiest_of_some_squares_is_taken_and_one_try_is_a_plain_crop() -> None:
    rng = np.random.default_rng(0)
    half = np.full((64, 64, 3), 90, np.uint8)
    half[:, 32:] = rng.integers(0, 255, (64, 32, 3))
    flat = []
    for seed in range(40):
        assert np.array_equal(
            busy_crop(np.random.default_rng(seed), half, 16, 1), crop(np.random.default_rng(seed), half, 16)
        )
        squares = np.random.default_rng(seed)
        candidates = [crop(squares, half, 16) for _ in range(3)]
        chosen = busy_crop(np.random.default_rng(seed), half, 16, 3)
        assert any(np.array_equal(chosen, each) for each in candidates)
        assert chosen.std() >= max(each.std() for each in candidates) - 3
        flat.append(chosen.std() < 1)
    assert np.mean(flat) < 0.15, "one square in three is flat, all of three one time in 27"


def test_the_enlargers_train_on_busy_squares_and_are_measured_on_all() -> None:
    photo = np.random.default_rng(0).integers(0, 255, (900, 900, 3), np.uint8)
    photo[:, :600] = 40
    for name in ("edsr-baseline-x2", "edsr-baseline-x3", "edsr-baseline-x4"):
        recipe = RECIPES[name]
        assert recipe.validation_pairs is not None
        busy, plain = (
            np.mean([pairs(np.random.default_rng(seed), photo)[1].std() > 1 for seed in range(30)])
            for pairs in (recipe.pairs, recipe.validation_pairs)
        )
        assert busy > plain + 0.2, name
        assert plain < 0.7, name
