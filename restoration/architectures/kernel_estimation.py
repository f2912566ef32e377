"""What blurred this picture? The blur kernel of one picture, from the picture alone; and the inverse filter it gives.

Blind deconvolution in the maximum-a-posteriori family: a sparse latent picture and a kernel are estimated in turns,
from coarse to fine (L0 gradients: Xu, Zheng and Jia, "Unnatural L0 Sparse Representation for Natural Image Deblurring",
2013; Pan et al., "Deblurring Text Images via L0-Regularized Intensity and Gradient Prior", 2014). Every step is a
closed form in the frequency domain. Written from the papers. Pure functions on tensors, no weights; knows nothing of
files, tiles or devices.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

KERNEL_SIDE = 35
"""Kernels are squares of this many pixels a side; longer blur is not measured."""
RAW_SIDE = 45
"""Of the least-squares solutions they are cut from."""
FRAME = (RAW_SIDE - KERNEL_SIDE) // 2
_LUMA = (0.299, 0.587, 0.114)  # BT.601
_ROUNDS = 8
_COARSE_SPARSITY, _SPARSITY = 4e-3, 1e-3
"""What a gradient of the latent picture costs: few, strong edges find the shake's course in the reduced pictures; its
strokes are then measured on many."""
_SPARSITY_DECAY, _LEAST_SPARSITY = 1.1, 1e-4
_COUPLING_LIMIT, _COUPLING_GROWTH = 10.0, 4.0
_KERNEL_WEIGHT = 5e-4  # of the kernel's squared norm, times the pixels
_COARSE_THRESHOLD, _THRESHOLD, _SMALLEST_ISLAND = 0.1, 0.07, 0.05
_TAPER = 24
_FILLS, _FILL_WEIGHT = 2, 0.1  # rounds, and how smoothly the surroundings are made


def estimate_kernel(gray: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Better and better estimates of the kernel that blurred a picture; the last one counts.

    Args:
        gray: (H, W) in 0..1, float32; at least 2 * KERNEL_SIDE pixels a side.

    Yields: after every round, and after every size's last tidying: the kernel (KERNEL_SIDE, KERNEL_SIDE), nonnegative,
        sum 1, its centre of mass in the middle; and the last least-squares solution it was cut from, (RAW_SIDE,
        RAW_SIDE), on the same grid, with its negative values and its noise. Coarse estimates lie in a frame of zeros.
    """
    kernel: Tensor | None = None
    for side in _pyramid(KERNEL_SIDE):
        blurred = _reduced(gray, side / KERNEL_SIDE)
        kernel = _first_guess(side, gray) if kernel is None else _resized(kernel, side)
        cost, threshold = (_SPARSITY, _THRESHOLD) if side == KERNEL_SIDE else (_COARSE_SPARSITY, _COARSE_THRESHOLD)
        solver = _Latent(blurred, min(_TAPER, side))
        solution = blurred
        for _ in range(_ROUNDS):
            latent = solver.solve(kernel, cost)
            solution = _least_squares_kernel(latent, blurred, side)
            kernel = _cut(solution, side, threshold)
            cost = max(cost / _SPARSITY_DECAY, _LEAST_SPARSITY)
            yield _framed(kernel, solution)
        shift = _to_middle(kernel)
        kernel = _without_islands(torch.roll(kernel, shift, (0, 1)))
        yield _framed(kernel, torch.roll(solution, shift, (0, 1)))


def luma(picture: Tensor) -> Tensor:
    """What blur is measured in: (3, H, W) RGB -> (H, W)."""
    return (picture * torch.tensor(_LUMA, device=picture.device)[:, None, None]).sum(0)


def wiener(blurred: Tensor, kernels: Tensor, weights: tuple[float, ...], pad: int = 40) -> Tensor:
    """Deconvolution with a known kernel: min |k * x - y|^2 + w |grad x|^2, in closed form (Wiener's filter for noise
    whose power grows against the picture's as the square of the frequency).

    What lies beyond the edges is unknown, and a guess that no kernel could have blurred rings into the picture: so the
    picture is deconvolved smoothly and blurred again a few times, and what that shows around it is taken for the
    surroundings (projections onto what is known in turn, as of Papoulis and Gerchberg).

    Args:
        blurred: (B, C, H, W) float32.
        kernels: (B, n, n), n odd, sum 1; a delta gives the picture back, slightly smoothed.
        weights: of the gradients, one result each; larger is smoother.
        pad: pixels by which the picture is continued on every side, for the transform's periodic world.

    Returns: (B, len(weights) * C, H, W), not clipped.
    """
    height, width = blurred.shape[-2:]
    periodic = continued(blurred, pad, (fast_length(height + 2 * pad), fast_length(width + 2 * pad)))
    shape = (periodic.shape[-2], periodic.shape[-1])
    transfer = _transfer(kernels, shape)[:, None]
    power, roughness = _power(transfer), _roughness(shape, blurred.device)
    inner = (..., slice(pad, pad + height), slice(pad, pad + width))
    reblurred = power / (power + _FILL_WEIGHT * roughness)  # 1 at frequency 0, where the picture's roughness is 0
    for _ in range(_FILLS):
        periodic = torch.fft.irfft2(reblurred * torch.fft.rfft2(periodic), s=shape)
        periodic[inner] = blurred
    numerator = transfer.conj() * torch.fft.rfft2(periodic)
    results = [torch.fft.irfft2(numerator / (power + weight * roughness), s=shape) for weight in weights]
    return torch.cat(results, dim=1)[inner]


def continued(picture: Tensor, pad: int, shape: tuple[int, int]) -> Tensor:
    """A picture (..., H, W) set into a periodic one of `shape`, `pad` pixels from its top left; what lies between is
    a smooth (raised cosine) way from each edge to the opposite one."""
    for dim, extent in ((-2, shape[0]), (-1, shape[1])):
        length = picture.shape[dim]
        gap = extent - length
        ramp = 0.5 - 0.5 * torch.cos(math.pi * (torch.arange(gap, device=picture.device) + 0.5) / gap)
        ramp = ramp[:, None] if dim == -2 else ramp
        last, first = picture.narrow(dim, length - 1, 1), picture.narrow(dim, 0, 1)
        way = last * (1 - ramp) + first * ramp
        after = gap - pad
        picture = torch.cat((way.narrow(dim, after, pad), picture, way.narrow(dim, 0, after)), dim=dim)
    return picture


def fast_length(length: int) -> int:
    """The next length whose only prime factors are 2, 3 and 5: those transforms are quick."""
    while True:
        rest = length
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return length
        length += 1


class _Latent:
    """The sparse picture behind a blurred one: min |k * x - y|^2 + s |grad x|_0 by half-quadratic splitting."""

    def __init__(self, blurred: Tensor, pad: int) -> None:
        height, width = blurred.shape
        self.shape = (fast_length(height + 2 * pad), fast_length(width + 2 * pad))
        self.periodic = continued(blurred, pad, self.shape)
        self.spectrum = torch.fft.rfft2(self.periodic)
        self.roughness = _roughness(self.shape, blurred.device)
        self.inner = (slice(pad, pad + height), slice(pad, pad + width))

    def solve(self, kernel: Tensor, sparsity: float) -> Tensor:
        """-> (H, W), the picture with few gradients."""
        transfer = _transfer(kernel[None], self.shape)[0]
        numerator, power = transfer.conj() * self.spectrum, _power(transfer)
        latent, coupling = self.periodic, 2 * sparsity
        while coupling < _COUPLING_LIMIT:
            across, down = _gradients(latent)
            small = across.square() + down.square() < sparsity / coupling
            across, down = across.masked_fill(small, 0), down.masked_fill(small, 0)
            divergence = (torch.roll(across, 1, 1) - across) + (torch.roll(down, 1, 0) - down)
            total = numerator + coupling * torch.fft.rfft2(divergence)
            latent = torch.fft.irfft2(total / (power + coupling * self.roughness), s=self.shape)
            coupling *= _COUPLING_GROWTH
        return latent[self.inner]


def _least_squares_kernel(latent: Tensor, blurred: Tensor, side: int) -> Tensor:
    """min over k of |grad x * k - grad y|^2 + g |k|^2: (H, W), the kernel's middle at [0, 0]."""
    window = _window(latent, side // 2 + 2)
    power, cross = 0, 0
    for sharp, soft in zip(_gradients(latent), _gradients(blurred), strict=True):
        spectrum = torch.fft.rfft2(sharp * window)
        power = power + _power(spectrum)
        cross = cross + spectrum.conj() * torch.fft.rfft2(soft * window)
    shape = (latent.shape[0], latent.shape[1])
    return torch.fft.irfft2(cross / (power + _KERNEL_WEIGHT * latent.numel()), s=shape)


def _window(picture: Tensor, edge: int) -> Tensor:
    """(H, W): 1, falling to 0 over `edge` pixels at each border, so that the wrap makes no edge."""
    slope = torch.hann_window(2 * edge + 1, periodic=False, device=picture.device)
    sides = []
    for length in picture.shape:
        side = torch.ones(length, device=picture.device)
        side[:edge] = slope[:edge]
        side[-edge:] = torch.minimum(side[-edge:], slope[edge + 1 :])
        sides.append(side)
    return sides[0][:, None] * sides[1][None]


def _cut(solution: Tensor, side: int, threshold: float) -> Tensor:
    """The kernel in a least-squares solution: the middle, without what is negative or fainter than that part of the
    strongest pixel; sum 1."""
    kernel = _middle(solution, side).clamp(min=0)
    return _normalised(torch.where(kernel < threshold * kernel.max(), torch.zeros_like(kernel), kernel))


def _normalised(kernel: Tensor) -> Tensor:
    """Of sum 1; where nothing is left, or what is left is no number, one pixel in the middle."""
    total = float(kernel.sum())
    if total > 1e-12 and math.isfinite(total):
        return kernel / total
    kernel = torch.zeros_like(kernel)
    kernel[kernel.shape[0] // 2, kernel.shape[1] // 2] = 1
    return kernel


def _middle(solution: Tensor, side: int) -> Tensor:
    """A square around [0, 0] of a periodic array."""
    radius = side // 2
    return torch.roll(solution, (radius, radius), (0, 1))[:side, :side]


def _framed(kernel: Tensor, solution: Tensor) -> tuple[Tensor, Tensor]:
    """The kernel padded to KERNEL_SIDE, and the solution's middle, RAW_SIDE (zeros where it is smaller)."""
    missing = (KERNEL_SIDE - kernel.shape[0]) // 2
    side = min(RAW_SIDE, (min(solution.shape) - 1) // 2 * 2 + 1)
    raw = _middle(solution, side)
    beside = (RAW_SIDE - side) // 2
    return F.pad(kernel, (missing,) * 4), F.pad(raw, (beside,) * 4)


def _to_middle(kernel: Tensor) -> tuple[int, int]:
    """The whole pixels by which a kernel must be rolled to bring its centre of mass to its middle."""
    places = torch.arange(kernel.shape[0], dtype=kernel.dtype, device=kernel.device)
    middle = (kernel.shape[0] - 1) / 2
    centre = [float((kernel.sum(1 - axis) * places).sum()) for axis in (0, 1)]
    return round(middle - centre[0]), round(middle - centre[1])


def _without_islands(kernel: Tensor) -> Tensor:
    """Drops the parts that touch nothing else and hold less than a twentieth of the sum."""
    present = (kernel > 0).to(kernel.dtype)
    labels = (torch.arange(1, kernel.numel() + 1, dtype=kernel.dtype, device=kernel.device)).view_as(kernel) * present
    while True:
        spread = F.max_pool2d(labels[None, None], 3, 1, 1)[0, 0] * present
        if torch.equal(spread, labels):
            break
        labels = spread
    sums = torch.zeros(kernel.numel() + 1, dtype=kernel.dtype, device=kernel.device)
    sums.index_add_(0, labels.long().flatten(), kernel.flatten())
    kept = sums[labels.long()] >= _SMALLEST_ISLAND * kernel.sum()
    return _normalised(torch.where(kept, kernel, torch.zeros_like(kernel)))


def _pyramid(side: int) -> list[int]:
    """The kernel's sides from coarse (5 or less) to fine, a factor of sqrt(2) apart, all odd."""
    sides = [side]
    while sides[-1] > 5:
        sides.append(max(3, round(sides[-1] / math.sqrt(2)) // 2 * 2 + 1))
    return sides[::-1]


def _first_guess(side: int, like: Tensor) -> Tensor:
    """Two pixels side by side."""
    kernel = torch.zeros(side, side, dtype=like.dtype, device=like.device)
    kernel[side // 2, side // 2 - 1 : side // 2 + 1] = 0.5
    return kernel


def _resized(kernel: Tensor, side: int) -> Tensor:
    larger = F.interpolate(kernel[None, None], size=(side, side), mode="bilinear", antialias=True)[0, 0].clamp(min=0)
    return _normalised(larger)


def _reduced(gray: Tensor, factor: float) -> Tensor:
    if factor >= 1:
        return gray
    size = (max(16, round(gray.shape[0] * factor)), max(16, round(gray.shape[1] * factor)))
    return F.interpolate(gray[None, None], size=size, mode="bicubic", antialias=True)[0, 0]


def _gradients(picture: Tensor) -> tuple[Tensor, Tensor]:
    """Forward differences to the right and down, periodic."""
    return torch.roll(picture, -1, 1) - picture, torch.roll(picture, -1, 0) - picture


def _transfer(kernels: Tensor, shape: tuple[int, int]) -> Tensor:
    """(B, n, n) -> (B, H, W // 2 + 1): the kernels' transfer functions, their middles at [0, 0]."""
    side = kernels.shape[-1]
    placed = F.pad(kernels, (0, shape[1] - side, 0, shape[0] - side))
    return torch.fft.rfft2(torch.roll(placed, (-(side // 2), -(side // 2)), (-2, -1)))


def _power(spectrum: Tensor) -> Tensor:
    return torch.view_as_real(spectrum).square().sum(-1)


def _roughness(shape: tuple[int, int], device: torch.device) -> Tensor:
    """(H, W // 2 + 1): the power of the two difference filters, 4 sin^2 + 4 sin^2."""
    vertical = 4 * torch.sin(math.pi * torch.fft.fftfreq(shape[0], device=device)).square()
    horizontal = 4 * torch.sin(math.pi * torch.fft.rfftfreq(shape[1], device=device)).square()
    return vertical[:, None] + horizontal[None]
