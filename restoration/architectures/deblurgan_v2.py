"""DeblurGAN-v2 (Kupyn et al. 2019): a feature pyramid over any backbone, its residual added to the blurred picture.

The norms have two modes (`norms`): "image" as published (a tile would be normalised differently from its neighbour:
SEAMS), "frozen" in what this project trains.

Knows nothing of files, tiles or devices. Published ranges ([-1, 1]) are kept inside `forward`.
"""

from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from restoration.architectures.doubling import Meeting, double, meet
from restoration.architectures.norms import Norm, Statistics, with_statistics
from restoration.architectures.resnet import ResNetFeatures
from restoration.architectures.timm_encoders import InceptionResNetV2Features, MobileNetV2Features, official_key_map
from restoration.card import Checkpoint, ModelCard, Provenance, SizeRule, Tiling, trained_here

MOBILENET = (16, 24, 32, 64, 160)  # channels of MobileNetV2's maps


class Head(nn.Module):
    """Two bias-free 3x3 convolutions, each followed by ReLU."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.block0 = nn.Conv2d(inputs, width, 3, padding=1, bias=False)
        self.block1 = nn.Conv2d(width, width, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, width, H, W)."""
        return F.relu(self.block1(F.relu(self.block0(x))))


class FPN(nn.Module):
    """Lateral 1x1 convolutions over five backbone maps and a top-down path, by nearest doubling and addition."""

    def __init__(
        self, encoder: nn.Module, channels: tuple[int, ...], width: int, stem_width: int, statistics: Statistics
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.lateral0: nn.Module = nn.Conv2d(channels[0], stem_width, 1, bias=False)
        self.lateral1: nn.Module = nn.Conv2d(channels[1], width, 1, bias=False)
        self.lateral2: nn.Module = nn.Conv2d(channels[2], width, 1, bias=False)
        self.lateral3: nn.Module = nn.Conv2d(channels[3], width, 1, bias=False)
        self.lateral4 = nn.Conv2d(channels[4], width, 1, bias=False)
        self.td1: nn.Module = _smoothing(width, width, statistics)
        self.td2: nn.Module = _smoothing(width, width, statistics)
        self.td3: nn.Module = _smoothing(width, width, statistics)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W), sides multiples of 32 -> maps at strides 2, 4, 8, 16 and 32."""
        enc0, enc1, enc2, enc3, enc4 = self.encoder(x)
        map4 = self.lateral4(enc4)
        map3 = meet(self.td1, self.lateral3(enc3), map4)
        map2 = meet(self.td2, self.lateral2(enc2), map3)
        map1 = meet(self.td3, self.lateral1(enc1), map2)
        return self.lateral0(enc0), map1, map2, map3, map4


def _smoothing(inputs: int, outputs: int, statistics: Statistics) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1), Norm(outputs, statistics, affine=False), nn.ReLU(inplace=True)
    )


class DeblurGANv2(nn.Module):
    """The generator: FPN, one head a level, merged at stride 4, tanh residual.

    Args:
        encoder: makes the backbone: (B, 3, H, W) in [-1, 1] -> five maps at strides 2 .. 32.
        channels: channels of the five maps, finest first.
        fpn_width: channels of the pyramid (128 MobileNet, 256 Inception).
        head_width: channels of each head (64 MobileNet, 128 Inception).
        statistics: "image" as published, "frozen" for what is trained here.
        multiple_of: sides are padded to a multiple of this, right and bottom.
        upsampling: "nearest" doubles the merged maps by repetition, as published; "shuffle" by sub-pixel convolution
            (Shi et al. 2016), which lets each pixel of a 2 x 2 block have its own value: blur is undone in fractions
            of pixels.
        padding: "gray" pads with 0 after normalisation and always adds a block, as published; "replicate" pads with
            the edge.
        outputs: channels of what `residual` gives; the published networks have 3 and add it to the picture.
    """

    def __init__(
        self,
        encoder: Callable[[], nn.Module],
        channels: tuple[int, ...],
        *,
        fpn_width: int,
        head_width: int,
        statistics: Statistics,
        multiple_of: int = 32,
        upsampling: Literal["nearest", "shuffle"] = "nearest",
        padding: Literal["gray", "replicate"] = "replicate",
        outputs: int = 3,
    ) -> None:
        super().__init__()
        self.multiple_of, self.padding = multiple_of, padding
        half = head_width // 2
        block = 4 if upsampling == "shuffle" else 1
        doubling = partial(nn.PixelShuffle, 2) if upsampling == "shuffle" else partial(nn.Upsample, scale_factor=2)
        self.grow, self.grow2 = doubling(), doubling()
        self.fpn = FPN(with_statistics(encoder(), statistics), channels, fpn_width, head_width, statistics)
        self.head1, self.head2, self.head3, self.head4 = (Head(fpn_width, head_width) for _ in range(4))
        self.smooth: nn.Module = _smoothing(4 * head_width, block * head_width, statistics)
        self.smooth2: nn.Module = _smoothing(head_width, block * half, statistics)
        self.final = nn.Conv2d(half, outputs, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) RGB in [0, 1] -> the same shape, in [0, 1]."""
        height, width = x.shape[-2:]
        blurred = self._padded(2 * x - 1)
        restored = torch.clamp(torch.tanh(self._drawn(blurred).to(blurred.dtype)) + blurred, -1, 1)
        return (restored[..., :height, :width] + 1) / 2

    def residual(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W), about [0, 1] -> (B, outputs, H, W), what is drawn, without the tanh and the addition."""
        height, width = x.shape[-2:]
        return self._drawn(self._padded(2 * x - 1))[..., :height, :width]

    def _drawn(self, blurred: Tensor) -> Tensor:
        map0, map1, map2, map3, map4 = self.fpn(blurred)
        fine = self.head1(map1)
        coarse = torch.cat((double(self.head4(map4), 4), double(self.head3(map3)), self.head2(map2)), dim=1)
        if isinstance(self.smooth, Meeting):
            merged = self.smooth(fine, coarse)
        else:
            merged = self.smooth(torch.cat((double(coarse), fine), dim=1))
        finest = meet(self.smooth2, map0, merged, self.grow)
        return self.final(self.grow2(finest))

    def rewrite(self) -> None:
        """Changes itself in place: the same arithmetic in fewer steps, for use. Norms should be folded before.

        Convolutions of doubled maps are computed from the small ones (`Meeting`); keys and shapes of the weights are
        others then.
        """
        pyramid = self.fpn
        pyramid.td1, pyramid.lateral3 = Meeting.of_sum(pyramid.td1, pyramid.lateral3)
        pyramid.td2, pyramid.lateral2 = Meeting.of_sum(pyramid.td2, pyramid.lateral2)
        pyramid.td3, pyramid.lateral1 = Meeting.of_sum(pyramid.td3, pyramid.lateral1)
        self.smooth = Meeting.of_stack(self.smooth, 3 * self.head1.block1.out_channels)
        if isinstance(self.grow, nn.Upsample):
            self.smooth2, pyramid.lateral0 = Meeting.of_sum(self.smooth2, pyramid.lateral0)

    def _padded(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        if self.padding == "gray":
            bottom, right = (self.multiple_of - side % self.multiple_of for side in (height, width))
            return F.pad(x, (0, right, 0, bottom))
        bottom, right = (-side % self.multiple_of for side in (height, width))
        return F.pad(x, (0, right, 0, bottom), mode="replicate") if bottom or right else x


def light_resnet(inputs: int = 3, outputs: int = 3) -> DeblurGANv2:
    """Over a light, dense ResNet-D trunk: no depthwise convolutions, which a CPU runs badly; frozen statistics."""
    stem_width, channels, depths = 32, (96, 96, 128, 160), (3, 2, 2, 2)
    return DeblurGANv2(
        partial(ResNetFeatures, stem_width, channels, depths, replace_stem_pool=True, inputs=inputs),
        (2 * stem_width, *channels),
        fpn_width=96,
        head_width=32,
        statistics="frozen",
        upsampling="shuffle",
        outputs=outputs,
    )


def light_mobilenet(inputs: int = 3, outputs: int = 3) -> DeblurGANv2:
    """Over MobileNetV2 (imports timm), with the light pyramid and frozen statistics of what is trained here."""
    return DeblurGANv2(
        partial(MobileNetV2Features, inputs), MOBILENET,
        fpn_width=96, head_width=32, statistics="frozen", upsampling="shuffle", outputs=outputs,
    )  # fmt: skip


def published_mobilenet(statistics: Statistics = "image") -> DeblurGANv2:
    """The published network over MobileNetV2 (imports timm)."""
    return DeblurGANv2(
        MobileNetV2Features, MOBILENET,
        fpn_width=128, head_width=64, statistics=statistics, padding="gray",
    )  # fmt: skip


def published_inception(statistics: Statistics = "image") -> DeblurGANv2:
    """The published network over Inception-ResNet-v2 (imports timm)."""
    return DeblurGANv2(
        InceptionResNetV2Features, (32, 64, 192, 1088, 2080),
        fpn_width=256, head_width=128, statistics=statistics, padding="gray",
    )  # fmt: skip


PROVENANCE = Provenance(
    paper="DeblurGAN-v2: Deblurring (Orders-of-Magnitude) Faster and Better",
    authors="Kupyn, Martyniuk, Wu, Wang",
    year=2019,
    url="https://arxiv.org/abs/1908.03826",
    code_url="https://github.com/VITA-Group/DeblurGANv2",
    code_licence="BSD-2-Clause",
)

_DRIVE = "https://drive.google.com/uc?export=download&id="

CARDS: tuple[ModelCard, ...] = (
    ModelCard(
        name="deblurgan-v2-resnet",
        family="deblurgan-v2-resnet",
        title="DeblurGAN-v2, light ResNet",
        sentence="A feature pyramid over a light ResNet, trained here on random camera shake.",
        task="deblur",
        build=light_resnet,
        checkpoints=(trained_here("deblurgan-v2-resnet"),),
        provenance=PROVENANCE,
        size=SizeRule(multiple_of=32, minimum=1),
        tiling=Tiling.MARGIN,
        margin=128,
        gigaflop_per_megapixel=146.0,
    ),
    ModelCard(
        name="deblurgan-v2-mobilenet",
        family="deblurgan-v2-mobilenet",
        title="DeblurGAN-v2, MobileNetV2",
        sentence="The published light network, with the statistics of the picture at hand.",
        task="deblur",
        build=published_mobilenet,
        checkpoints=(
            Checkpoint(
                name="official",
                filename="fpn_mobilenet.h5",
                url=_DRIVE + "1JhnT4BBeKBBSLqTo6UsJ13HeBXevarrU",
                sha256="6d1b6d9807da3ae8987021c063a5cb6ca0131e76388cdb5164404ee1b1bf522b",
                bytes=13_505_344,
                licence="BSD-2-Clause",
                key_map=official_key_map,
            ),
        ),
        provenance=PROVENANCE,
        size=SizeRule(multiple_of=32, minimum=64),
        tiling=Tiling.SEAMS,
        gigaflop_per_megapixel=82.7,
    ),
    ModelCard(
        name="deblurgan-v2-inception",
        family="deblurgan-v2-inception",
        title="DeblurGAN-v2, Inception-ResNet-v2",
        sentence="The published large network, with the statistics of the picture at hand.",
        task="deblur",
        build=published_inception,
        checkpoints=(
            Checkpoint(
                name="official",
                filename="fpn_inception.h5",
                url=_DRIVE + "1UXcsRVW-6KF23_TNzxw-xC0SzaMfXOaR",
                sha256="0ab85a0419534bca6c8bee65eff3c163313e647b4577d493d679aa31169b0eea",
                bytes=244_480_361,
                licence="BSD-2-Clause",
                key_map=official_key_map,
            ),
        ),
        provenance=PROVENANCE,
        size=SizeRule(multiple_of=32, minimum=128),
        tiling=Tiling.SEAMS,
        gigaflop_per_megapixel=542.8,
    ),
)
