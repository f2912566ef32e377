"""The pix2pix generator (Isola et al. 2017) for 256 x 256 faces: a U-Net of eight halvings, with a width to choose.

Nothing random or batch-dependent is left at inference: dropout is for training only and the norms use stored
statistics. Knows nothing of files, faces in photographs or devices.
"""

from functools import partial

import torch
from torch import Tensor, nn

from restoration.card import ModelCard, Provenance, SizeRule, Tiling, trained_here

SIDE = 256
_DEPTH = 8


class Down(nn.Module):
    """4x4 convolution of stride 2, norm, LeakyReLU(0.2): half the size."""

    def __init__(self, inputs: int, outputs: int, *, norm: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 4, 2, 1, bias=not norm)
        self.norm = nn.BatchNorm2d(outputs) if norm else nn.Identity()
        self.act = nn.LeakyReLU(0.2, inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H / 2, W / 2)."""
        return self.act(self.norm(self.conv(x)))


class Up(nn.Module):
    """4x4 transposed convolution of stride 2, norm, dropout, ReLU: twice the size."""

    def __init__(self, inputs: int, outputs: int, *, dropout: float) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        self.dropout = nn.Dropout(dropout)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, 2 H, 2 W)."""
        return self.act(self.dropout(self.norm(self.conv(x))))


class Pix2Pix(nn.Module):
    """Eight halvings, seven doublings with skips, a final doubling to RGB by tanh.

    Args:
        width: channels of the first level (64 in the paper; 54.4 M parameters; 32 gives 13.6 M).
        residual: add the tanh to the input instead of returning it as the picture. With little training a network
            of this kind loses more by redrawing a face than it gains; DeblurGAN-v2 uses the same residual.
        dropout: on the three deepest doublings, in training (0.5 in the paper).

    The innermost level has no norm: its map is one pixel, whose variance within one picture is zero.
    """

    def __init__(self, width: int = 64, *, residual: bool = False, dropout: float = 0.5) -> None:
        super().__init__()
        self.residual = residual
        channels = [width * min(2**level, 8) for level in range(_DEPTH)]
        self.down = nn.ModuleList(
            Down(3 if level == 0 else channels[level - 1], channels[level], norm=0 < level < _DEPTH - 1)
            for level in range(_DEPTH)
        )
        self.up = nn.ModuleList()
        deeper = channels[-1]
        for level in reversed(range(_DEPTH - 1)):
            self.up.append(Up(deeper, channels[level], dropout=dropout if level >= _DEPTH - 4 else 0.0))
            deeper = 2 * channels[level]
        self.final = nn.ConvTranspose2d(deeper, 3, 4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, 256, 256) RGB in [0, 1] -> the same shape, in [0, 1].

        Raises:
            ValueError: the picture is not 256 x 256.
        """
        if x.shape[-2:] != (SIDE, SIDE):
            raise ValueError(f"pix2pix takes {SIDE} x {SIDE} pictures, not {tuple(x.shape[-2:])}")
        features, skips = 2 * x - 1, []
        for down in self.down:
            features = down(features)
            skips.append(features)
        skips.pop()
        for up in self.up:
            features = torch.cat([up(features), skips.pop()], dim=1)
        drawn = torch.tanh(self.final(features)).to(x.dtype)
        return torch.clamp(x + drawn, 0, 1) if self.residual else (drawn + 1) / 2


PROVENANCE = Provenance(
    paper="Image-to-Image Translation with Conditional Adversarial Networks",
    authors="Isola, Zhu, Zhou, Efros",
    year=2017,
    url="https://arxiv.org/abs/1611.07004",
    code_url="https://github.com/phillipi/pix2pix",
    code_licence="BSD-2-Clause",
)

CARDS: tuple[ModelCard, ...] = (
    ModelCard(
        name="pix2pix-faces",
        family="pix2pix-faces",
        title="pix2pix U-Net for faces",
        sentence="The pix2pix generator at half width, trained on worn faces of 256 x 256 pixels.",
        task="faces",
        build=partial(Pix2Pix, 32, residual=True, dropout=0.0),
        checkpoints=(trained_here("pix2pix-faces"),),
        provenance=PROVENANCE,
        size=SizeRule(multiple_of=SIDE, minimum=SIDE, fixed=SIDE),
        tiling=Tiling.NEVER,
        margin=0,
        gigaflop_per_megapixel=47.3,
        half=True,
    ),
)
