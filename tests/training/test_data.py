"""Training data: seeded pairs, a split by photograph, and clear sentences for bad folders."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from restoration.errors import DataError
from restoration.training.data import Pairs, batches, load_pictures
from restoration.training.recipes import enlarge_pairs, face_pairs, shake_pairs, wear_pairs


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
    Image.new("RGB", (8, 8)).save(folder / "tiny.png")
    assert load_pictures(folder, 32).skipped == 2


def test_a_folder_without_pictures_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no picture of at least 32 x 32"):
        load_pictures(tmp_path, 32)
    with pytest.raises(DataError, match="There is no folder"):
        load_pictures(tmp_path / "nowhere", 32)


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
