"""Blurs as linear operations on values: one kernel for all, a turning camera, a moving object.

They work alike on sRGB values and on linear light: `photo.py` decides which. Those that take a `margin` are given that
many pixels more on every side than they return, so that no border is invented.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image
from torch.nn import functional

from restoration.training.degradations.kernels import Kernel, Path, Weights, fitted
from restoration.training.degradations.pixels import Values

_FRAMES = 96  # the most warped pictures that are averaged
_AT_ONCE = 1 << 22  # samples warped at once, which bounds the memory a whole photograph takes


def convolve_valid(values: Values, kernel: Kernel) -> Values:
    """True convolution (kernel flipped) per channel, the part that needs no padding.

    values (H, W, C), kernel (k, k) -> (H - k + 1, W - k + 1, C). By FFT in float32.
    """
    height, width = values.shape[:2]
    rows, columns = kernel.shape
    picture = torch.from_numpy(np.ascontiguousarray(values.transpose(2, 0, 1)))
    spectrum = torch.fft.rfft2(picture) * torch.fft.rfft2(torch.from_numpy(kernel), s=(height, width))
    full = torch.fft.irfft2(spectrum, s=(height, width))  # circular: the valid part is untouched by the wrap
    return full[:, rows - 1 :, columns - 1 :].permute(1, 2, 0).numpy()


def uniform_blur(values: Values, kernel: Kernel, margin: int) -> Values:
    """One kernel over all: (H, W, C) -> (H - 2 margin, W - 2 margin, C); a kernel larger than the margin is cut."""
    kernel = fitted(kernel, margin)
    return convolve_valid(inner(values, margin - kernel.shape[0] // 2), kernel)


def inner(values: NDArray, border: int) -> NDArray:
    """What is left without `border` pixels on every side."""
    return values[border:-border, border:-border] if border else values


def camera_blur(
    values: Values, path: Path, angles: Weights, dwell: Weights, *, margin: int, centre: tuple[float, float]
) -> Values:
    """A camera that moves and turns about its optical axis while the shutter is open: another blur at every place.

    The average of the picture warped to every moment of the exposure, sampled bilinearly. Whyte et al. 2010 model
    shake by rotations; here the angles are small, so that a place (x, y) moves by (-angle (y - cy), angle (x - cx)).
    At every place the motion's bounding box is brought to the middle, as kernels are.

    Args:
        values: (H, W, C).
        path: translation at every moment, pixels, x + iy.
        angles: the turn at every moment, radians, well below 0.2.
        dwell: the weight of every moment.
        margin: pixels cut on every side; motion beyond it is clamped.
        centre: (y, x) about which the camera turns, pixels in `values`; it may lie outside.

    Returns: (H - 2 margin, W - 2 margin, C).
    """
    height, width = values.shape[:2]
    rows = np.arange(margin, height - margin)
    columns = np.arange(margin, width - margin)
    reach = np.hypot(np.abs(rows - centre[0]).max(), np.abs(columns - centre[1]).max())
    path, angles, dwell = _moments(path, angles, dwell, float(reach))
    across = _middled(
        np.real(path)[:, None] - angles[:, None] * (rows - centre[0]), margin
    )  # (N, rows): x depends on y
    down = _middled(np.imag(path)[:, None] + angles[:, None] * (columns - centre[1]), margin)  # (N, columns)
    total = torch.zeros(values.shape[2], len(rows), len(columns))
    at_once = max(1, _AT_ONCE // (len(rows) * len(columns)))
    for start in range(0, len(dwell), at_once):
        part = slice(start, start + at_once)
        x = 2 * (columns[None, None, :] - across[part, :, None]) / (width - 1) - 1
        y = 2 * (rows[None, :, None] - down[part, None, :]) / (height - 1) - 1
        total += _summed(values, np.stack([x, y], axis=-1), dwell[part])
    return total.permute(1, 2, 0).contiguous().numpy()


def _summed(values: Values, places: NDArray[np.float64], weights: Weights) -> torch.Tensor:
    """The picture seen from `places` (N, h, w, 2), x and y in -1..1, bilinearly; their weighted sum (C, h, w)."""
    source = torch.from_numpy(np.ascontiguousarray(values.transpose(2, 0, 1)))
    grid = torch.from_numpy(places.astype(np.float32))
    frames = functional.grid_sample(
        source.expand(len(grid), -1, -1, -1), grid, padding_mode="border", align_corners=True
    )
    return torch.einsum("n,nchw->chw", torch.from_numpy(weights.astype(np.float32)), frames)


def _moments(path: Path, angles: Weights, dwell: Weights, reach: float) -> tuple[Path, Weights, Weights]:
    """The motion at moments less than a pixel apart wherever `reach` pixels from the centre, their weights of sum 1."""
    steps = np.abs(np.diff(path)) + np.abs(np.diff(angles)) * reach
    length = np.concatenate([[0.0], np.cumsum(steps)])
    count = int(np.clip(np.ceil(length[-1]), 1, _FRAMES))
    edges = np.linspace(0, length[-1], count + 1)
    middles = (edges[1:] + edges[:-1]) / 2
    spent = np.concatenate([[0.0], np.cumsum((dwell[1:] + dwell[:-1]) / 2)])
    weights = np.diff(np.interp(edges, length, spent)) if length[-1] > 0 else np.ones(1)
    x, y = (np.interp(middles, length, part(path)) for part in (np.real, np.imag))
    return x + 1j * y, np.interp(middles, length, angles), weights / weights.sum()


def _middled(offsets: Weights, margin: int) -> Weights:
    """Every place's offsets (moments, places) with the middle of their range at 0, within the margin."""
    offsets = offsets - (offsets.min(0) + offsets.max(0)) / 2
    return np.clip(offsets, -margin, margin)


def object_blur(values: Values, mask: Values, kernel: Kernel, margin: int, behind: Values | None = None) -> Values:
    """Something moves before a still background while the shutter is open.

    Colour and coverage are blurred alike and laid over the background, as light adds up: the object's edge mixes with
    what stands behind it.

    Args:
        values: (H, W, C).
        mask: (H, W) in 0..1, how much of each pixel the object covers.
        kernel: the object's motion.
        margin: pixels cut on every side.
        behind: (H, W, C) what is seen beside the object; None = `values` as they are.

    Returns: (H - 2 margin, W - 2 margin, C).
    """
    layer = np.concatenate([values * mask[..., None], mask[..., None]], axis=2)
    moved = uniform_blur(layer, kernel, margin)
    background = inner(values if behind is None else behind, margin)
    return moved[..., :-1] + (1 - moved[..., -1:]) * background


def soft_mask(rng: Generator, size: tuple[int, int]) -> Values:
    """A random smooth shape, (height, width) in 0..1 with soft edges, of about a quarter to two thirds of the area."""
    blobs = Image.fromarray(rng.standard_normal((4, 4), dtype=np.float32))
    field = np.asarray(blobs.resize((size[1], size[0]), Image.Resampling.BICUBIC))
    level = np.quantile(field, rng.uniform(0.33, 0.75))
    slope = max(float(np.std(field)), 1e-6) * rng.uniform(0.02, 0.25)
    return np.clip((field - level) / np.float32(slope) + np.float32(0.5), 0, 1).astype(np.float32)


def beyond_white(light: Values, brightness: float, threshold: float = 0.95) -> Values:
    """Lamps and glints brighter than white can show: linear light above `threshold` is raised smoothly.

    White itself becomes `brightness` (1 and more). Blurred and clipped, such places stay white and spread, which is
    what saturated photographs show and a blur of clipped values does not. Only what is all but clipped already is
    raised: a bright gray must come out as the gray it was.
    """
    over = np.clip((light.max(axis=2, keepdims=True) - threshold) / (1 - threshold), 0, 1)
    return light * (1 + np.float32(brightness - 1) * over * over)
