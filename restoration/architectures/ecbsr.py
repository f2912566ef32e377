"""ECBSR: a plain chain of 3x3 convolutions, trained with more branches than it is used with (Zhang et al. 2021).

The branches are in `edge_oriented.py`; what is used, and what the weights file holds, is the plain chain. Three
departures from the paper: RGB instead of luma, leaky ReLU instead of PReLU (a third faster to train on a CPU), and the
skip around the chain is bicubic instead of nearest.

Knows nothing of files, tiles or devices.
"""

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from restoration.card import ModelCard, Provenance, SizeRule, Tiling, trained_here

_SLOPE = 0.1  # of the leaky ReLU
_KEYS = -0.5  # the cubic's parameter, Pillow's and MATLAB's
_RADIUS = 2  # of the bicubic kernel at integer scales, input pixels


class ECBSR(nn.Module):
    """A chain of `blocks` + 2 convolutions to the phases of the result, beside a bicubic skip.

    Args:
        scale: 2, 3 or 4.
        blocks: convolutions between the first and the last.
        width: features.

    Raises:
        ValueError: the scale is not 2, 3 or 4.
    """

    cubic: Tensor

    def __init__(self, scale: int, blocks: int = 10, width: int = 48) -> None:
        super().__init__()
        if scale not in (2, 3, 4):
            raise ValueError(f"ECBSR is made for scales 2, 3 and 4, not {scale}")
        layers: list[nn.Module] = []
        for inner in (3, *(width for _ in range(blocks))):
            layers += [nn.Conv2d(inner, width, 3, padding=1), nn.LeakyReLU(_SLOPE, inplace=True)]
        self.chain = nn.Sequential(*layers, nn.Conv2d(width, 3 * scale**2, 3, padding=1))
        self.scale = scale
        cubic = bicubic_phases(scale)
        cubic[:, :, _RADIUS, _RADIUS] -= 1  # the pixel itself is added apart: what is left is small, and safe in bf16
        self.register_buffer("cubic", cubic.repeat(3, 1, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) RGB in [0, 1] -> (B, 3, H * scale, W * scale)."""
        around = F.pad(x, (_RADIUS,) * 4, mode="replicate")
        beyond = F.conv2d(around, self.cubic.to(x.dtype), groups=3) + self.chain(x)  # what nearest neighbours lack
        batch, _, height, width = x.shape
        nearest = x.unsqueeze(2).expand(-1, -1, self.scale**2, -1, -1).reshape(batch, -1, height, width)
        return F.pixel_shuffle(nearest + beyond, self.scale)


def bicubic_phases(scale: int) -> Tensor:
    """Bicubic enlargement (Keys 1981, a = -0.5, as Pillow and MATLAB have it) as a convolution.

    Args:
        scale: a whole number >= 2.

    Returns: (scale^2, 1, 5, 5), each kernel with sum 1: input pixels -> the pixels of a scale x scale block, by rows.
    """
    places = (torch.arange(scale, dtype=torch.float64) + 0.5) / scale - 0.5  # of a block's pixels, from its centre
    distance = (places[:, None] - torch.arange(-_RADIUS, _RADIUS + 1)).abs()
    near = (_KEYS + 2) * distance**3 - (_KEYS + 3) * distance**2 + 1
    far = _KEYS * (distance**3 - 5 * distance**2 + 8 * distance - 4)
    taps = torch.where(distance <= 1, near, torch.where(distance < 2, far, 0.0))
    return torch.einsum("py,qx->pqyx", taps, taps).reshape(scale**2, 1, 5, 5).float()


PROVENANCE = Provenance(
    paper="Edge-oriented Convolution Block for Real-time Super Resolution on Mobile Devices",
    authors="Zhang, Zeng, Zhang",
    year=2021,
    url="https://doi.org/10.1145/3474085.3475291",
    code_url="https://github.com/xindongzhang/ECBSR",
    code_licence="Apache-2.0",
)
_COST = {2: 428.0, 3: 442.0, 4: 461.0}


def _card(scale: int) -> ModelCard:
    return ModelCard(
        name=f"ecbsr-x{scale}",
        family="ecbsr",
        title=f"ECBSR x{scale}",
        sentence="A chain of twelve small convolutions: a sixth of EDSR's work, nearly as sharp.",
        task="enlarge",
        build=partial(ECBSR, scale),
        checkpoints=(trained_here(f"ecbsr-x{scale}"),),
        provenance=PROVENANCE,
        scale=scale,
        size=SizeRule(),
        tiling=Tiling.EXACT,
        receptive_margin=12,
        margin=12,
        gigaflop_per_megapixel=_COST[scale],
        half=True,
    )


CARDS: tuple[ModelCard, ...] = tuple(_card(scale) for scale in (2, 3, 4))
