"""A plain U-Net of residual blocks on unshuffled pixels: light networks that deblur, enhance and restore faces.

U-Net (Ronneberger et al. 2015) over EDSR's residual blocks (Lim et al. 2017); pixel unshuffling (Shi et al. 2016, the
other way round) brings the picture to a quarter of its size without losing a value, so that all convolutions are dense
3x3 ones where a CPU is quick. No norms: nothing to fold, nothing that depends on a batch or on a whole picture.
Knows nothing of files, tiles or devices.
"""

from functools import partial

from torch import Tensor, nn
from torch.nn import functional as F

from restoration.architectures.edsr import ResidualBlock
from restoration.architectures.pix2pix import SIDE
from restoration.card import ModelCard, Provenance, SizeRule, Tiling, trained_here

_UNSHUFFLE = 4


def residual_blocks(width: int, count: int) -> nn.Sequential:
    """`count` of EDSR's residual blocks, one after the other."""
    return nn.Sequential(*(ResidualBlock(width, 1.0) for _ in range(count)))


def _doubling(inputs: int, outputs: int) -> nn.Sequential:
    """1x1 convolution and pixel shuffle: twice the size."""
    return nn.Sequential(nn.Conv2d(inputs, 4 * outputs, 1), nn.PixelShuffle(2))


class ResidualUNet(nn.Module):
    """Three levels, at a quarter, an eighth and a sixteenth of the picture's size; the result is added to the picture.

    Args:
        widths: channels of the levels, finest first.
        depths: residual blocks of the levels, on each way for the first two.
        inputs, outputs: channels of the picture, and of what `residual` gives.
    """

    def __init__(
        self, widths: tuple[int, int, int], depths: tuple[int, int, int], inputs: int = 3, outputs: int = 3
    ) -> None:
        super().__init__()
        fine, middle, coarse = widths
        self.head = nn.Conv2d(inputs * _UNSHUFFLE**2, fine, 3, padding=1)
        self.down0, self.halve0 = residual_blocks(fine, depths[0]), nn.Conv2d(fine, middle, 3, 2, 1)
        self.down1, self.halve1 = residual_blocks(middle, depths[1]), nn.Conv2d(middle, coarse, 3, 2, 1)
        self.bottom = residual_blocks(coarse, depths[2])
        self.double1, self.up1 = _doubling(coarse, middle), residual_blocks(middle, depths[1])
        self.double0, self.up0 = _doubling(middle, fine), residual_blocks(fine, depths[0])
        self.tail = nn.Conv2d(fine, outputs * _UNSHUFFLE**2, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) RGB in [0, 1] -> the same shape."""
        return x + self.residual(x)

    def residual(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H, W); sides are continued by the edge to multiples of 16."""
        height, width = x.shape[-2:]
        bottom, right = -height % 16, -width % 16
        whole = F.pad(x, (0, right, 0, bottom), mode="replicate") if bottom or right else x
        fine = self.down0(self.head(F.pixel_unshuffle(whole, _UNSHUFFLE)))
        middle = self.down1(self.halve0(fine))
        coarse = self.bottom(self.halve1(middle))
        middle = self.up1(middle + self.double1(coarse))
        fine = self.up0(fine + self.double0(middle))
        return F.pixel_shuffle(self.tail(fine), _UNSHUFFLE)[..., :height, :width]


PROVENANCE = Provenance(
    paper="U-Net: Convolutional Networks for Biomedical Image Segmentation",
    authors="Ronneberger, Fischer, Brox",
    year=2015,
    url="https://arxiv.org/abs/1505.04597",
    code_url="https://lmb.informatik.uni-freiburg.de/people/ronneber/u-net/",
    code_licence="none used: written from the paper",
)

CARDS: tuple[ModelCard, ...] = (
    ModelCard(
        name="residual-unet-deblur",
        family="residual-unet-deblur",
        title="Residual U-Net",
        sentence="A light U-Net of residual blocks, trained here on random camera shake.",
        task="deblur",
        build=partial(ResidualUNet, (96, 128, 160), (3, 3, 3)),
        checkpoints=(trained_here("residual-unet-deblur"),),
        provenance=PROVENANCE,
        size=SizeRule(multiple_of=16, minimum=1),
        tiling=Tiling.MARGIN,
        margin=64,
        gigaflop_per_megapixel=208.0,
        half=True,
    ),
    ModelCard(
        name="residual-unet-enhance",
        family="residual-unet-enhance",
        title="Residual U-Net for enhancing",
        sentence="A light U-Net of residual blocks, trained on soft, noisy and compressed photographs.",
        task="enhance",
        build=partial(ResidualUNet, (64, 128, 192), (2, 3, 4)),
        checkpoints=(trained_here("residual-unet-enhance"),),
        provenance=PROVENANCE,
        size=SizeRule(multiple_of=16, minimum=1),
        tiling=Tiling.MARGIN,
        margin=96,
        gigaflop_per_megapixel=125.6,
        half=True,
    ),
    ModelCard(
        name="residual-unet-faces",
        family="residual-unet-faces",
        title="Residual U-Net for faces",
        sentence="A light U-Net of residual blocks, trained on worn faces of 256 x 256 pixels.",
        task="faces",
        build=partial(ResidualUNet, (64, 128, 192), (2, 3, 4)),
        checkpoints=(trained_here("residual-unet-faces"),),
        provenance=PROVENANCE,
        size=SizeRule(multiple_of=SIDE, minimum=SIDE, fixed=SIDE),
        tiling=Tiling.NEVER,
        margin=0,
        gigaflop_per_megapixel=125.6,
        half=True,
    ),
)
