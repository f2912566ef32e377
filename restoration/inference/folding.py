"""The same arithmetic in fewer steps.

Norms with stored statistics are folded into the convolutions before them; a 3x3 convolution that makes a picture of a
map doubled by repetition is computed on the small map. Which layer follows which is seen by running the network once;
whether folding was right, by comparing results.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

Convolution = nn.Conv2d | nn.ConvTranspose2d

_FEW = 4  # outputs: a vector of 16 computes four times as many in the time of these
TOLERANCE = 1e-5
_SIDES = (65, 97)  # odd after every halving, so that every layer is used


def fold(network: nn.Module, side: int | None = None) -> nn.Module:
    """A copy with norms and doublings folded, or the network itself when there is nothing to fold or the copy differs.

    Args:
        network: on the CPU, in evaluation mode, in fp32; its `forward` takes one (1, 3, H, W) picture.
        side: the only side it takes; None = any.
    """
    if not any(_is_frozen(module) or _is_doubling(module) for module in network.modules()):
        return network
    height, width = (side, side) if side else _SIDES
    picture = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0))
    folded = copy.deepcopy(network)
    with torch.no_grad():
        expected = network(picture)
        for first, second in _pairs(folded, picture):
            if _is_doubling(folded.get_submodule(first)):
                _fold_doubling(folded, first, second)
            else:
                _fold_norm(folded, first, second)
        agrees = _agrees(folded, picture, expected)
    return folded if agrees else network


def _agrees(folded: nn.Module, picture: Tensor, expected: Tensor) -> bool:
    try:
        return float((folded(picture) - expected).abs().max()) <= TOLERANCE
    except RuntimeError:  # something else wanted a doubled map, too, and its size does not fit now
        return False


class DoubledConvolution(nn.Module):
    """A 3x3 convolution of a map doubled by repetition, from the small map.

    Each pixel of a 2 x 2 block sees rows of the small map of which two or three are one: its kernel's rows are added up
    there, and the columns likewise (Shi et al. 2016 put the four together).

    Args:
        convolution: 3x3, padded by one, (B, I, 2 H, 2 W) -> (B, O, 2 H, 2 W).
    """

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        weight, bias = convolution.weight.detach(), convolution.bias
        # which of the small map's three rows each of the kernel's three rows meets, in the upper and in the lower pixel
        meets = torch.tensor([[[1, 0, 0], [0, 1, 1], [0, 0, 0]], [[0, 0, 0], [1, 1, 0], [0, 0, 1]]], dtype=weight.dtype)
        kernels = torch.einsum("oiyx,ary,bcx->oabirc", weight, meets, meets).flatten(0, 2)
        self.small = nn.Conv2d(weight.shape[1], len(kernels), 3, padding=1, bias=bias is not None)
        self.small.weight = nn.Parameter(kernels, requires_grad=False)
        if bias is not None:
            self.small.bias = nn.Parameter(bias.detach().repeat_interleave(4), requires_grad=False)
        self.shuffle = nn.PixelShuffle(2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, I, H, W) -> (B, O, 2 H, 2 W)."""
        return self.shuffle(self.small(x))


def _is_frozen(module: nn.Module) -> bool:
    """A batch norm that uses its stored statistics, in evaluation mode."""
    stored = isinstance(module, nn.BatchNorm2d) and module.running_mean is not None
    return stored and not module.training and getattr(module, "statistics", "frozen") == "frozen"


def _is_doubling(module: nn.Module) -> bool:
    """Every pixel becomes a block of 2 x 2."""
    return isinstance(module, nn.Upsample) and module.mode == "nearest" and module.scale_factor == 2


def _makes_a_picture(module: nn.Module) -> bool:
    """A 3x3 convolution with few outputs."""
    if not isinstance(module, nn.Conv2d) or module.out_channels > _FEW:
        return False
    plain = module.kernel_size == (3, 3) and module.padding == (1, 1) and module.padding_mode == "zeros"
    return plain and module.stride == (1, 1) and module.dilation == (1, 1) and module.groups == 1


def _pairs(network: nn.Module, picture: Tensor) -> list[tuple[str, str]]:
    """The names of (convolution, norm) and of (doubling, convolution) where the second is given exactly what the first
    made."""
    made: dict[int, tuple[str, Tensor]] = {}  # holds the tensors, so that no two have one id
    pairs: list[tuple[str, str]] = []
    calls: dict[str, int] = {}

    def before(name: str) -> Any:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            calls[name] = calls.get(name, 0) + 1
            if id(inputs[0]) not in made:
                return
            first, _ = made[id(inputs[0])]
            doubled = _is_doubling(network.get_submodule(first))
            if _makes_a_picture(module) if doubled else _is_frozen(module):
                pairs.append((first, name))

        return hook

    def after(name: str) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Tensor) -> None:
            made[id(output)] = (name, output)

        return hook

    hooks = []
    for name, module in network.named_modules():
        if isinstance(module, Convolution) or _is_frozen(module) or _is_doubling(module):
            hooks.append(module.register_forward_pre_hook(before(name)))
            if not _is_frozen(module):
                hooks.append(module.register_forward_hook(after(name)))
    try:
        network(picture)
    finally:
        for hook in hooks:
            hook.remove()
    return [pair for pair in pairs if all(calls[name] == 1 for name in pair)]


def _fold_doubling(network: nn.Module, name: str, follower: str) -> None:
    """Computes a convolution on the map before it is doubled."""
    convolution = network.get_submodule(follower)
    assert isinstance(convolution, nn.Conv2d)
    network.set_submodule(name, nn.Identity())
    network.set_submodule(follower, DoubledConvolution(convolution))


def _fold_norm(network: nn.Module, name: str, follower: str) -> None:
    """Gives a convolution the norm's arithmetic, and leaves of the norm only the activation it may carry."""
    convolution: Any = network.get_submodule(name)
    norm: Any = network.get_submodule(follower)
    transposed = isinstance(convolution, nn.ConvTranspose2d)
    convolution.weight, convolution.bias = fuse_conv_bn_weights(
        convolution.weight, convolution.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias,
        transpose=transposed,
    )  # fmt: skip
    network.set_submodule(follower, getattr(norm, "after", None) or getattr(norm, "act", None) or nn.Identity())
