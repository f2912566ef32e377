"""Deconvolution with a known kernel, and what it takes: transfer functions and periodic pictures.

Pure functions on tensors, no weights; knows nothing of files, tiles or devices.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

_FILLS, _FILL_WEIGHT = 2, 0.1  # rounds, and how smoothly the surroundings are made


Part = tuple[slice, slice]
"""Rows and columns of a picture, whole numbers of pixels from its top left."""


def wiener(
    blurred: Tensor, kernels: Tensor, weights: tuple[float, ...], pad: int = 40, part: Part | None = None
) -> Tensor:
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
        part: of the picture, what is returned; None = all.

    Returns: (B, len(weights) * C, H, W), or the part's height and width; not clipped.
    """
    height, width = blurred.shape[-2:]
    periodic = continued(blurred, pad, (fast_length(height + 2 * pad), fast_length(width + 2 * pad)))
    shape = (periodic.shape[-2], periodic.shape[-1])
    transfer = transfer_function(kernels, shape)[:, None]
    power, roughness = power_of(transfer), roughness_of(shape, blurred.device)
    inner = (..., slice(pad, pad + height), slice(pad, pad + width))
    reblurred = power / (power + _FILL_WEIGHT * roughness)  # 1 at frequency 0, where the picture's roughness is 0
    for _ in range(_FILLS):
        periodic = torch.fft.irfft2(scaled(torch.fft.rfft2(periodic), reblurred), s=shape)
        periodic[inner] = blurred
    numerator = transfer.conj() * torch.fft.rfft2(periodic)
    gains = [(power + weight * roughness).reciprocal() for weight in weights]
    rows, columns = part or (slice(0, height), slice(0, width))
    kept = (..., slice(pad + rows.start, pad + rows.stop), slice(pad + columns.start, pad + columns.stop))
    return torch.cat([torch.fft.irfft2(scaled(numerator, gain), s=shape)[kept] for gain in gains], dim=1)


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


def transfer_function(kernels: Tensor, shape: tuple[int, int]) -> Tensor:
    """(B, n, n) -> (B, H, W // 2 + 1): the kernels' transfer functions, their middles at [0, 0]."""
    side = kernels.shape[-1]
    placed = F.pad(kernels, (0, shape[1] - side, 0, shape[0] - side))
    return torch.fft.rfft2(torch.roll(placed, (-(side // 2), -(side // 2)), (-2, -1)))


def power_of(spectrum: Tensor) -> Tensor:
    """|.|^2 of complex values, real."""
    return torch.addcmul(spectrum.real.square(), spectrum.imag, spectrum.imag)


def paired(gain: Tensor) -> Tensor:
    """(..., n) -> (..., n, 2): each for the real and for the imaginary part. A complex number times a real one is four
    times as quick so as by its own type."""
    return gain.repeat_interleave(2, -1).unflatten(-1, (-1, 2))


def scaled(spectrum: Tensor, gain: Tensor) -> Tensor:
    """Complex times real."""
    return torch.view_as_complex(torch.view_as_real(spectrum) * paired(gain))


def roughness_of(shape: tuple[int, int], device: torch.device) -> Tensor:
    """(H, W // 2 + 1): the power of the two difference filters, 4 sin^2 + 4 sin^2."""
    vertical = 4 * torch.sin(math.pi * torch.fft.fftfreq(shape[0], device=device)).square()
    horizontal = 4 * torch.sin(math.pi * torch.fft.rfftfreq(shape[1], device=device)).square()
    return vertical[:, None] + horizontal[None]
