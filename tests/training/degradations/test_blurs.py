"""Blurs keep the light they are given, move nothing as a whole, and vary over the picture where they should."""

from collections.abc import Callable

import numpy as np
import pytest

from restoration.training.degradations import (
    Picture,
    Values,
    beyond_white,
    camera_blur,
    disc_kernel,
    from_light,
    object_blur,
    shake_kernel,
    soft_mask,
    to_light,
    to_picture,
    to_values,
    trajectory,
    uniform_blur,
)
from restoration.training.degradations.kernels import sized, splat
from restoration.training.degradations.photo import defocused, moving, shaken, turned

BLURS = [shaken, turned, moving, defocused]
MARGIN = 16


def points(side: int, step: int) -> Values:
    values = np.zeros((side, side, 3), np.float32)
    values[step // 2 :: step, step // 2 :: step] = 1
    return values


def spread(patch: Values) -> tuple[float, float, float]:
    """(centre y, centre x, mean square distance from it) of a bright spot."""
    y, x = np.mgrid[: patch.shape[0], : patch.shape[1]]
    weight = patch / patch.sum()
    cy, cx = float((weight * y).sum()), float((weight * x).sum())
    return cy, cx, float((weight * ((y - cy) ** 2 + (x - cx) ** 2)).sum())


@pytest.mark.parametrize("blur", BLURS)
def test_a_blur_keeps_an_even_picture_and_is_linear_in_light(blur: Callable[..., Values]) -> None:
    even = np.full((96, 96, 3), 0.4, np.float32)
    for seed in range(4):
        assert np.abs(blur(np.random.default_rng(seed), even, MARGIN) - 0.4).max() < 1e-4
    values = np.random.default_rng(0).random((96, 96, 3), dtype=np.float32)
    once = blur(np.random.default_rng(7), values, MARGIN)
    assert once.shape == (64, 64, 3)
    assert np.abs(blur(np.random.default_rng(7), 3 * values, MARGIN) - 3 * once).max() < 1e-4


@pytest.mark.parametrize("blur", [shaken, turned, defocused])
def test_a_blur_keeps_the_energy_of_a_point_and_its_place(blur: Callable[..., Values]) -> None:
    point = np.zeros((97, 97, 3), np.float32)
    point[48, 48] = 1
    for seed in range(12):
        blurred = blur(np.random.default_rng(seed), point, MARGIN)[..., 0]
        assert blurred.sum() == pytest.approx(
            1, abs=0.08 if blur is turned else 1e-3
        )  # a turn spreads neighbours unevenly
        for axis in (0, 1):
            lit = np.flatnonzero(blurred.max(axis) > 1e-4)
            assert abs((lit[0] + lit[-1]) / 2 - 32) <= 1


def test_a_camera_that_does_not_turn_convolves() -> None:
    rng = np.random.default_rng(5)
    values = rng.random((80, 80, 3), dtype=np.float32)
    path, dwell = trajectory(rng)
    path = sized(path, 14)
    kernel = splat(path, dwell)
    expected = uniform_blur(values, kernel, MARGIN)
    ours = camera_blur(values, path, np.zeros(len(path)), dwell, margin=MARGIN, centre=(40, 40))
    assert np.abs(ours - expected).mean() < 0.01
    other = camera_blur(values, -path, np.zeros(len(path)), dwell, margin=MARGIN, centre=(40, 40))
    assert np.abs(other - expected).mean() > 0.02  # mirrored motion is another blur


def test_turning_blurs_nothing_at_its_centre_and_more_and_more_away_from_it() -> None:
    angles = np.linspace(-0.06, 0.06, 50)
    still, even = np.zeros(50, complex), np.ones(50)
    picture = points(193, 32)
    blurred = camera_blur(picture, still, angles, even, margin=MARGIN, centre=(80, 80))[..., 0]
    at_centre, away, far = (blurred[at - MARGIN - 12 : at - MARGIN + 13, 64 - 12 : 64 + 13] for at in (80, 112, 144))
    assert at_centre.max() == pytest.approx(1, abs=1e-3)
    assert [spread(patch)[2] for patch in (away, far)] == pytest.approx(
        [(0.06 * distance) ** 2 / 3 for distance in (32, 64)], rel=0.35
    )
    cy, cx, _ = spread(far)
    assert (cy, cx) == pytest.approx((12, 12), abs=0.1)
    assert far.max(1).max() > 2 * far.max(0).max() or far.sum(0).max() < far.sum(1).max()  # below the centre: sideways


def test_a_turning_camera_keeps_every_place_centred() -> None:
    picture, time = points(256, 32), np.linspace(0, 1, 60)
    path = 8 * time + 3j * time * time  # to one side only, and the camera turns to one side only
    blurred = camera_blur(picture, path, 0.06 * time, np.ones(60), margin=MARGIN, centre=(128, 60))[..., 0]
    widths = set()
    for y in range(32, 192, 32):
        for x in range(32, 192, 32):
            patch = blurred[y - 16 : y + 17, x - 16 : x + 17]
            for axis in (0, 1):
                lit = np.flatnonzero(patch.max(axis) > 1e-3)
                widths.add(int(np.ptp(lit)))
                assert abs((lit[0] + lit[-1]) / 2 - 16) <= 1
    assert max(widths) > min(widths) + 6  # and yet no two places are blurred alike


def test_only_what_the_mask_covers_moves() -> None:
    values = np.random.default_rng(3).random((96, 96, 3), dtype=np.float32)
    mask = np.zeros((96, 96), np.float32)
    mask[:, :48] = 1
    kernel = shake_kernel(np.random.default_rng(4), 11)
    moved = object_blur(values, mask, kernel, MARGIN)
    everywhere = uniform_blur(values, kernel, MARGIN)
    assert np.abs(moved[:, :24] - everywhere[:, :24]).max() < 1e-4
    assert np.abs(moved[:, 40:] - values[16:-16, 56:-16]).max() < 1e-4
    seam = moved[:, 28:36]
    assert np.abs(seam - everywhere[:, 28:36]).mean() > 0.01


def test_masks_are_soft_and_neither_empty_nor_full() -> None:
    for seed in range(30):
        mask = soft_mask(np.random.default_rng(seed), (90, 120))
        assert mask.shape == (90, 120)
        assert 0.15 < mask.mean() < 0.8
        assert ((mask > 0.05) & (mask < 0.95)).mean() > 0.005


def test_light_goes_there_and_back_and_the_curve_is_that_of_srgb() -> None:
    codes = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    for gamma in (None, 1.8, 2.2):
        assert np.array_equal(to_picture(255 * from_light(to_light(codes, gamma), gamma)), codes)
    light = to_light(codes)[..., 0].ravel()
    assert light[[0, 10, 128, 255]] == pytest.approx([0, 10 / 255 / 12.92, 0.2158605, 1], rel=1e-5)


def test_highlights_are_raised_beyond_white_only_at_the_top() -> None:
    light = to_light(np.arange(256, dtype=np.uint8).reshape(1, 256, 1).repeat(3, axis=2))
    raised = beyond_white(light, 4.0)
    assert raised.max() == pytest.approx(4)
    assert np.array_equal(raised[:, :248], light[:, :248])
    assert (np.diff(raised[0, :, 0]) > 0).all()


def test_saturated_points_stay_white_in_linear_light_only() -> None:
    lamp = np.zeros((65, 65, 3), np.uint8)
    lamp[31:34, 31:34] = 255
    kernel = disc_kernel(3)
    in_light = from_light(uniform_blur(beyond_white(to_light(lamp), 8.0), kernel, 8))
    plain = from_light(uniform_blur(to_light(lamp), kernel, 8))
    in_values = uniform_blur(to_values(lamp), kernel, 8)
    assert in_light.max() == pytest.approx(1)
    assert in_values.max() < plain.max() < 0.7
    assert (in_light > 0.99).sum() > 9 * 3 * 2  # more white than there was


def test_blurs_are_drawn_on_a_sheet(
    sheet: Callable[[str, list[list[Picture]]], None], originals: tuple[Picture, ...]
) -> None:
    rows = []
    for number, blur in enumerate(BLURS):
        grid = blur(np.random.default_rng(number), points(192, 32), MARGIN)
        row = [to_picture(255 * np.clip(grid * 20, 0, 1))]
        for index, original in enumerate(originals):
            for seed in range(2):
                light = beyond_white(to_light(original), 3)
                blurred = blur(np.random.default_rng([number, index, seed]), light, MARGIN)
                row.append(to_picture(255 * from_light(blurred)))
        rows.append(row)
    sheet("blurs", rows)
