"""The degradations of the first bundled weights and of the pictures in `examples/`: they must not change by a bit.

New recipes take the wider ones of `photo.py`.
"""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from restoration.training.degradations.blurs import convolve_valid
from restoration.training.degradations.kernels import Kernel, shake_kernel
from restoration.training.degradations.pixels import FILTERS, Picture, resize, to_picture, to_values
from restoration.training.degradations.steps import SUBSAMPLINGS, gaussian_blur, gaussian_noise, jpeg


def shake(rng: Generator, picture: Picture, margin: int) -> Picture:
    """Camera shake: a random kernel, half in linear light with clipped highlights, half in sRGB values; then noise.

    `picture` carries `margin` pixels more on every side than what is returned; the kernel fits into it.
    """
    extent = round(float(np.exp(rng.uniform(np.log(2), np.log(2 * margin - 3)))))  # small shakes are the common ones
    kernel = shake_kernel(rng, extent)
    if rng.random() < 0.3:  # a little defocus or hand tremor on top softens the path
        kernel = _soften(kernel, float(rng.uniform(0.3, 0.9)))
    radius = kernel.shape[0] // 2
    cut = margin - radius
    values = to_values(picture)
    if cut > 0:
        values = values[cut:-cut, cut:-cut]
    elif cut < 0:
        kernel = kernel[-cut:cut, -cut:cut]
        kernel = kernel / kernel.sum()
    if rng.random() < 0.5:
        gain = float(rng.uniform(1.0, 1.25))  # light beyond white, clipped by the sensor
        values = np.clip(convolve_valid(np.float32(gain) * values ** np.float32(2.2), kernel), 0, 1) ** (1 / 2.2)
        values = values / gain ** (1 / 2.2)
    else:
        values = convolve_valid(values, kernel)
    return gaussian_noise(rng, to_picture(values * 255), float(rng.uniform(0, 4)))


def _soften(kernel: Kernel, sigma: float) -> Kernel:
    offsets = np.arange(-2, 3)
    line = np.exp(-(offsets**2) / (2 * sigma * sigma))
    line /= line.sum()
    padded = np.pad(kernel, 2)
    rows = sum(weight * np.roll(padded, shift, 0) for shift, weight in zip(offsets, line, strict=True))
    both = sum(weight * np.roll(rows, shift, 1) for shift, weight in zip(offsets, line, strict=True))
    return np.asarray(both / np.sum(both), dtype=np.float32)


def wear(rng: Generator, picture: Picture) -> Picture:
    """Softness, a lost and regained resolution, noise and JPEG: the everyday bad picture. Same size."""
    height, width = picture.shape[:2]
    worn = gaussian_blur(picture, float(rng.uniform(0, 1.6)) if rng.random() < 0.85 else 0.0)
    if rng.random() < 0.85:
        factor = float(rng.uniform(1.1, 3.0))
        down, up = rng.choice(len(FILTERS), 2)
        small = (max(1, round(height / factor)), max(1, round(width / factor)))
        worn = resize(resize(worn, small, FILTERS[down]), (height, width), FILTERS[up % 3])
    if rng.random() < 0.85:
        worn = gaussian_noise(rng, worn, float(rng.uniform(0, 12)), chroma=float(rng.uniform(0.3, 1)))
    if rng.random() < 0.9:
        worn = jpeg(worn, int(rng.integers(18, 92)), SUBSAMPLINGS[rng.integers(3)])
    return worn


def wear_face(rng: Generator, picture: Picture) -> Picture:
    """What a small, old or much-forwarded face looks like once it is cropped and resized to the network's size."""
    height, width = picture.shape[:2]
    worn = gaussian_blur(picture, float(rng.uniform(0, 3.0)))
    factor = float(np.exp(rng.uniform(np.log(1.3), np.log(7))))
    small = (max(1, round(height / factor)), max(1, round(width / factor)))
    worn = resize(worn, small, FILTERS[rng.integers(len(FILTERS))])
    worn = gaussian_noise(rng, worn, float(rng.uniform(0, 10)), chroma=float(rng.uniform(0.3, 1)))
    if rng.random() < 0.85:
        worn = jpeg(worn, int(rng.integers(25, 95)), SUBSAMPLINGS[rng.integers(3)])
    return resize(worn, (height, width), FILTERS[rng.integers(3)])
