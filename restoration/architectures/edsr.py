"""EDSR: Enhanced Deep Residual Networks for single image super-resolution (Lim et al. 2017).

Knows nothing of files, tiles or devices. The published checkpoints work on RGB in [0, 255] and carry
their mean shift as two 1x1 convolutions; here the shift is a buffer and the range is [0, 1], which is the
same arithmetic: every convolution but the biases is linear, and `official_key_map` rescales the biases.
"""

from functools import partial

import torch
from torch import Tensor, nn

from restoration.architectures.collapsing import CollapsedTail
from restoration.card import Checkpoint, ModelCard, Provenance, SizeRule, Tiling, trained_here

DIV2K_MEAN = (0.4488, 0.4371, 0.4040)  # RGB mean of DIV2K, as published


class ResidualBlock(nn.Module):
    """conv - ReLU - conv, scaled and added to its input; no normalisation (paper, figure 2c)."""

    def __init__(self, width: int, residual_scale: float) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, padding=1),
        )
        self.residual_scale = residual_scale

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, H, W) -> the same shape."""
        residual = self.body(x)
        return x + (residual if self.residual_scale == 1 else residual * self.residual_scale)


class EDSR(nn.Module):
    """EDSR with the published key names (`head.0`, `body.i.body.0|2`, `body.N`, `tail.0.*`, `tail.1`).

    Args:
        scale: 2, 3 or 4.
        blocks: residual blocks (16 baseline, 32 large).
        width: features (64 baseline, 256 large).
        residual_scale: factor on each residual branch (1 baseline, 0.1 large).

    Raises:
        ValueError: the scale is not 2, 3 or 4.
    """

    mean: Tensor

    def __init__(self, scale: int, blocks: int = 16, width: int = 64, residual_scale: float = 1.0) -> None:
        super().__init__()
        if scale not in (2, 3, 4):
            raise ValueError(f"EDSR is defined for scales 2, 3 and 4, not {scale}")
        self.register_buffer("mean", torch.tensor(DIV2K_MEAN).view(1, 3, 1, 1), persistent=False)
        self.head = nn.Sequential(nn.Conv2d(3, width, 3, padding=1))
        self.body = nn.Sequential(
            *(ResidualBlock(width, residual_scale) for _ in range(blocks)),
            nn.Conv2d(width, width, 3, padding=1),
        )
        self.scale = scale
        self.tail: nn.Module = nn.Sequential(_upsampler(scale, width), nn.Conv2d(width, 3, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) RGB in [0, 1] -> (B, 3, H * scale, W * scale)."""
        mean = self.mean.to(x.dtype)
        features = self.head(x - mean)
        return self.tail(self.body(features) + features) + mean

    def rewrite(self) -> None:
        """Computes the tail by one convolution, which is the same in fewer steps."""
        if not isinstance(self.tail, CollapsedTail):
            self.tail = CollapsedTail(self.tail, self.scale)


def _upsampler(scale: int, width: int) -> nn.Sequential:
    """Sub-pixel convolution (Shi et al. 2016): one step for x2 and x3, two x2 steps for x4."""
    steps = {2: (2,), 3: (3,), 4: (2, 2)}[scale]
    layers: list[nn.Module] = []
    for step in steps:
        layers += [nn.Conv2d(width, width * step * step, 3, padding=1), nn.PixelShuffle(step)]
    return nn.Sequential(*layers)


def official_key_map(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The published state dict ([0, 255], mean-shift layers) -> this network's ([0, 1], buffer).

    With x255 = 255 * x every layer is homogeneous once its bias is divided by 255 (ReLU and PixelShuffle are
    positively homogeneous), so weights stay as they are. The two fixed 1x1 layers `sub_mean` and `add_mean`
    must hold exactly the published shift; anything else is another model under the same names.

    Raises:
        ValueError: the mean-shift layers are missing or hold other numbers.
    """
    own = dict(state)
    for name, sign in (("sub_mean", -1.0), ("add_mean", 1.0)):
        weight, bias = own.pop(f"{name}.weight", None), own.pop(f"{name}.bias", None)
        expected = sign * 255 * torch.tensor(DIV2K_MEAN)
        if weight is None or bias is None:
            raise ValueError(f"the checkpoint has no {name} layer: it is not the published EDSR")
        identity = torch.eye(3).view(3, 3, 1, 1)
        if not (torch.allclose(bias, expected, atol=1e-2) and torch.allclose(weight, identity, atol=1e-4)):
            raise ValueError(f"the checkpoint's {name} layer is not the published mean shift")
    return {key: value / 255 if key.endswith(".bias") else value for key, value in own.items()}


PROVENANCE = Provenance(
    paper="Enhanced Deep Residual Networks for Single Image Super-Resolution",
    authors="Lim, Son, Kim, Nah, Lee",
    year=2017,
    url="https://arxiv.org/abs/1707.02921",
    code_url="https://github.com/sanghyun-son/EDSR-PyTorch",
    code_licence="MIT",
)
_HOST = "https://cv.snu.ac.kr/research/EDSR/models/"
_BASELINE_HASHES = {  # scale -> (name, bytes, sha256)
    2: ("edsr_baseline_x2-1bc95232.pt", 5_490_680, "1bc9523228fdc3b0a5ddb0d7062001e22b31bbb398ae09cfdefb97e8ee06e171"),
    3: ("edsr_baseline_x3-abf2a44e.pt", 6_229_240, "abf2a44e7a137228efa42a4264a23e12603168d43ac7596b1adef40c649b9240"),
    4: ("edsr_baseline_x4-6b446fab.pt", 6_081_831, "6b446fab734f4de74448d2fd1f3f990f5bae726e49dc7eff2ae9cefe444a1723"),
}
_LARGE_NAMES = {2: "edsr_x2-0edfb8a3.pt", 3: "edsr_x3-ea3ef2c6.pt", 4: "edsr_x4-4f62e9ef.pt"}
_BASELINE_COST = {2: 2745.0, 3: 3131.0, 4: 3966.0}
_BASELINE_MARGIN = 12
"""Pixels. What lies further away reaches an output pixel, but changes it by less than 1/255."""
_LARGE_COST = {2: 81465.0, 3: 87432.0, 4: 100_505.0}


def _baseline(scale: int) -> ModelCard:
    name, size, digest = _BASELINE_HASHES[scale]
    return ModelCard(
        name=f"edsr-baseline-x{scale}",
        family="edsr-baseline",
        title=f"EDSR baseline x{scale}",
        sentence="16 residual blocks of 64 features: the most exact enlarger bundled here.",
        task="enlarge",
        build=partial(EDSR, scale),
        checkpoints=(
            trained_here(f"edsr-baseline-x{scale}"),
            Checkpoint(
                name="official",
                filename=name,
                url=_HOST + name,
                sha256=digest,
                bytes=size,
                licence="MIT",
                key_map=official_key_map,
            ),
        ),
        provenance=PROVENANCE,
        scale=scale,
        size=SizeRule(),
        tiling=Tiling.MARGIN,
        receptive_margin=36,
        margin=_BASELINE_MARGIN,
        gigaflop_per_megapixel=_BASELINE_COST[scale],
        half=True,
    )


def _large(scale: int) -> ModelCard:
    name = _LARGE_NAMES[scale]
    return ModelCard(
        name=f"edsr-x{scale}",
        family="edsr",
        title=f"EDSR x{scale}",
        sentence="32 residual blocks of 256 features: the paper's full network, slow on a CPU.",
        task="enlarge",
        build=partial(EDSR, scale, blocks=32, width=256, residual_scale=0.1),
        checkpoints=(
            Checkpoint(name="official", filename=name, url=_HOST + name, licence="MIT", key_map=official_key_map),
        ),
        provenance=PROVENANCE,
        scale=scale,
        size=SizeRule(),
        tiling=Tiling.EXACT,
        receptive_margin=68,
        margin=68,
        gigaflop_per_megapixel=_LARGE_COST[scale],
    )


CARDS: tuple[ModelCard, ...] = (*(_baseline(s) for s in (2, 3, 4)), *(_large(s) for s in (2, 3, 4)))
