"""Blur kernels: camera shake along random trajectories, lens apertures, Gaussians.

A kernel is float32 (size, size), size odd, not negative, of sum 1. The middle of its bounding box is its centre, as in
published kernels: that is what tells a network where the sharp picture lies.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Kernel = NDArray[np.float32]
Path = NDArray[np.complex128]  # x + iy, pixels
Weights = NDArray[np.float64]


def trajectory(rng: Generator, steps: int = 192) -> tuple[Path, Weights]:
    """A random camera motion (Boracchi and Foi 2012, section V-A), of arbitrary size and place.

    A particle starts with a random velocity and is driven by Gaussian perturbations, an inertial pull to the
    start and rare impulsive shakes; the exposure keeps a random first part of the path, which a hand does
    not follow evenly: it dwells (a smooth random speed, ours). How jagged the path is varies thirtyfold.

    Returns: positions x + iy, and how long the exposure stays at each; both (2 .. steps,).
    """
    anxiety = 0.6 * 30 ** -rng.random()  # 0.02 .. 0.6: from smooth strokes to scribbles
    centripetal, jerk = 0.7 * rng.random(), 0.2 * rng.random()
    noise = rng.standard_normal((steps, 2)) @ np.array([1, 1j])
    shakes = rng.random(steps)
    angles = rng.random(steps)
    velocity = complex(np.exp(2j * np.pi * rng.random()))
    speed = 1.0 / steps
    position = 0j
    path: Path = np.zeros(steps, np.complex128)
    for index in range(steps):
        impulse = 0j
        if shakes[index] < jerk * anxiety * 0.5:
            impulse = 2 * velocity * np.exp(1j * (np.pi + angles[index] - 0.5))
        velocity = velocity + impulse + anxiety * (noise[index] - centripetal * position * steps * speed)
        velocity = velocity / abs(velocity)
        position = position + velocity * speed
        path[index] = position
    path = path[: max(2, int(steps * rng.uniform(0.3, 1.0)))]
    knots = rng.normal(0, rng.uniform(0, 1.2), 9)
    return path, np.exp(np.interp(np.linspace(0, 1, len(path)), np.linspace(0, 1, 9), knots))


def sized(path: Path, extent: float) -> Path:
    """The path scaled so that the larger side of its bounding box is `extent` pixels, the box's middle at 0."""
    x, y = np.real(path), np.imag(path)
    scale = extent / max(np.ptp(x), np.ptp(y), 1e-6)
    centred_x = scale * (x - (x.min() + x.max()) / 2)
    return centred_x + 1j * (scale * (y - (y.min() + y.max()) / 2))


def shake_kernel(rng: Generator, extent: int, steps: int = 192) -> Kernel:
    """A camera-shake kernel from a random `trajectory`, splatted with sub-pixel precision.

    Returns: (size, size) float32, size odd, at most extent + 4; the path's larger side is `extent` pixels.
    """
    path, dwell = trajectory(rng, steps)
    return splat(sized(path, extent), dwell)


def splat(path: Path, dwell: Weights) -> Kernel:
    """Bilinear splatting of a path (pixels, its bounding box centred on 0), each point weighted by its dwell time."""
    x, y = np.real(path), np.imag(path)
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


def disc_kernel(radius: float) -> Kernel:
    """A defocused lens with its aperture open: a disc of `radius` pixels, antialiased.

    Returns: (size, size) float32, size the smallest odd one that holds the disc.
    """
    return _sampled(radius, radius, lambda x, y: x * x + y * y <= radius * radius)


def polygon_kernel(radius: float, blades: int, angle: float = 0.0) -> Kernel:
    """A defocused lens stopped down: the regular polygon of its aperture blades, antialiased.

    Args:
        radius: of the circle through the corners, pixels.
        blades: the number of corners, at least 3; 5 to 9 in lenses.
        angle: of the first corner, radians.
    """
    corners = radius * np.exp(1j * (angle + 2 * np.pi * np.arange(blades) / blades))
    low, high = (complex(edge(corners.real), edge(corners.imag)) for edge in (np.min, np.max))
    middle = (low + high) / 2  # odd polygons do not sit in the middle of their bounding box
    normals = np.exp(1j * (angle + 2 * np.pi * (np.arange(blades) + 0.5) / blades))
    apothem = radius * np.cos(np.pi / blades)

    def inside(x: Weights, y: Weights) -> NDArray[np.bool_]:
        x, y = x + middle.real, y + middle.imag
        within = np.ones(np.broadcast_shapes(x.shape, y.shape), bool)
        for normal in normals:
            within &= x * normal.real + y * normal.imag <= apothem
        return within

    return _sampled(radius, max((high - low).real, (high - low).imag) / 2, inside)


def _sampled(radius: float, reach: float, inside: Callable[[Weights, Weights], NDArray[np.bool_]]) -> Kernel:
    """The share of every pixel that lies inside a shape, by counting a fine grid of points in each."""
    half = max(0, int(np.ceil(reach - 0.5)))
    fine = max(4, int(np.ceil(16 / max(radius, 0.25))))
    points = (np.arange((2 * half + 1) * fine) + 0.5) / fine - (half + 0.5)
    covered = np.asarray(inside(points[None, :], points[:, None]), np.float32)
    side = 2 * half + 1
    kernel = covered.reshape(side, fine, side, fine).mean((1, 3))
    if not kernel.sum():  # narrower than the grid: nothing is blurred
        kernel[half, half] = 1
    return (kernel / kernel.sum()).astype(np.float32)


def gaussian_kernel(sigma: float) -> Kernel:
    """A Gaussian of standard deviation `sigma` pixels, cut at 3 sigma; sigma above 0."""
    half = max(1, int(np.ceil(3 * sigma)))
    line = np.exp(-(np.arange(-half, half + 1) ** 2) / (2 * sigma * sigma))
    kernel = np.outer(line, line)
    return (kernel / kernel.sum()).astype(np.float32)


def combine(first: Kernel, second: Kernel) -> Kernel:
    """The kernel that blurs like both, one after the other; its size is the sum of the sizes less 1."""
    size = first.shape[0] + second.shape[0] - 1
    product = np.fft.rfft2(first, (size, size)) * np.fft.rfft2(second, (size, size))
    both = np.maximum(np.fft.irfft2(product, (size, size)), 0)
    both[both < 1e-7] = 0  # what the FFT's rounding leaves
    return (both / both.sum()).astype(np.float32)


def fitted(kernel: Kernel, radius: int) -> Kernel:
    """The kernel, cut to at most `radius` pixels around its centre, of sum 1."""
    cut = kernel.shape[0] // 2 - radius
    if cut <= 0:
        return kernel
    kernel = kernel[cut:-cut, cut:-cut]
    return kernel / kernel.sum()
