"""What blurred this picture? The blur kernel of one picture, from the picture alone.

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

from restoration.architectures.deconvolution import (
    continued,
    fast_length,
    paired,
    power_of,
    roughness_of,
    scaled,
    transfer_function,
)

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
        pictures, kernels = _Latent(blurred, min(_TAPER, side)), _LeastSquares(blurred, side)
        solution = blurred
        for _ in range(_ROUNDS):
            solution = kernels.solve(pictures.solve(kernel, cost))
            kernel = _cut(solution, side, threshold)
            cost = max(cost / _SPARSITY_DECAY, _LEAST_SPARSITY)
            yield _framed(kernel, solution)
        shift = _to_middle(kernel)
        kernel = _without_islands(torch.roll(kernel, shift, (0, 1)))
        yield _framed(kernel, torch.roll(solution, shift, (0, 1)))


def luma(picture: Tensor) -> Tensor:
    """What blur is measured in: (3, H, W) RGB -> (H, W)."""
    return (picture * torch.tensor(_LUMA, device=picture.device)[:, None, None]).sum(0)


class _Latent:
    """The sparse picture behind a blurred one: min |k * x - y|^2 + s |grad x|_0 by half-quadratic splitting.

    Steps write where the ones before did: with memory taken anew for each, a picture takes 1.7 times as long.
    """

    def __init__(self, blurred: Tensor, pad: int) -> None:
        height, width = blurred.shape
        self.shape = (fast_length(height + 2 * pad), fast_length(width + 2 * pad))
        self.periodic = continued(blurred, pad, self.shape)
        self.spectrum = torch.fft.rfft2(self.periodic)
        self.roughness = paired(roughness_of(self.shape, blurred.device))
        self.inner = (slice(pad, pad + height), slice(pad, pad + width))
        self.latent, self.across, self.down, self.strength, self.divergence = (
            torch.empty_like(self.periodic) for _ in range(5)
        )
        self.total, self.divisor = torch.empty_like(self.spectrum), torch.empty_like(self.roughness)

    def solve(self, kernel: Tensor, sparsity: float) -> Tensor:
        """-> (H, W), the picture with few gradients; it lasts until the next call."""
        transfer = transfer_function(kernel[None], self.shape)[0]
        numerator, power = transfer.conj() * self.spectrum, paired(power_of(transfer))
        latent, coupling = self.periodic, 2 * sparsity
        while coupling < _COUPLING_LIMIT:
            if self._few_gradients(latent, sparsity / coupling):
                torch.fft.rfft2(self.divergence, out=self.total)
                torch.add(numerator, self.total, alpha=-coupling, out=self.total)
            else:
                self.total.copy_(numerator)
            torch.add(power, self.roughness, alpha=coupling, out=self.divisor)
            torch.view_as_real(self.total).div_(self.divisor)
            latent = torch.fft.irfft2(self.total, s=self.shape, out=self.latent)
            coupling *= _COUPLING_GROWTH
        return latent[self.inner]

    def _few_gradients(self, latent: Tensor, least: float) -> bool:
        """The divergence of those gradients whose square is at least this; the others become 0. -> Whether there are
        any: in the first step most pictures have none."""
        across, down = _difference(latent, 1, self.across), _difference(latent, 0, self.down)
        torch.mul(across, across, out=self.strength).addcmul_(down, down)
        if float(self.strength.max()) < least:
            return False
        kept = torch.ge(self.strength, least, out=self.strength)
        _difference(across.mul_(kept), 1, self.divergence, back=True)
        self.divergence.add_(_difference(down.mul_(kept), 0, self.strength, back=True))
        return True


class _LeastSquares:
    """The kernel between a sharp picture and a blurred one: min over k of |grad x * k - grad y|^2 + g |k|^2."""

    def __init__(self, blurred: Tensor, side: int) -> None:
        self.shape, self.window = (blurred.shape[0], blurred.shape[1]), _window(blurred, side // 2 + 2)
        self.gradient = torch.empty_like(blurred)
        self.soft = [self._spectrum(blurred, dim) for dim in (1, 0)]

    def solve(self, latent: Tensor) -> Tensor:
        """(H, W) -> (H, W), the kernel's middle at [0, 0]."""
        power, cross = torch.zeros((), device=latent.device), torch.zeros((), device=latent.device)
        for soft, dim in zip(self.soft, (1, 0), strict=True):
            spectrum = self._spectrum(latent, dim)
            power = power + power_of(spectrum)
            cross = cross + spectrum.conj() * soft
        gain = (power + _KERNEL_WEIGHT * latent.numel()).reciprocal()
        return torch.fft.irfft2(scaled(cross, gain), s=self.shape)

    def _spectrum(self, picture: Tensor, dim: int) -> Tensor:
        return torch.fft.rfft2(_difference(picture, dim, self.gradient).mul_(self.window))


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


def _difference(picture: Tensor, dim: int, out: Tensor, *, back: bool = False) -> Tensor:
    """Forward differences to the right (dim 1) or down (0), or backward ones; periodic. Writes into `out`."""
    length, first = picture.shape[dim], int(back)
    inner, last = picture.narrow(dim, 1, length - 1), length - 1
    torch.sub(inner, picture.narrow(dim, 0, last), out=out.narrow(dim, first, last))
    torch.sub(picture.narrow(dim, 0, 1), picture.narrow(dim, last, 1), out=out.narrow(dim, 0 if back else last, 1))
    return out
