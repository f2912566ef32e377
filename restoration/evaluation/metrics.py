"""Picture metrics as pure functions of two arrays: PSNR, SSIM, and the luma they are often taken on.

Knows nothing of files, networks or protocols; numpy only.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Plane = NDArray[np.float64]

_RADIUS, _SIGMA = 5, 1.5  # the 11 x 11 Gaussian window of Wang et al. 2004
_WEIGHTS = np.exp(-(np.arange(-_RADIUS, _RADIUS + 1) ** 2) / (2 * _SIGMA**2))
_WINDOW = _WEIGHTS / _WEIGHTS.sum()
_K1, _K2 = 0.01, 0.03
_LUMA = np.array((65.481, 128.553, 24.966)) / 255


def luma(picture: ArrayLike) -> Plane:
    """Y of ITU-R BT.601 in studio range, as MATLAB's `rgb2ycbcr` has it, not rounded.

    picture (H, W, 3) RGB in 0..255 -> (H, W) in 16..235.
    """
    return 16 + np.asarray(picture, np.float64) @ _LUMA


def psnr(a: ArrayLike, b: ArrayLike, border: int = 0, peak: float = 255.0) -> float:
    """Peak signal-to-noise ratio in dB over all pixels and channels; infinite for equal pictures.

    Args:
        a, b: (H, W) or (H, W, C), 0..`peak`.
        border: pixels left out on every side.
        peak: the value of white.

    Raises:
        ValueError: the shapes differ, or nothing is left inside the border.
    """
    first, second = _prepare(a, b, border)
    error = float(np.mean(np.square(first - second)))
    return 10 * math.log10(peak * peak / error) if error > 0 else math.inf


def ssim(a: ArrayLike, b: ArrayLike, border: int = 0, peak: float = 255.0) -> float:
    """Structural similarity (Wang et al. 2004): Gaussian window 11 x 11, sigma 1.5, population covariance.

    The mean over the positions where the window lies inside the picture, and over channels. Equal to scikit-image's
    `structural_similarity(gaussian_weights=True, sigma=1.5, use_sample_covariance=False)`.

    Args:
        a, b: (H, W) or (H, W, C), 0..`peak`.
        border: pixels left out on every side, before the window is applied.
        peak: the value of white.

    Returns: at most 1, for equal pictures.

    Raises:
        ValueError: the shapes differ, or less than 11 x 11 pixels are left inside the border.
    """
    first, second = _prepare(a, b, border)
    if min(first.shape[:2]) < len(_WINDOW):
        raise ValueError(f"SSIM needs at least {len(_WINDOW)} x {len(_WINDOW)} pixels, not {first.shape[:2]}")
    channels = (_similarity(first[..., c], second[..., c], peak) for c in range(first.shape[2]))
    return float(np.mean(list(channels)))


def _prepare(a: ArrayLike, b: ArrayLike, border: int) -> tuple[Plane, Plane]:
    first, second = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if first.shape != second.shape or first.ndim not in (2, 3):
        raise ValueError(f"two pictures of one shape are needed, not {first.shape} and {second.shape}")
    if border < 0 or 2 * border >= min(first.shape[:2]):
        raise ValueError(f"a border of {border} leaves nothing of {first.shape[:2]} pixels")
    height, width = first.shape[:2]
    inner = (slice(border, height - border), slice(border, width - border))
    return first[inner].reshape(*first[inner].shape[:2], -1), second[inner].reshape(*second[inner].shape[:2], -1)


def _similarity(a: Plane, b: Plane, peak: float) -> float:
    a, b = np.ascontiguousarray(a), np.ascontiguousarray(b)
    mean_a, mean_b = _windowed(a), _windowed(b)
    product = mean_a * mean_b
    squares = mean_a * mean_a + mean_b * mean_b
    covariance = _windowed(a * b) - product
    variances = _windowed(a * a + b * b) - squares  # the sum of both: the window is linear
    c1, c2 = (_K1 * peak) ** 2, (_K2 * peak) ** 2
    return float(np.mean((2 * product + c1) * (2 * covariance + c2) / ((squares + c1) * (variances + c2))))


def _windowed(plane: Plane) -> Plane:
    """The Gaussian window's weighted mean at every position where it fits: (H, W) -> (H - 10, W - 10)."""
    return _along_rows(_along_rows(plane).T).T


def _along_rows(plane: Plane) -> Plane:
    """One-dimensional symmetric filter down the columns, valid part."""
    length = plane.shape[0] - 2 * _RADIUS
    total = _WINDOW[_RADIUS] * plane[_RADIUS : _RADIUS + length]
    for offset in range(_RADIUS):
        mirrored = 2 * _RADIUS - offset
        total += _WINDOW[offset] * (plane[offset : offset + length] + plane[mirrored : mirrored + length])
    return total


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A metric and the facts a table needs about it.

    name: the key in score rows.
    title: for people.
    unit: "dB" or nothing.
    decimals: digits that mean something.
    higher_is_better: which way is up.
    compute: (a, b, border, peak) -> the value.
    """

    name: str
    title: str
    unit: str
    decimals: int
    higher_is_better: bool
    compute: Callable[[ArrayLike, ArrayLike, int, float], float]


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(name="psnr", title="PSNR", unit="dB", decimals=2, higher_is_better=True, compute=psnr),
        Metric(name="ssim", title="SSIM", unit="", decimals=4, higher_is_better=True, compute=ssim),
    )
}
