"""fastai's DynamicUnet over a ResNet trunk, and the hook-free twin that is served.

fastai keeps the skip connections on hook objects, so two threads sharing one network mix up their pictures, and it
takes seconds to import. The twin passes the skips by hand and loads the same state dict key for key;
`tests/architectures/test_fastai_unet.py` builds both, shares weights and compares outputs at odd sizes.

Sources: U-Net (Ronneberger et al. 2015); fastai's documentation of `DynamicUnet`; ICNR (Aitken et al. 2017).
"""

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from restoration.architectures.resnet import Channels, stages, stem, timm_resnet
from restoration.card import ModelCard, Provenance, SizeRule, Tiling, trained_here


@dataclass(frozen=True, slots=True)
class Trunk:
    """The encoder's shape: half the stem's channels, the four stages' channels and depths."""

    stem_width: int
    channels: Channels
    depths: tuple[int, int, int, int]


def _convolution(inputs: int, outputs: int, size: int = 3, *, active: bool = True) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Conv2d(inputs, outputs, size, padding=size // 2)]
    return nn.Sequential(*layers, nn.ReLU()) if active else nn.Sequential(*layers)


def _doubling(inputs: int, outputs: int) -> nn.Sequential:
    """1x1 convolution, ReLU, pixel shuffle: twice the size."""
    return nn.Sequential(_convolution(inputs, 4 * outputs, 1), nn.PixelShuffle(2))


class UpBlock(nn.Module):
    """Doubles the deeper map, joins the normalised skip, two 3x3 convolutions."""

    def __init__(self, deeper: int, skip: int, *, last: bool) -> None:
        super().__init__()
        self.shuf = _doubling(deeper, deeper // 2)
        self.bn = nn.BatchNorm2d(skip)
        joined = deeper // 2 + skip
        self.channels = joined // 2 if last else joined
        self.conv1 = _convolution(joined, self.channels)
        self.conv2 = _convolution(self.channels, self.channels)

    def forward(self, deeper: Tensor, skip: Tensor) -> Tensor:
        """(B, deeper, h, w) and (B, skip, H, W) -> (B, channels, H, W)."""
        doubled = self.shuf(deeper)
        if doubled.shape[-2:] != skip.shape[-2:]:
            doubled = F.interpolate(doubled, skip.shape[-2:], mode="nearest")
        return self.conv2(self.conv1(F.relu(torch.cat([doubled, self.bn(skip)], dim=1))))


class CrossBlock(nn.Module):
    """The last residual block, at full size, over features and the picture itself."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convpath = nn.Sequential(_convolution(channels, channels), _convolution(channels, channels, active=False))

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) -> the same shape."""
        return F.relu(self.convpath(x) + x)


class FastaiUNet(nn.Module):
    """The twin: the same layers under the same keys (`layers.0.*` ... `layers.12.*`), skips passed by hand.

    Equal to `DynamicUnet(nn.Sequential(*timm_trunk.children()[:-2]), 3, img_size)` with fastai's defaults:
    no blur, no self-attention, no norm in the decoder's convolutions, last cross connection.
    """

    def __init__(self, trunk: Trunk) -> None:
        super().__init__()
        stem_channels, deepest = 2 * trunk.stem_width, trunk.channels[-1]
        encoder = nn.Sequential(
            stem(trunk.stem_width),
            nn.BatchNorm2d(stem_channels),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2, 1),
            *stages(trunk.stem_width, trunk.channels, trunk.depths),
        )
        middle = nn.Sequential(_convolution(deepest, 2 * deepest), _convolution(2 * deepest, deepest))
        ups: list[UpBlock] = []
        deeper = deepest
        for index, skip in enumerate((*reversed(trunk.channels[:-1]), stem_channels)):
            ups.append(UpBlock(deeper, skip, last=index == 3))
            deeper = ups[-1].channels
        self.layers = nn.ModuleList(
            [
                encoder,
                nn.BatchNorm2d(deepest),
                nn.ReLU(),
                middle,
                *ups,
                _doubling(deeper, deeper),
                nn.Identity(),
                nn.Identity(),
                CrossBlock(deeper + 3),
                _convolution(deeper + 3, 3, 1, active=False),
            ]
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) RGB in [0, 1] -> the same shape, nominally in [0, 1]."""
        encoder, norm, act, middle, *ups = self.layers[:8]
        features, skips = x, []
        for index, layer in enumerate(encoder):  # type: ignore[arg-type]
            if index in (3, 5, 6, 7):  # what enters the layers that halve the size
                skips.append(features)
            features = layer(features)
        features = middle(act(norm(features)))
        for up, skip in zip(ups, reversed(skips), strict=True):
            features = up(features, skip)
        full = self.layers[8](features)
        if full.shape[-2:] != x.shape[-2:]:
            full = F.interpolate(full, x.shape[-2:], mode="nearest")
        return self.layers[12](self.layers[11](torch.cat([full, x.to(full.dtype)], dim=1)))


def dynamic_unet(trunk: Trunk) -> nn.Module:
    """The real thing: fastai's DynamicUnet over timm's ResNet, random weights (imports fastai and timm)."""
    from fastai.vision.models.unet import DynamicUnet

    encoder = nn.Sequential(*list(timm_resnet(trunk.stem_width, trunk.channels, trunk.depths).children())[:-2])
    return DynamicUnet(encoder, 3, (128, 128))


PROVENANCE = Provenance(
    paper="U-Net: Convolutional Networks for Biomedical Image Segmentation; fastai: A Layered API for Deep Learning",
    authors="Ronneberger, Fischer, Brox; Howard, Gugger",
    year=2020,
    url="https://arxiv.org/abs/2002.04688",
    code_url="https://github.com/fastai/fastai",
    code_licence="Apache-2.0",
)
# 29 features meet the 3 of the picture in the last block: 32 at full size, and multiples of 16 where it costs.
ENHANCE_TRUNK = Trunk(8, (32, 32, 80, 128), (2, 2, 2, 2))

CARDS: tuple[ModelCard, ...] = (
    ModelCard(
        name="unet-resnet-enhance",
        family="unet-resnet-enhance",
        title="fastai U-Net, light ResNet",
        sentence="A U-Net trained on noise, JPEG, softness and lost resolution together.",
        task="enhance",
        build=partial(FastaiUNet, ENHANCE_TRUNK),
        checkpoints=(trained_here("unet-resnet-enhance"),),
        provenance=PROVENANCE,
        size=SizeRule(multiple_of=1, minimum=1),
        tiling=Tiling.MARGIN,
        margin=144,
        gigaflop_per_megapixel=87.8,
        half=True,
    ),
)
