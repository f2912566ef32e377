"""Convolutions and pixel shuffles with nothing between them that bends: one convolution and one shuffle do the same.

EDSR's tail makes hundreds of maps at the small size only to mix them into three at the large one. Both steps are
linear, so their kernels can be put together beforehand (as ECBSR does with its branches, Zhang et al. 2021): EDSR
baseline x2, x3, x4 then takes 9, 18 and 33 % less arithmetic, borders included (of 256 x 256 pixels). Only where the
large maps were padded with zeros do the two differ.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

REACH = 2
"""Input pixels to each side that may reach an output pixel: of 3x3 convolutions, one before the first shuffle and any
number behind shuffles by two or more."""
_BORDER = REACH + 1  # rows that tell the outermost one
_AT_ONCE = 64  # bright pixels


class CollapsedTail(nn.Module):
    """A tail from (B, C, H, W) to (B, 3, H * scale, W * scale), as one 5x5 convolution and one pixel shuffle.

    The outermost pixels, one of the input all around, are computed by the tail itself.

    Args:
        tail: linear but for its biases; nothing in it reaches further than `REACH` input pixels.
        scale: output side / input side.
    """

    def __init__(self, tail: nn.Module, scale: int) -> None:
        super().__init__()
        self.tail, self.scale = tail, scale
        weight, bias = _collapsed(tail, scale)
        outputs, inputs, side, _ = weight.shape
        self.convolution = nn.Conv2d(inputs, outputs, side, padding=REACH)
        self.convolution.weight = nn.Parameter(weight, requires_grad=False)
        self.convolution.bias = nn.Parameter(bias, requires_grad=False)
        self.shuffle = nn.PixelShuffle(scale)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, 3, H * scale, W * scale)."""
        if min(x.shape[2], x.shape[3]) < 2 * _BORDER:
            return self.tail(x)
        edge, width = self.scale, _BORDER
        inner = self.shuffle(self.convolution(x))[..., edge:-edge, edge:-edge]
        left, right = self.tail(x[..., :width]), self.tail(x[..., -width:])
        rows = torch.cat((left[..., edge:-edge, :edge], inner, right[..., edge:-edge, -edge:]), -1)
        top, bottom = self.tail(x[..., :width, :]), self.tail(x[..., -width:, :])
        return torch.cat((top[..., :edge, :], rows, bottom[..., -edge:, :]), -2)


def _collapsed(tail: nn.Module, scale: int) -> tuple[Tensor, Tensor]:
    """The kernel (3 * scale^2, C, 5, 5) and the bias (3 * scale^2) by which a tail answers away from the border: what
    it adds to its biases for single bright pixels, and its biases."""
    weight = next(tail.parameters())
    precise = copy.deepcopy(tail).double().requires_grad_(False)
    inputs, side = weight.shape[1], 2 * REACH + 1
    dark = torch.zeros(1, inputs, side, side, dtype=torch.float64)
    bright = torch.zeros(inputs, inputs, side, side, dtype=torch.float64)
    bright[range(inputs), range(inputs), REACH, REACH] = 1
    added = torch.cat([precise(some) - precise(dark) for some in bright.split(_AT_ONCE)])
    kernel = F.pixel_unshuffle(added, scale).flip(2, 3).transpose(0, 1)
    bias = F.pixel_unshuffle(precise(dark), scale)[0, :, REACH, REACH]
    return kernel.to(weight.dtype).contiguous(), bias.to(weight.dtype)
