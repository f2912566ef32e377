"""3x3 convolutions of maps that are doubled by repetition, computed from the small ones.

Every pixel of a 2 x 2 block sees two rows and two columns of the small map, one of them twice: the kernel's rows and
columns that meet the same pixel are added up beforehand. As a transposed convolution of stride 2 that is 4/9 of the
arithmetic; where there are fewer outputs than a CPU computes at a time, all four pixels of a block at once are quicker
(Shi et al. 2016). A map added before the convolution is a convolution of its own, whose result is added (linearity).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# which of the small map's three rows each of the kernel's three rows meets, in the upper and in the lower pixel
_MEETS = ((1, 0, 0), (0, 1, 1), (0, 0, 0)), ((0, 0, 0), (1, 1, 0), (0, 0, 1))
# the same as the rows of a transposed convolution's kernel, 4 x 4 of stride 2, padded by one
_ROWS = ((0, 0, 1), (0, 1, 1), (1, 1, 0), (1, 0, 0))


class DoubledConvolution(nn.Module):
    """A 3x3 convolution of a map doubled by repetition, from the small map.

    Args:
        convolution: 3x3, padded by one, (B, I, 2 H, 2 W) -> (B, O, 2 H, 2 W).
    """

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        weight, bias = convolution.weight.detach(), convolution.bias
        meets = torch.tensor(_MEETS, dtype=weight.dtype)
        kernels = torch.einsum("oiyx,ary,bcx->oabirc", weight, meets, meets).flatten(0, 2)
        self.small = nn.Conv2d(weight.shape[1], len(kernels), 3, padding=1, bias=bias is not None)
        self.small.weight = nn.Parameter(kernels, requires_grad=False)
        if bias is not None:
            self.small.bias = nn.Parameter(bias.detach().repeat_interleave(4), requires_grad=False)
        self.shuffle = nn.PixelShuffle(2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, I, H, W) -> (B, O, 2 H, 2 W)."""
        return self.shuffle(self.small(x))


def double(x: Tensor, times: int = 2) -> Tensor:
    """Every pixel becomes a block of `times` x `times`."""
    return F.interpolate(x, scale_factor=times, mode="nearest")


def meet(smoothing: nn.Module, fine: Tensor, coarse: Tensor, grow: Callable[[Tensor], Tensor] = double) -> Tensor:
    """Smooths the sum of a map (B, C, 2 H, 2 W) and a coarse one made twice as large by `grow`; in fewer steps where
    the smoothing is a `Meeting` by now, which needs no growing."""
    if isinstance(smoothing, Meeting):
        return smoothing(fine, coarse)
    return smoothing(fine + grow(coarse))


class Meeting(nn.Module):
    """A 3x3 convolution of a fine map and a doubled coarse one, from the coarse one as it is; then what followed it.

    Args:
        fine: for the fine map.
        weight: of the doubled one, (O, I, 3, 3).
        bias: of the sum; None = none.
        after: what followed.
    """

    def __init__(self, fine: nn.Conv2d, weight: Tensor, bias: Tensor | None, after: nn.Module) -> None:
        super().__init__()
        rows = torch.tensor(_ROWS, dtype=torch.float64)
        kernel = torch.einsum("oiyx,ay,bx->ioab", weight.detach().double(), rows, rows)
        self.fine, self.after = fine, after
        inputs, outputs = kernel.shape[:2]
        self.coarse = nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1, bias=bias is not None)
        self.coarse.weight = nn.Parameter(kernel.to(weight.dtype), requires_grad=False)
        if bias is not None:
            self.coarse.bias = nn.Parameter(bias.detach().clone(), requires_grad=False)

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """(B, I, 2 H, 2 W), (B, J, H, W) -> (B, O, 2 H, 2 W)."""
        return self.after(self.fine(fine) + self.coarse(coarse))

    @classmethod
    def of_sum(cls, smoothing: nn.Module, lateral: nn.Module) -> tuple[Meeting, nn.Module]:
        """In the place of a smoothing of the sum of both maps, and of the 1x1 convolution before the fine one.

        The two of the fine map become one where that is less arithmetic; then nothing is left of the lateral one.

        Args:
            smoothing: begins with a 3x3 convolution, padded by one.
            lateral: 1x1, without a bias: with one, the borders would not know it.
        """
        convolution, after = _parted(smoothing)
        assert isinstance(lateral, nn.Conv2d)
        assert lateral.bias is None
        weight, bias = convolution.weight.detach(), convolution.bias
        outputs, between, inputs = len(weight), weight.shape[1], lateral.in_channels
        rest: nn.Module = lateral
        own = weight
        if 9 * inputs * outputs < 9 * between * outputs + inputs * between:
            own = torch.einsum("omyx,mi->oiyx", weight.double(), lateral.weight.detach().double()[..., 0, 0])
            rest = nn.Identity()
        return cls(_convolution(own.to(weight.dtype)), weight, bias, after), rest

    @classmethod
    def of_stack(cls, smoothing: nn.Module, coarse: int) -> Meeting:
        """In the place of a smoothing of the two maps' stacked channels, whose first `coarse` are the doubled map's."""
        convolution, after = _parted(smoothing)
        weight = convolution.weight.detach()
        return cls(_convolution(weight[:, coarse:]), weight[:, :coarse], convolution.bias, after)


def _parted(smoothing: nn.Module) -> tuple[nn.Conv2d, nn.Module]:
    """The convolution that it begins with, and what follows."""
    assert isinstance(smoothing, nn.Sequential)
    convolution = smoothing[0]
    assert isinstance(convolution, nn.Conv2d)
    return convolution, smoothing[1:]


def _convolution(weight: Tensor) -> nn.Conv2d:
    """3x3, padded by one, with these weights (O, I, 3, 3) and no bias."""
    convolution = nn.Conv2d(weight.shape[1], weight.shape[0], 3, padding=1, bias=False)
    convolution.weight = nn.Parameter(weight.clone(), requires_grad=False)
    return convolution
