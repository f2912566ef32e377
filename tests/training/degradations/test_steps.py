"""Noise of the stated strength, JPEG by the real codec, halos, and resizes that move nothing."""

from collections.abc import Callable

import numpy as np
import pytest

from restoration.training.degradations import (
    Picture,
    chroma_noise,
    jpeg,
    rescale_chain,
    sensor_noise,
    sharpen,
    shifted_jpeg,
    to_light,
)

LUMA = np.array((0.299, 0.587, 0.114))


def even(value: int, side: int = 192) -> Picture:
    return np.full((side, side, 3), value, np.uint8)


@pytest.mark.parametrize("value", [80, 150, 220])
@pytest.mark.parametrize(("photons", "read"), [(500, 0), (3000, 0), (3000, 40)])
def test_sensor_noise_has_the_mean_and_variance_of_counted_light(value: int, photons: float, read: float) -> None:
    light = to_light(sensor_noise(np.random.default_rng(2), even(value), photons, read)).astype(float)
    true = float(to_light(even(value, 1)).mean())
    assert light.mean() == pytest.approx(true, rel=0.01)
    assert light.var() == pytest.approx(true / photons + (read / photons) ** 2, rel=0.08)


def test_sensor_noise_is_stronger_in_the_shadows_as_one_sees_it() -> None:
    dark, bright = (sensor_noise(np.random.default_rng(0), even(v), 800).std() for v in (40, 200))
    assert dark > 1.2 * bright


@pytest.mark.parametrize("grain", [1, 3, 5])
def test_chroma_noise_colours_and_keeps_the_gray(grain: int) -> None:
    gray = even(128)
    noisy = chroma_noise(np.random.default_rng(1), gray, 6.0, grain).astype(float) - 128
    assert np.abs(noisy @ LUMA).max() < 0.6
    assert noisy[..., 0].std() == pytest.approx(6, rel=0.05)
    assert noisy[..., 2].std() == pytest.approx(6, rel=0.05)
    neighbours = np.corrcoef(noisy[:, :-1, 0].ravel(), noisy[:, 1:, 0].ravel())[0, 1]
    assert (neighbours > 0.6) == (grain > 1)


def blockiness(picture: Picture, phase: int) -> float:
    """Steps across columns at `phase` modulo 8, compared with those elsewhere."""
    steps = np.abs(np.diff(picture.astype(float) @ LUMA, axis=1)).mean(0)
    at = (np.arange(len(steps)) + 1) % 8 == phase
    return float(steps[at].mean() / steps[~at].mean())


def test_jpeg_is_the_real_codec_with_blocks_of_eight(originals: tuple[Picture, ...]) -> None:
    worn = jpeg(originals[0], 10)
    assert blockiness(worn, 0) > 1.5
    assert all(blockiness(worn, phase) < 1.2 for phase in range(1, 8))
    assert blockiness(originals[0], 0) < 1.1
    errors = [np.abs(jpeg(originals[0], q).astype(float) - originals[0]).mean() for q in (10, 30, 60, 95)]
    assert errors == sorted(errors, reverse=True)


def test_four_two_zero_halves_the_resolution_of_colour_alone() -> None:
    stripes = even(0, 64)
    stripes[:, ::2], stripes[:, 1::2] = (200, 60, 60), (60, 100, 200)
    fine, coarse = (jpeg(stripes, 98, kind).astype(float) for kind in ("4:4:4", "4:2:0"))
    red = [np.abs(np.diff(p[..., 0] - p[..., 1], axis=1)).mean() for p in (stripes.astype(float), fine, coarse)]
    assert red[1] > 0.9 * red[0]
    assert red[2] < 0.3 * red[0]
    gray = np.abs(np.diff(coarse @ LUMA, axis=1)).mean()
    assert gray > 0.7 * np.abs(np.diff(stripes.astype(float) @ LUMA, axis=1)).mean()


def test_shifted_jpeg_has_its_blocks_anywhere(originals: tuple[Picture, ...]) -> None:
    found = set()
    for seed in range(16):
        worn = shifted_jpeg(np.random.default_rng(seed), originals[0], 8)
        assert worn.shape == originals[0].shape
        found.add(int(np.argmax([blockiness(worn, phase) for phase in range(8)])))
    assert len(found) >= 5


def test_sharpening_leaves_halos_beyond_the_edge_and_the_mean() -> None:
    edge = even(80, 64)
    edge[:, 32:] = 160
    halo = sharpen(edge, 1.5, 1.0).astype(float)
    assert halo[:, :32].min() < 65
    assert halo[:, 32:].max() > 175
    assert halo.mean() == pytest.approx(120, abs=0.5)
    assert (halo[:, :20] == 80).all()


def test_a_rescale_chain_loses_detail_and_moves_nothing(originals: tuple[Picture, ...]) -> None:
    original = originals[1].astype(float)
    for seed in range(12):
        worn = rescale_chain(np.random.default_rng(seed), originals[1], 0.2, 3).astype(float)
        assert worn.shape == original.shape
        assert worn.mean() == pytest.approx(original.mean(), abs=2.0)
        assert np.abs(np.diff(worn, axis=1)).mean() < np.abs(np.diff(original, axis=1)).mean()
        shifted = [np.abs(np.roll(original, s, axis) - worn)[8:-8, 8:-8].mean() for s in (-2, 2) for axis in (0, 1)]
        assert np.abs(original - worn)[8:-8, 8:-8].mean() < min(shifted)


def test_steps_are_drawn_on_a_sheet(
    sheet: Callable[[str, list[list[Picture]]], None], originals: tuple[Picture, ...]
) -> None:
    rng = np.random.default_rng
    rows = []
    for picture in originals:
        rows.append([picture, *(sensor_noise(rng(0), picture, photons, 1) for photons in (5000, 600, 100))])
        rows[-1] += [chroma_noise(rng(1), picture, 6, grain) for grain in (1, 4)]
        rows.append([jpeg(picture, 60), jpeg(picture, 20), jpeg(jpeg(picture[3:, 5:], 25), 40)])
        rows[-1][-1] = np.pad(rows[-1][-1], ((3, 0), (5, 0), (0, 0)), mode="edge")
        rows[-1] += [sharpen(picture, 1.5, 1.2)] + [rescale_chain(rng(s), picture, 0.25, 2) for s in (1, 2)]
    sheet("steps", rows)
