"""What goes wrong with photographs, as pure functions of a random generator and a sharp picture.

Pictures are uint8 (height, width, 3) sRGB arrays. The same generator state gives the same result.
Only numpy, Pillow and torch's FFT are used. Evaluation protocols live in `restoration/evaluation/protocols.py`.
"""

from __future__ import annotations

import io

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageFilter

Picture = NDArray[np.uint8]
Kernel = NDArray[np.float32]

_FILTERS = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS, Image.Resampling.BOX)
_SUBSAMPLINGS = ("4:2:0", "4:2:0", "4:4:4")  # most cameras and the web use 4:2:0


def to_picture(values: NDArray[np.floating]) -> Picture:
    """Values in 0..255 -> uint8, rounded and clipped."""
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def reduce_bicubic(picture: Picture, scale: int) -> Picture:
    """Antialiased bicubic reduction (Pillow's filter, like MATLAB's imresize); sides are multiples of `scale`."""
    height, width = picture.shape[:2]
    image = Image.fromarray(picture).resize((width // scale, height // scale), Image.Resampling.BICUBIC)
    return np.asarray(image)


def resize(picture: Picture, size: tuple[int, int], resampling: Image.Resampling = Image.Resampling.BICUBIC) -> Picture:
    """To (height, width) with one of Pillow's filters."""
    return np.asarray(Image.fromarray(picture).resize((size[1], size[0]), resampling))


def gaussian_blur(picture: Picture, sigma: float) -> Picture:
    """Gaussian blur of standard deviation `sigma` in pixels."""
    return np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(sigma))) if sigma > 0 else picture


def gaussian_noise(rng: Generator, picture: Picture, sigma: float, chroma: float = 1.0) -> Picture:
    """Additive noise of standard deviation `sigma` (in 1/255); `chroma` 0 makes it the same in R, G and B."""
    if sigma <= 0:
        return picture
    shape = picture.shape
    coloured = rng.standard_normal(shape, dtype=np.float32)
    if chroma < 1:
        gray = rng.standard_normal((*shape[:2], 1), dtype=np.float32)
        coloured = chroma * coloured + np.sqrt(1 - chroma * chroma) * gray
    return to_picture(picture + sigma * coloured)


def jpeg(picture: Picture, quality: int, subsampling: str = "4:2:0") -> Picture:
    """Through the real JPEG codec and back."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=quality, subsampling=subsampling)
    return np.asarray(Image.open(buffer))


def shake_kernel(rng: Generator, extent: int, steps: int = 192) -> Kernel:
    """A camera-shake kernel from a random trajectory (Boracchi and Foi 2012, section V-A), sub-pixel.

    A particle starts with a random velocity and is driven by Gaussian perturbations, an inertial pull to the
    start and rare impulsive shakes; the exposure keeps a random first part of the path, which a hand does
    not follow evenly: it dwells (a smooth random speed, ours). The path is scaled so that
    its larger side is `extent` pixels, splatted bilinearly and normalised to sum 1. The middle of its bounding box is
    the kernel's centre, as in published kernels: that is what tells a network where the sharp picture lies.

    Returns: (size, size) float32, size odd, at most extent + 4.
    """
    anxiety = 0.1 * rng.random()
    centripetal, jerk = 0.7 * rng.random(), 0.2 * rng.random()
    noise = rng.standard_normal((steps, 2)) @ np.array([1, 1j])
    shakes = rng.random(steps)
    angles = rng.random(steps)
    velocity = complex(np.exp(2j * np.pi * rng.random()))
    speed = 1.0 / steps
    position = 0j
    path: NDArray[np.complex128] = np.zeros(steps, np.complex128)
    for index in range(steps):
        impulse = 0j
        if shakes[index] < jerk * anxiety * 0.5:
            impulse = 2 * velocity * np.exp(1j * (np.pi + angles[index] - 0.5))
        velocity = velocity + impulse + anxiety * (noise[index] - centripetal * position * steps * speed)
        velocity = velocity / abs(velocity)
        position = position + velocity * speed
        path[index] = position
    path = path[: max(2, int(steps * rng.uniform(0.3, 1.0)))]
    x, y = np.real(path), np.imag(path)
    scale = extent / max(np.ptp(x), np.ptp(y), 1e-6)
    dwell = np.exp(np.interp(np.linspace(0, 1, len(x)), np.linspace(0, 1, 9), rng.normal(0, rng.uniform(0, 1.2), 9)))
    return _splat(scale * (x - (x.min() + x.max()) / 2), scale * (y - (y.min() + y.max()) / 2), dwell)


def _splat(x: NDArray[np.float64], y: NDArray[np.float64], dwell: NDArray[np.float64]) -> Kernel:
    """Bilinear splatting of a path (pixels, its bounding box centred on 0), each point weighted by its dwell time."""
    radius = int(np.ceil(max(np.abs(x).max(), np.abs(y).max()))) + 1
    size = 2 * radius + 1
    kernel = np.zeros((size, size))
    x, y = x + radius, y + radius
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    fx, fy = x - left, y - top
    for dy, wy in ((0, 1 - fy), (1, fy)):
        for dx, wx in ((0, 1 - fx), (1, fx)):
            np.add.at(kernel, (np.minimum(top + dy, size - 1), np.minimum(left + dx, size - 1)), dwell * wy * wx)
    return (kernel / kernel.sum()).astype(np.float32)


def convolve_valid(values: NDArray[np.float32], kernel: Kernel) -> NDArray[np.float32]:
    """True convolution (kernel flipped) per channel, the part that needs no padding.

    values (H, W, C), kernel (k, k) -> (H - k + 1, W - k + 1, C). By FFT in float32.
    """
    height, width = values.shape[:2]
    rows, columns = kernel.shape
    picture = torch.from_numpy(np.ascontiguousarray(values.transpose(2, 0, 1)))
    spectrum = torch.fft.rfft2(picture) * torch.fft.rfft2(torch.from_numpy(kernel), s=(height, width))
    full = torch.fft.irfft2(spectrum, s=(height, width))  # circular: the valid part is untouched by the wrap
    return full[:, rows - 1 :, columns - 1 :].permute(1, 2, 0).numpy()


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
    values: NDArray[np.float32] = picture.astype(np.float32) / np.float32(255)
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
        down, up = rng.choice(len(_FILTERS), 2)
        small = (max(1, round(height / factor)), max(1, round(width / factor)))
        worn = resize(resize(worn, small, _FILTERS[down]), (height, width), _FILTERS[up % 3])
    if rng.random() < 0.85:
        worn = gaussian_noise(rng, worn, float(rng.uniform(0, 12)), chroma=float(rng.uniform(0.3, 1)))
    if rng.random() < 0.9:
        worn = jpeg(worn, int(rng.integers(18, 92)), _SUBSAMPLINGS[rng.integers(3)])
    return worn


def wear_face(rng: Generator, picture: Picture) -> Picture:
    """What a small, old or much-forwarded face looks like once it is cropped and resized to the network's size."""
    height, width = picture.shape[:2]
    worn = gaussian_blur(picture, float(rng.uniform(0, 3.0)))
    factor = float(np.exp(rng.uniform(np.log(1.3), np.log(7))))
    small = (max(1, round(height / factor)), max(1, round(width / factor)))
    worn = resize(worn, small, _FILTERS[rng.integers(len(_FILTERS))])
    worn = gaussian_noise(rng, worn, float(rng.uniform(0, 10)), chroma=float(rng.uniform(0.3, 1)))
    if rng.random() < 0.85:
        worn = jpeg(worn, int(rng.integers(25, 95)), _SUBSAMPLINGS[rng.integers(3)])
    return resize(worn, (height, width), _FILTERS[rng.integers(3)])
