"""Degradations are pure, seeded, and do what their names say."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import convolve2d
from skimage import data

from restoration.training import degradations
from restoration.training.degradations import Picture


@pytest.fixture(scope="module")
def cat() -> Picture:
    return np.ascontiguousarray(data.chelsea()[40:200, 120:280])


WHOLE: list[Callable[..., Picture]] = [
    degradations.wear,
    degradations.wear_face,
    lambda rng, p: degradations.shake(rng, p, 16),
]


@pytest.mark.parametrize("degrade", WHOLE)
def test_the_same_seed_gives_the_same_picture_and_leaves_the_original(
    degrade: Callable[..., Picture], cat: Picture
) -> None:
    before = cat.copy()
    first = degrade(np.random.default_rng(3), cat)
    assert np.array_equal(first, degrade(np.random.default_rng(3), cat))
    assert not np.array_equal(first, degrade(np.random.default_rng(4), cat))
    assert np.array_equal(cat, before)
    assert first.dtype == np.uint8


@given(seed=st.integers(0, 2**32), extent=st.integers(2, 31))
@settings(max_examples=60, deadline=None)
def test_a_shake_kernel_is_a_centred_distribution_of_the_asked_extent(seed: int, extent: int) -> None:
    kernel = degradations.shake_kernel(np.random.default_rng(seed), extent)
    assert kernel.shape[0] == kernel.shape[1]
    assert kernel.shape[0] % 2 == 1
    assert kernel.min() >= 0
    assert kernel.sum() == pytest.approx(1, abs=1e-5)
    ys, xs = np.nonzero(kernel > 0)
    span = max(np.ptp(ys), np.ptp(xs))
    assert extent - 1 <= span <= extent + 2
    middle = kernel.shape[0] // 2
    for positions in (ys, xs):  # the bounding box sits in the middle: no blur moves the picture as a whole
        assert abs((positions.min() + positions.max()) / 2 - middle) <= 0.5


def test_the_convolution_is_scipys(cat: Picture) -> None:
    kernel = degradations.shake_kernel(np.random.default_rng(0), 11)
    values = cat.astype(np.float32)
    ours = degradations.convolve_valid(values, kernel)
    for channel in range(3):
        expected = convolve2d(values[..., channel], kernel, mode="valid")
        assert np.abs(ours[..., channel] - expected).max() < 0.01


def test_a_shaken_point_covers_its_own_place_evenly() -> None:
    point = np.zeros((193, 193, 3), np.uint8)
    point[93:100, 93:100] = 255
    for seed in range(12):
        shaken = degradations.shake(np.random.default_rng(seed), point, 16)[..., 0]
        for axis in (0, 1):
            lit = np.flatnonzero(shaken.max(axis) > 24)
            assert abs((lit[0] + lit[-1]) / 2 - 80) < 6  # a wrong crop would move it by the margin of 16


def test_noise_has_the_asked_deviation() -> None:
    gray = np.full((256, 256, 3), 128, np.uint8)
    for chroma in (0.0, 0.5, 1.0):
        noisy = degradations.gaussian_noise(np.random.default_rng(1), gray, 6.0, chroma).astype(float)
        assert noisy.std() == pytest.approx(6.0, rel=0.03)
    assert np.ptp(degradations.gaussian_noise(np.random.default_rng(1), gray, 6.0, 0.0), axis=2).max() == 0


def test_worn_pictures_are_worse_but_recognisable(cat: Picture) -> None:
    for degrade in (degradations.wear, degradations.wear_face):
        errors = [np.abs(degrade(np.random.default_rng(s), cat).astype(float) - cat).mean() for s in range(20)]
        assert 0.5 < np.mean(errors) < 15
