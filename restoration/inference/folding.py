"""The same arithmetic in fewer steps.

Norms with stored statistics are folded into the convolutions before them; parts that know a quicker way take it; a 3x3
convolution that makes a picture of a map doubled by repetition is computed on the small map. Which layer follows which
is seen by running the network once; whether each change was right, by comparing results.
"""

from __future__ import annotations

import copy
from functools import partial
from typing import Any, Protocol, TypeGuard

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from restoration.architectures.doubling import DoubledConvolution
from restoration.card import SizeRule

Convolution = nn.Conv2d | nn.ConvTranspose2d
Pairs = list[tuple[str, str]]

_FEW = 4  # outputs: a vector of 16 computes four times as many in the time of these
TOLERANCE = 1e-5
_SIDES = (65, 97)  # odd after every halving, so that every layer is used


class Rewritable(Protocol):
    """A part of a network that knows another way to compute the same."""

    def rewrite(self) -> None:
        """Changes itself in place."""


def fold(network: nn.Module, size: SizeRule) -> nn.Module:
    """A copy with norms and doublings folded and its rewritable parts rewritten, as far as the copy gives the same; the
    network itself where nothing does.

    Args:
        network: on the CPU, in evaluation mode, in fp32; its `forward` takes one (1, 3, H, W) picture.
        size: what pictures it takes.
    """
    if not any(_is_frozen(each) or _is_doubling(each) or _is_rewritable(each) for each in network.modules()):
        return network
    height, width = (size.fixed or side + size.minimum // 2 * 2 for side in _SIDES)
    picture = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = network(picture)
        normed, doubled = _pairs(network, picture)
        changes = (
            (normed, partial(_fold_norms, normed)),
            (any(map(_is_rewritable, network.modules())), _rewrite),
            (doubled, partial(_fold_doublings, doubled)),
        )
        for change in (change for there, change in changes if there):
            changed = copy.deepcopy(network)
            change(changed)
            if _agrees(changed, picture, expected):
                network = changed
    return network


def _agrees(folded: nn.Module, picture: Tensor, expected: Tensor) -> bool:
    try:
        return float((folded(picture) - expected).abs().max()) <= TOLERANCE
    except RuntimeError:  # something else wanted a doubled map, too, and its size does not fit now
        return False


def _is_frozen(module: nn.Module) -> bool:
    """A batch norm that uses its stored statistics, in evaluation mode."""
    stored = isinstance(module, nn.BatchNorm2d) and module.running_mean is not None
    return stored and not module.training and getattr(module, "statistics", "frozen") == "frozen"


def _is_doubling(module: nn.Module) -> bool:
    """Every pixel becomes a block of 2 x 2."""
    return isinstance(module, nn.Upsample) and module.mode == "nearest" and module.scale_factor == 2


def _is_rewritable(module: nn.Module) -> TypeGuard[Rewritable]:
    return callable(getattr(module, "rewrite", None))


def _makes_a_picture(module: nn.Module) -> bool:
    """A 3x3 convolution with few outputs."""
    if not isinstance(module, nn.Conv2d) or module.out_channels > _FEW:
        return False
    plain = module.kernel_size == (3, 3) and module.padding == (1, 1) and module.padding_mode == "zeros"
    return plain and module.stride == (1, 1) and module.dilation == (1, 1) and module.groups == 1


def _pairs(network: nn.Module, picture: Tensor) -> tuple[Pairs, Pairs]:
    """The names of (convolution, norm), and of (doubling, convolution), where the second is given exactly what the
    first made."""
    made: dict[int, tuple[str, Tensor]] = {}  # holds the tensors, so that no two have one id
    normed: Pairs = []
    doubled: Pairs = []
    calls: dict[str, int] = {}

    def before(name: str) -> Any:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            calls[name] = calls.get(name, 0) + 1
            if id(inputs[0]) not in made:
                return
            first, _ = made[id(inputs[0])]
            if not _is_doubling(network.get_submodule(first)):
                if _is_frozen(module):
                    normed.append((first, name))
            elif _makes_a_picture(module):
                doubled.append((first, name))

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
    once = [[pair for pair in pairs if all(calls[name] == 1 for name in pair)] for pairs in (normed, doubled)]
    return once[0], once[1]


def _rewrite(network: nn.Module) -> None:
    """Lets the parts that know a way compute the same in fewer steps."""
    for part in [module for module in network.modules() if _is_rewritable(module)]:
        part.rewrite()


def _fold_doublings(doubled: Pairs, network: nn.Module) -> None:
    """Computes pictures on the maps before they are doubled."""
    for name, follower in doubled:
        convolution = network.get_submodule(follower)
        assert isinstance(convolution, nn.Conv2d)
        network.set_submodule(name, nn.Identity())
        network.set_submodule(follower, DoubledConvolution(convolution))


def _fold_norms(normed: Pairs, network: nn.Module) -> None:
    """Gives convolutions the arithmetic of the norms behind them."""
    for name, follower in normed:
        _fold_norm(network, name, follower)


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
