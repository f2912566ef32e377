"""Kernels are distributions, centred, and of the shape and size they are asked for."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import convolve2d

from restoration.training.degradations import (
    Kernel,
    Picture,
    combine,
    disc_kernel,
    gaussian_kernel,
    polygon_kernel,
    shake_kernel,
)
from restoration.training.degradations.kernels import fitted


def moments(kernel: Kernel) -> tuple[float, float, float]:
    """(mean y, mean x, mean square of the distance from the middle), in pixels."""
    half = kernel.shape[0] // 2
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    return float((kernel * y).sum()), float((kernel * x).sum()), float((kernel * (x * x + y * y)).sum())


MADE: list[Callable[[float], Kernel]] = [
    disc_kernel,
    lambda size: polygon_kernel(size, 5, 0.3),
    lambda size: polygon_kernel(size, 6),
    gaussian_kernel,
    lambda size: combine(disc_kernel(size), shake_kernel(np.random.default_rng(1), 7)),
]


@pytest.mark.parametrize("make", MADE)
@pytest.mark.parametrize("size", [0.1, 0.7, 1.0, 2.3, 6.5])
def test_a_kernel_is_a_square_distribution_whose_bounding_box_is_centred(
    make: Callable[[float], Kernel], size: float
) -> None:
    kernel = make(size)
    assert kernel.dtype == np.float32
    assert kernel.shape[0] == kernel.shape[1]
    assert kernel.shape[0] % 2 == 1
    assert kernel.min() >= 0
    assert kernel.sum() == pytest.approx(1, abs=1e-5)
    for axis in (0, 1):
        lit = np.flatnonzero(kernel.max(axis) > 1e-4)
        assert abs((lit[0] + lit[-1]) / 2 - kernel.shape[0] // 2) <= 0.5


@given(radius=st.floats(0.8, 12))
@settings(max_examples=40, deadline=None)
def test_a_lens_blurs_a_point_to_a_disc_of_the_stated_radius(radius: float) -> None:
    kernel = disc_kernel(radius)
    y, x, square = moments(kernel)
    assert (y, x) == pytest.approx((0, 0), abs=1e-3)
    assert 1 / kernel.max() == pytest.approx(np.pi * radius**2, rel=0.03)  # flat, over the whole area
    if radius > 3:
        assert np.sqrt(2 * (square - 1 / 6)) == pytest.approx(radius, rel=0.02)  # a pixel's own spread is 1/6


def test_a_small_disc_is_antialiased_below_a_pixel() -> None:
    kernels = [disc_kernel(radius) for radius in (0.6, 0.7, 0.8, 0.9, 1.0)]
    assert all(a.max() > b.max() + 0.03 for a, b in pairwise(kernels))
    assert np.array_equal(disc_kernel(0.3), np.ones((1, 1)))


@pytest.mark.parametrize("blades", [3, 5, 6, 8])
def test_a_polygon_has_the_area_of_its_aperture(blades: int) -> None:
    kernel = polygon_kernel(9, blades, 0.4)
    area = 0.5 * blades * 81 * np.sin(2 * np.pi / blades)
    assert 1 / kernel.max() == pytest.approx(area, rel=0.02)
    same, other = (polygon_kernel(9, blades, 0.4 + part * np.pi / blades) for part in (2, 1))
    assert np.abs(kernel - same).max() < 0.05 * kernel.max()
    first, second = (np.pad(k, 12 - k.shape[0] // 2) for k in (kernel, other))
    assert np.abs(first - second).max() > 0.3 * kernel.max()  # half a blade further it is not the same


def test_odd_polygons_are_centred_by_their_bounding_box() -> None:
    for angle in (0.0, np.pi / 2, 1.0):
        kernel = polygon_kernel(9, 3, angle)
        for axis in (0, 1):
            lit = np.flatnonzero(kernel.max(axis) > 0.1 * kernel.max())
            assert abs((lit[0] + lit[-1]) / 2 - kernel.shape[0] // 2) <= 0.5  # the middle of its circle is 2 away


def test_a_gaussian_has_the_asked_deviation() -> None:
    for sigma in (0.6, 1.5, 4.0):
        assert moments(gaussian_kernel(sigma))[2] == pytest.approx(2 * sigma**2, rel=0.05)


def test_combining_is_convolving() -> None:
    first, second = shake_kernel(np.random.default_rng(2), 11), disc_kernel(2.2)
    assert np.abs(combine(first, second) - convolve2d(first, second)).max() < 1e-6


def test_fitting_cuts_around_the_centre_and_keeps_the_sum() -> None:
    kernel = gaussian_kernel(4)
    assert fitted(kernel, 20) is kernel
    cut = fitted(kernel, 4)
    assert cut.shape == (9, 9)
    assert cut.sum() == pytest.approx(1, abs=1e-5)
    assert cut.argmax() == 40
    assert cut[4, 4] / cut[4, 8] == pytest.approx(np.exp(0.5), rel=1e-4)


def test_the_longest_shake_fits_a_margin_of_16() -> None:
    for seed in range(20):
        kernel = shake_kernel(np.random.default_rng(seed), 31)
        assert fitted(kernel, 16).sum() == pytest.approx(1, abs=1e-5)
        radius = kernel.shape[0] // 2
        assert kernel[radius - 16 : radius + 17, radius - 16 : radius + 17].sum() == pytest.approx(1, abs=1e-6)


def test_kernels_are_drawn_on_a_sheet(sheet: Callable[[str, list[list[Picture]]], None]) -> None:
    def drawn(kernel: Kernel) -> Picture:
        square = np.pad(kernel, 20 - kernel.shape[0] // 2)
        bright = np.uint8(np.rint(255 * np.sqrt(square / square.max())))
        return np.repeat(np.kron(bright, np.ones((4, 4), np.uint8))[..., None], 3, axis=2)

    shakes = [drawn(shake_kernel(np.random.default_rng(seed), 7 + 4 * seed)) for seed in range(7)]
    discs = [drawn(disc_kernel(radius)) for radius in (0.6, 1, 2, 3.5, 6, 9, 12)]
    polygons = [drawn(polygon_kernel(9, blades, 0.2)) for blades in (3, 4, 5, 6, 7, 8, 9)]
    gaussians = [drawn(gaussian_kernel(sigma)) for sigma in (0.3, 0.6, 1, 1.5, 2, 3, 4)]
    sheet("kernels", [shakes, discs, polygons, gaussians])
