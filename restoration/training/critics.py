"""Critics: networks that learn to tell restored pictures from real ones, and what they and the restorer pay.

Pictures are (B, 3, H, W) RGB in [0, 1]. Knows nothing of recipes or of the restorer.
Sources: pix2pix (Isola et al. 2017), DeblurGAN-v2 (Kupyn et al. 2019), relativistic GANs (Jolicoeur-Martineau 2019),
feature matching (Salimans et al. 2016, as in pix2pixHD, Wang et al. 2018).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Kind = Literal["gan", "ragan-ls"]


class Opinion(NamedTuple):
    """What one scale of a critic says. score: (B, 1, h, w), higher is more real; features: the maps on the way."""

    score: Tensor
    features: list[Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Adversarial:
    """How a stage with a critic is trained.

    critic: builds it.
    kind: "gan" (cross entropy, pix2pix) or "ragan-ls" (relativistic average least squares, DeblurGAN-v2).
    adversarial: weight of the restorer's part of the game.
    pixels: weight of the pixel loss of pictures in [-1, 1], as the papers have them: twice that of [0, 1].
    perceptual, style: weights of VGG16's content and Gram losses.
    features: weight of feature matching on the critic, which stands in where VGG16's weights cannot be had.
    learning_rate: the critic's at its highest; None = the restorer's.
    betas: the critic's Adam's.
    """

    critic: Callable[[], nn.Module]
    kind: Kind
    adversarial: float
    pixels: float
    perceptual: float = 0.0
    style: float = 0.0
    features: float = 0.0
    learning_rate: float | None = None
    betas: tuple[float, float] = (0.5, 0.999)


class PatchCritic(nn.Module):
    """PatchGAN: a fully convolutional critic that judges overlapping patches (70 x 70 with three halvings).

    Args:
        width: channels of the first layer, doubled at each of `halvings` up to eightfold (64 in the paper).
        halvings: convolutions of stride 2; 4x4 kernels throughout.
        conditional: judges the picture together with the input it was made from, as pix2pix does.
        norm: "batch" (pix2pix) or "image" (instance norm without weights, DeblurGAN-v2); none on the first layer.
    """

    def __init__(
        self,
        width: int = 64,
        *,
        halvings: int = 3,
        conditional: bool = False,
        norm: Literal["batch", "image"] = "batch",
    ) -> None:
        super().__init__()
        self.conditional = conditional
        make = nn.BatchNorm2d if norm == "batch" else nn.InstanceNorm2d
        channels, self.blocks = 6 if conditional else 3, nn.ModuleList()
        for level in range(halvings + 1):
            wider, stride = width * min(2**level, 8), 2 if level < halvings else 1
            convolution = nn.Conv2d(channels, wider, 4, stride, 1, bias=level == 0 or norm == "image")
            inner = nn.Identity() if level == 0 else make(wider)
            self.blocks.append(nn.Sequential(convolution, inner, nn.LeakyReLU(0.2)))
            channels = wider
        self.score = nn.Conv2d(channels, 1, 4, 1, 1)
        _initialise(self)

    def forward(self, picture: Tensor, condition: Tensor) -> list[Opinion]:
        """(B, 3, H, W) and the input it was made from, of one size -> one opinion."""
        x = 2 * (torch.cat([picture, condition], dim=1) if self.conditional else picture) - 1
        features = []
        for block in self.blocks:
            x = block(x)
            features.append(x)
        return [Opinion(self.score(x), features)]


class DoubleScaleCritic(nn.Module):
    """DeblurGAN-v2's critic: one network judges 70 px patches, a deeper one the full picture.

    Args:
        width: channels of both networks' first layers (64 in the paper).
        full_halvings: of the full-picture network, whose last map is averaged to one score (5 in the paper, for
            256 px; its patches then reach over the picture).
    """

    def __init__(self, width: int = 64, *, full_halvings: int = 5) -> None:
        super().__init__()
        self.patch = PatchCritic(width, norm="image")
        self.full = PatchCritic(width, halvings=full_halvings, norm="image")

    def forward(self, picture: Tensor, condition: Tensor) -> list[Opinion]:
        """(B, 3, H, W); the condition is not looked at -> the patches' opinion, the full picture's (B, 1, 1, 1)."""
        (patches,), (full,) = self.patch(picture, condition), self.full(picture, condition)
        return [patches, Opinion(full.score.mean((2, 3), keepdim=True), full.features)]


def _initialise(network: nn.Module) -> None:
    """normal(0, 0.02) weights, as in pix2pix."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, 0, 0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def critic_loss(kind: Kind, real: Sequence[Opinion], fake: Sequence[Opinion]) -> Tensor:
    """What the critic pays for taking real for fake or fake for real, the mean over its scales.

    "gan" is halved, as pix2pix slows its critic down; so is "ragan-ls", as in DeblurGAN-v2.
    """
    return _mean_over_scales(kind, real, fake, 1.0)


def restorer_loss(kind: Kind, real: Sequence[Opinion], fake: Sequence[Opinion]) -> Tensor:
    """What the restorer pays where the critic sees through it. For "gan" the real pictures play no part."""
    if kind == "gan":
        losses = [F.softplus(-opinion.score.float()).mean() for opinion in fake]  # -log sigmoid(score)
        return torch.stack(losses).mean()
    return _mean_over_scales(kind, real, fake, -1.0)


def _mean_over_scales(kind: Kind, real: Sequence[Opinion], fake: Sequence[Opinion], sign: float) -> Tensor:
    losses = []
    for ours, theirs in zip(real, fake, strict=True):
        genuine, made = ours.score.float(), theirs.score.float()
        if kind == "gan":
            losses.append((F.softplus(-genuine).mean() + F.softplus(made).mean()) / 2)
        else:
            above = (genuine - made.mean() - sign).square().mean()
            losses.append((above + (made - genuine.mean() + sign).square().mean()) / 2)
    return torch.stack(losses).mean()


def feature_matching(real: Sequence[Opinion], fake: Sequence[Opinion]) -> Tensor:
    """The mean L1 between the critic's features of the two, over layers and scales; the real side is held fixed."""
    distances = [
        (a.detach().float() - b.float()).abs().mean()
        for ours, theirs in zip(real, fake, strict=True)
        for a, b in zip(ours.features, theirs.features, strict=True)
    ]
    return torch.stack(distances).mean()
