"""Edge-oriented convolutions: 3x3 convolutions with more parameters while they are trained (ECBSR, Zhang et al. 2021).

Trained is the sum of a 3x3, a 1x1 - 3x3 bottleneck, two Sobel filters and a Laplacian, each behind a 1x1. All of these
are linear, so the sum is one 3x3 kernel. As in SESR (Bhardwaj et al. 2022) it is added up before every step instead of
once at the end: training costs what the plain network does, and what is used is the plain network.

Knows nothing of what network it is in.
"""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_Network = TypeVar("_Network", bound=nn.Module)
_SOBEL = ((1.0, 0.0, -1.0), (2.0, 0.0, -2.0), (1.0, 0.0, -1.0))
_LAPLACE = ((0.0, 1.0, 0.0), (1.0, -4.0, 1.0), (0.0, 1.0, 0.0))
_EDGES = 3  # the two Sobel filters and the Laplacian
_BRANCHES = ("weight", "expand", "squeeze", "points", "gains")


class EdgeOrientedConv(nn.Conv2d):
    """A 3x3 convolution with the branches of ECBSR's block (paper, figure 3), which all together are one kernel.

    `weight` and `bias` are those of the 3x3 branch. The other branches begin at zero, so weights of a plain convolution
    give the plain result.

    Args:
        inner, outer: channels in and out.
    """

    def __init__(self, inner: int, outer: int) -> None:
        super().__init__(inner, outer, 3, padding=1)
        self.expand = nn.Parameter(torch.randn(2 * outer, inner) * inner**-0.5)
        self.squeeze = nn.Parameter(torch.zeros(outer, 2 * outer, 3, 3))
        self.points = nn.Parameter(torch.randn(_EDGES, outer, inner) * inner**-0.5)
        self.gains = nn.Parameter(torch.zeros(_EDGES, outer))

    def merged(self) -> Tensor:
        """The kernel of all branches together, (outer, inner, 3, 3), in fp32."""
        with torch.autocast(self.weight.device.type, enabled=False):
            return _merge(*(self.get_parameter(name) for name in _BRANCHES))

    def forward(self, input: Tensor) -> Tensor:
        """(B, inner, H, W) -> (B, outer, H, W); outside the picture is zero."""
        return F.conv2d(input, self.merged(), self.bias, padding=1)


def with_branches(network: _Network) -> _Network:
    """Replaces, in place, every dense 3x3 convolution of stride 1 by one with branches that computes the same.

    Names and shapes of the weights that were there stay; the branches' are added.
    """
    for parent in list(network.modules()):
        for name, layer in parent.named_children():
            if type(layer) is nn.Conv2d and _is_plain(layer):
                richer = EdgeOrientedConv(layer.in_channels, layer.out_channels)
                richer.load_state_dict(layer.state_dict(), strict=False)
                setattr(parent, name, richer)
    return network


def merge_branches(network: nn.Module, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The plain network's state for a state of the network with branches.

    Args:
        network: from `with_branches`; stays as it is.
        state: of its names and shapes, for example the moving average of its weights.
    """
    merged = dict(state)
    for name, layer in network.named_modules():
        if isinstance(layer, EdgeOrientedConv):
            kernel = _merge(*(merged.pop(f"{name}.{branch}") for branch in _BRANCHES))
            merged[f"{name}.weight"] = kernel
    return merged


def _is_plain(layer: nn.Conv2d) -> bool:
    return (
        (layer.kernel_size, layer.stride, layer.padding, layer.dilation) == ((3, 3), (1, 1), (1, 1), (1, 1))
        and layer.groups == 1
        and layer.padding_mode == "zeros"
        and layer.bias is not None
    )


def _merge(weight: Tensor, expand: Tensor, squeeze: Tensor, points: Tensor, gains: Tensor) -> Tensor:
    """The sum of the branches; shapes as in `EdgeOrientedConv`."""
    sobel = torch.tensor(_SOBEL)
    masks = torch.stack((sobel, sobel.T, torch.tensor(_LAPLACE))).to(weight)
    bottleneck = torch.einsum("omyx,mi->oiyx", squeeze, expand)
    edges = torch.einsum("eo,eoi,eyx->oiyx", gains, points, masks)
    return weight + bottleneck + edges
