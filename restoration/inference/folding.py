"""Norms with stored statistics folded into the convolutions before them: the same arithmetic in one step less.

Which convolution a norm follows is seen by running the network once; whether folding was right, by comparing results.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

Convolution = nn.Conv2d | nn.ConvTranspose2d

TOLERANCE = 1e-5
_SIDES = (65, 97)  # odd after every halving, so that every layer is used


def fold_norms(network: nn.Module, side: int | None = None) -> nn.Module:
    """A copy with norms folded, or the network itself when there is nothing to fold or the copy differs.

    Args:
        network: on the CPU, in evaluation mode, in fp32; its `forward` takes one (1, 3, H, W) picture.
        side: the only side it takes; None = any.
    """
    if not any(_is_frozen(module) for module in network.modules()):
        return network
    height, width = (side, side) if side else _SIDES
    picture = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0))
    folded = copy.deepcopy(network)
    with torch.no_grad():
        expected = network(picture)
        for name, follower in _pairs(folded, picture):
            _fold(folded, name, follower)
        agrees = float((folded(picture) - expected).abs().max()) <= TOLERANCE
    return folded if agrees else network


def _is_frozen(module: nn.Module) -> bool:
    """A batch norm that uses its stored statistics, in evaluation mode."""
    stored = isinstance(module, nn.BatchNorm2d) and module.running_mean is not None
    return stored and not module.training and getattr(module, "statistics", "frozen") == "frozen"


def _pairs(network: nn.Module, picture: Tensor) -> list[tuple[str, str]]:
    """The names of (convolution, norm) where the norm is given exactly what the convolution made."""
    made: dict[int, tuple[str, Tensor]] = {}  # holds the tensors, so that no two have one id
    pairs: list[tuple[str, str]] = []
    calls: dict[str, int] = {}

    def after(name: str) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Tensor) -> None:
            made[id(output)] = (name, output)
            calls[name] = calls.get(name, 0) + 1

        return hook

    def before(name: str) -> Any:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            calls[name] = calls.get(name, 0) + 1
            if id(inputs[0]) in made:
                pairs.append((made[id(inputs[0])][0], name))

        return hook

    hooks = []
    for name, module in network.named_modules():
        if isinstance(module, Convolution):
            hooks.append(module.register_forward_hook(after(name)))
        elif _is_frozen(module):
            hooks.append(module.register_forward_pre_hook(before(name)))
    try:
        network(picture)
    finally:
        for hook in hooks:
            hook.remove()
    return [pair for pair in pairs if all(calls[name] == 1 for name in pair)]


def _fold(network: nn.Module, name: str, follower: str) -> None:
    """Gives a convolution the norm's arithmetic, and leaves of the norm only the activation it may carry."""
    convolution: Any = network.get_submodule(name)
    norm: Any = network.get_submodule(follower)
    transposed = isinstance(convolution, nn.ConvTranspose2d)
    convolution.weight, convolution.bias = fuse_conv_bn_weights(
        convolution.weight, convolution.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias,
        transpose=transposed,
    )  # fmt: skip
    network.set_submodule(follower, getattr(norm, "after", None) or getattr(norm, "act", None) or nn.Identity())
