"""How networks start: initialisations by which training begins where it should, and what fits of a neighbour's weights.

Knows nothing of recipes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def quiet_residuals(network: nn.Module) -> None:
    """EDSR, residual U-Nets: second convolutions, and a residual's tail, start at a tenth: blocks begin as identity."""
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if ".body.2." in name or name in {"tail.weight", "restorer.unet.tail.weight"}:
                parameter.mul_(0.1)


def start_as_bicubic(network: nn.Module) -> None:
    """ECBSR: layers that keep the number of features start as identity + 0.3 x He initialisation (leaky ReLU), the
    last one at a twentieth, so that the skip is nearly all (+0.24 dB after two minutes against He initialisation)."""
    layers = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    for layer in layers:
        nn.init.kaiming_normal_(layer.weight, a=0.1, nonlinearity="leaky_relu")
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
        if layer.in_channels == layer.out_channels:
            with torch.no_grad():
                layer.weight.mul_(0.3).add_(nn.init.dirac_(torch.empty_like(layer.weight)))
    with torch.no_grad():
        layers[-1].weight.mul_(0.05)


def start_as_identity(network: nn.Module) -> None:
    """DeblurGAN-v2: He initialisation; residual branches start at a fifth, the last layer near zero.

    Zero-gain branches (Goyal et al. 2017) were tried without batch statistics: their gains stayed at 0.02 after 4,600
    steps and most of the heads died.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    with torch.no_grad():
        for module in network.modules():
            last = getattr(module, "bn3", None) or getattr(module, "bn2", None)  # of timm's blocks and of ours
            if isinstance(last, nn.BatchNorm2d) and getattr(module, "has_skip", True):
                last.weight.fill_(0.2)
        for name, parameter in network.named_parameters():
            if name.endswith("final.weight"):
                parameter.mul_(0.05)


def start_as_copy(network: nn.Module) -> None:
    """fastai's U-Net: the last block starts as identity, the last layer copies the picture's three channels."""
    with torch.no_grad():
        for key in ("layers.11.convpath.1.0", "layers.12.0"):
            network.get_parameter(f"{key}.weight").mul_(0.02)
            network.get_parameter(f"{key}.bias").zero_()
        copy = network.get_parameter("layers.12.0.weight")
        for channel in range(3):
            copy[channel, copy.shape[1] - 3 + channel] = 1.0


def start_quietly(network: nn.Module) -> None:
    """pix2pix with a residual: normal(0, 0.02) weights as in the paper; begins as a copy."""
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                module.weight.normal_(0, 0.02)
        network.get_parameter("final.weight").mul_(0.1)
        network.get_parameter("final.bias").zero_()


def warm_tail(network: nn.Module, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The part of a neighbour's weights that fits this network by name and shape."""
    own = network.state_dict()
    return {key: value for key, value in state.items() if key in own and own[key].shape == value.shape}
