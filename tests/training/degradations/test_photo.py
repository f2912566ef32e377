"""What recipes call: seeded, of the right size, wide, aligned with the original, and quick."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from numpy.random import Generator

from restoration.training.degradations import (
    Picture,
    photo,
    photo_blur,
    photo_defocus,
    photo_wear,
    photo_wear_face,
)

MARGIN = 16
Degrade = Callable[[Generator, Picture], Picture]
BLURRED: list[Degrade] = [lambda rng, p: photo_blur(rng, p, MARGIN), lambda rng, p: photo_defocus(rng, p, MARGIN)]
WORN: list[Degrade] = [photo_wear, photo_wear_face]


@pytest.mark.parametrize("degrade", BLURRED + WORN)
def test_the_same_seed_gives_the_same_picture_and_leaves_the_original(
    degrade: Degrade, originals: tuple[Picture, ...]
) -> None:
    before = originals[0].copy()
    several = [degrade(np.random.default_rng(seed), originals[0]) for seed in range(6)]
    assert len({picture.tobytes() for picture in several}) == 6
    for seed, picture in enumerate(several):
        assert np.array_equal(picture, degrade(np.random.default_rng(seed), originals[0]))
        assert picture.dtype == np.uint8
    assert np.array_equal(before, originals[0])


def distance(a: Picture, b: Picture, shift: tuple[int, int] = (0, 0)) -> float:
    moved = np.roll(b.astype(float), shift, (0, 1))
    return float(np.abs(a.astype(float) - moved)[12:-12, 12:-12].mean())


@pytest.mark.parametrize("degrade", BLURRED + WORN)
def test_a_degraded_picture_is_worse_lies_where_it_lay_and_keeps_its_brightness(
    degrade: Degrade, originals: tuple[Picture, ...]
) -> None:
    seeds = range(24)
    for original in originals:
        sharp = original[MARGIN:-MARGIN, MARGIN:-MARGIN] if degrade in BLURRED else original
        made = [degrade(np.random.default_rng(seed), original) for seed in seeds]
        assert all(picture.shape == sharp.shape for picture in made)
        here = np.mean([distance(picture, sharp) for picture in made])
        beside = [np.mean([distance(p, sharp, s) for p in made]) for s in ((0, 2), (0, -2), (2, 0), (-2, 0))]
        assert 1 < here < 15
        assert here < min(beside)
        assert np.mean([picture.mean() for picture in made]) == pytest.approx(sharp.mean(), rel=0.03)


def test_half_of_the_pairs_are_blurred_in_light_and_half_in_values(
    originals: tuple[Picture, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    lit = []
    monkeypatch.setattr(photo, "to_light", lambda *args: lit.append(args) or np.zeros(args[0].shape, np.float32))
    for seed in range(200):
        photo._exposed(np.random.default_rng(seed), originals[0][:40, :40], 4, photo._untouched)
    assert 75 < len(lit) < 125
    assert {gamma is None for _, gamma in lit} == {True, False}


def test_only_linear_light_saturates_and_a_bright_gray_stays_the_gray_it_was() -> None:
    lamp = np.zeros((64, 64, 3), np.uint8)
    lamp[30:34, 30:34] = 255
    whites = []
    for seed in range(60):
        blurred = photo._exposed(np.random.default_rng(seed), lamp, MARGIN, photo.defocused)
        whites.append(int((blurred > 250).sum()))
    assert max(whites) > 16 * 3  # a lamp brighter than white spreads
    assert sum(white == 0 for white in whites) > 15
    sky = np.full((64, 64, 3), (228, 233, 243), np.uint8)
    for seed in range(60):
        assert (
            np.abs(photo._exposed(np.random.default_rng(seed), sky, 4, photo.shaken).astype(int) - sky[0, 0]).max() <= 2
        )


def test_every_kind_of_blur_turns_up_and_some_pictures_stay_sharp(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def noted(blur: photo.Blur, rng: Generator, values: photo.Values, margin: int) -> photo.Values:
        seen.append(blur.__name__)
        return values

    monkeypatch.setattr(photo, "_BLURS", tuple(partial(noted, blur) for blur in photo._BLURS))
    tiny = np.zeros((40, 40, 3), np.uint8)
    for seed in range(200):
        photo_blur(np.random.default_rng(seed), tiny, MARGIN)
    assert {"shaken", "turned", "moving", "defocused", "_softened", "_untouched"} == set(seen)
    assert seen.count("_untouched") < 30


def test_small_and_narrow_pictures_can_be_worn() -> None:
    for size in ((9, 40), (40, 9), (2, 2), (17, 16)):
        picture = np.full((*size, 3), 90, np.uint8)
        for seed in range(20):
            assert photo_wear(np.random.default_rng(seed), picture).shape == picture.shape
    for seed in range(20):
        assert photo_blur(np.random.default_rng(seed), np.zeros((33, 34, 3), np.uint8), MARGIN).shape == (1, 2, 3)


def test_photographs_are_drawn_on_sheets(
    sheet: Callable[[str, list[list[Picture]]], None], originals: tuple[Picture, ...], astronaut: Picture
) -> None:
    crop = (slice(MARGIN, -MARGIN), slice(MARGIN, -MARGIN))
    for name, degrade in zip(("photo_blur", "photo_defocus"), BLURRED, strict=True):
        rows = [[o[crop], *(degrade(np.random.default_rng([i, s]), o) for s in range(6))]
                for i, o in enumerate(originals)]  # fmt: skip
        sheet(name, rows)
    for name, degrade, pictures in (
        ("photo_wear", photo_wear, originals),
        ("photo_wear_face", photo_wear_face, (astronaut,) * 3),
    ):
        rows = [[o, *(degrade(np.random.default_rng([i, s]), o) for s in range(6))] for i, o in enumerate(pictures)]
        sheet(name, rows)
