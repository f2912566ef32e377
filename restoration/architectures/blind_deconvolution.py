"""A deblurrer that first measures the blur: blind deconvolution whose two uncertain steps are learned.

    picture -> kernel, by sparse gradients -> kernel refiner (network) -> Wiener filters -> residual U-Net -> picture

In the line of Schuler et al., "Learning to Deblur" (2014), where networks and closed-form kernel estimates take turns,
and of Dong et al., "Deep Wiener Deconvolution" (2020), where a network mends what the inverse filter leaves. A plain
network must find out a long kernel from its receptive field and apply its inverse by convolutions; here both are
arithmetic, and the networks only judge: which part of a measured kernel is real, and where its inverse may be trusted.
Where it may not (no shake, shake that changes over the picture, clipped lights), the U-Net works on the picture itself.

The kernel is measured once for a whole picture (`observe`) and handed to every tile as `context`.
Knows nothing of files, tiles or devices.
"""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import product

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from restoration.architectures.deblurgan_v2 import PROVENANCE as DEBLURGAN_V2
from restoration.architectures.deblurgan_v2 import DeblurGANv2, light_mobilenet, light_resnet
from restoration.architectures.deconvolution import Part, wiener
from restoration.architectures.kernel_estimation import FRAME, KERNEL_SIDE, RAW_SIDE, estimate_kernel, luma
from restoration.architectures.residual_unet import ResidualUNet, residual_blocks
from restoration.card import ModelCard, Provenance, SizeRule, Tiling, trained_here

WIENER_WEIGHTS = (3e-3, 3e-2)
"""Little and much smoothing: what noise leaves and what ringing leaves."""
INPUTS = 3 + 3 * len(WIENER_WEIGHTS)
"""Channels of a picture beside its deconvolutions."""
OUTPUTS = 4
"""Channels of what a mender answers: what to add, and, by a sigmoid, how far to trust the smoother deconvolution."""
_MEASURED, _REFINED = 0.12, 0.04  # of its largest value: what counts as a part of a kernel when it is placed
_GRID = 48  # RAW_SIDE on a multiple of 4


class KernelRefiner(nn.Module):
    """A small U-Net over a measured kernel: drops what the picture's own lines left in it and restores faint strokes.

    Args:
        widths: channels at full, half and quarter size.
        depth: residual blocks on each level and way.
    """

    def __init__(self, widths: tuple[int, int, int] = (32, 64, 96), depth: int = 2) -> None:
        super().__init__()
        fine, middle, coarse = widths
        self.head = nn.Conv2d(3, fine, 3, padding=1)
        self.down0, self.halve0 = residual_blocks(fine, depth), nn.Conv2d(fine, middle, 3, 2, 1)
        self.down1, self.halve1 = residual_blocks(middle, depth), nn.Conv2d(middle, coarse, 3, 2, 1)
        self.bottom, self.overall = residual_blocks(coarse, depth + 1), nn.Linear(coarse, coarse)
        self.double1, self.up1 = nn.Conv2d(coarse, 4 * middle, 1), residual_blocks(middle, depth)
        self.double0, self.up0 = nn.Conv2d(middle, 4 * fine, 1), residual_blocks(fine, depth)
        self.tail = nn.Conv2d(fine, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 2, RAW_SIDE, RAW_SIDE), as `packed` makes it -> (B, 1, RAW_SIDE, RAW_SIDE): >= 0, sum 1, and nothing
        outside the middle KERNEL_SIDE pixels. Scaling both channels changes nothing."""
        peak = x[:, :1].amax((2, 3), keepdim=True).clamp(min=1e-6)
        beside = (_GRID - RAW_SIDE) // 2
        measured = F.pad((x / peak).clamp(-2, 2), (beside, beside + 1) * 2)
        line = torch.linspace(-1, 1, _GRID, device=x.device)
        radius = (line[:, None].square() + line.square()).expand_as(measured[:, :1])
        fine = self.down0(self.head(torch.cat((measured, radius), 1)))
        middle = self.down1(self.halve0(fine))
        coarse = self.bottom(self.halve1(middle))
        coarse = coarse + self.overall(coarse.mean((2, 3)))[..., None, None]
        middle = self.up1(middle + F.pixel_shuffle(self.double1(coarse), 2))
        fine = self.up0(fine + F.pixel_shuffle(self.double0(middle), 2))
        inner = slice(beside + FRAME, beside + FRAME + KERNEL_SIDE)
        refined = F.softplus(self.tail(fine)[..., inner, inner].float(), beta=4) * peak
        return F.pad(refined / refined.sum((2, 3), keepdim=True).clamp(min=1e-6), (FRAME,) * 4)


def packed(kernel: Tensor, solution: Tensor) -> Tensor:
    """What `estimate_kernel` yields, as the refiner takes it: (1, 2, RAW_SIDE, RAW_SIDE)."""
    return torch.stack((F.pad(kernel, (FRAME,) * 4), solution))[None]


def turned_mean(refiner: nn.Module, measured: Tensor) -> Tensor:
    """The mean of a refiner's answers to the eight turned and mirrored versions of a measurement, turned back."""
    ways = list(product((False, True), ((), (-1,), (-2,), (-2, -1))))
    turned = [(measured.transpose(-2, -1) if swap else measured).flip(flips) for swap, flips in ways]
    total = torch.zeros_like(measured[:, :1])
    for answer, (swap, flips) in zip(refiner(torch.cat(turned)).split(len(measured)), ways, strict=True):
        back = answer.flip(flips)
        total += back.transpose(-2, -1) if swap else back
    return total / len(ways)


def placed(kernel: Tensor, threshold: float) -> Tensor:
    """Moves a kernel, (1, C, n, n), by whole pixels so that the middle of its bounding box is in the middle: only that
    tells where the sharp picture is. The box is that of the first channel's values above `threshold` of the largest."""
    strong = kernel[0, 0] > threshold * kernel[0, 0].max()
    shift = []
    for axis in (0, 1):
        places = strong.any(1 - axis).nonzero()
        shift.append(round(kernel.shape[-1] // 2 - float(places[0] + places[-1]) / 2) if len(places) else 0)
    return torch.roll(kernel, shift, (-2, -1))


class WienerMender(nn.Module):
    """Mends Wiener-deconvolved pictures: where to trust them, and what to add.

    Args:
        unet: what looks at the picture and its deconvolutions: its `residual` makes (B, 4, H, W) of (B, 9, H, W).
    """

    def __init__(self, unet: ResidualUNet | DeblurGANv2) -> None:
        super().__init__()
        self.unet = unet

    def forward(self, features: Tensor) -> Tensor:
        """(B, 9, H, W): the picture and its deconvolutions by `WIENER_WEIGHTS` -> (B, 3, H, W)."""
        answer = self.unet.residual(features)
        picture, smooth = features[:, :3], features[:, -3:]
        trust = torch.sigmoid(answer[:, 3:].float())
        return picture + trust * (smooth - picture) + answer[:, :3].float()


class BlindDeconvolution(nn.Module):
    """Measures the blur of a picture, inverts it, and mends the result.

    Args:
        mender: the network that mends: of `INPUTS` channels and `OUTPUTS`.
    """

    def __init__(self, mender: ResidualUNet | DeblurGANv2) -> None:
        super().__init__()
        self.refiner = KernelRefiner()
        self.restorer = WienerMender(mender)

    def observe(self, x: Tensor) -> Iterator[Tensor]:
        """Measures the kernel of one picture, (1, 3, H, W) RGB in [0, 1], in steps of a fraction of a second.

        Yields: after each step a context (1, 1, RAW_SIDE, RAW_SIDE) as `forward` takes it; the last one is the
            measurement. A picture smaller than two kernels is taken for sharp.
        """
        gray = luma(x[0].float().clamp(0, 1))
        if min(gray.shape) < 2 * KERNEL_SIDE or float(gray.std()) < 1e-4:
            yield self.neutral(x)
            return
        measured = self.neutral(x)
        for kernel, solution in estimate_kernel(gray):
            measured = packed(kernel, solution)
            yield measured[:, :1]
        refined = placed(turned_mean(self.refiner, placed(measured, _MEASURED)), _REFINED)
        yield refined if bool(torch.isfinite(refined).all()) else self.neutral(x)

    @staticmethod
    def neutral(x: Tensor) -> Tensor:
        """The context of a sharp picture: (1, 1, RAW_SIDE, RAW_SIDE), one in the middle."""
        kernel = torch.zeros(1, 1, RAW_SIDE, RAW_SIDE, device=x.device)
        kernel[..., RAW_SIDE // 2, RAW_SIDE // 2] = 1
        return kernel

    def features(self, x: Tensor, kernels: Tensor, part: Part | None = None) -> Tensor:
        """(B, 3, H, W) and (B, n, n) -> (B, 9, H, W), or the part's size: the picture and its deconvolutions."""
        deconvolved = wiener(x.float(), kernels, WIENER_WEIGHTS, part=part).clamp(-0.5, 1.5)
        return torch.cat((x if part is None else x[(..., *part)], deconvolved), 1)

    def forward(self, x: Tensor, context: Tensor | None = None, part: Part | None = None) -> Tensor:
        """(B, 3, H, W) RGB in [0, 1] -> the same shape, or that of the part.

        Args:
            context: kernels (B or 1, 1, RAW_SIDE, RAW_SIDE), as `observe` gives them; or, in training, measurements
                (B, 2 or more, RAW_SIDE, RAW_SIDE) as `packed` makes them, which are refined first. None measures each
                picture here.
            part: rows and columns that are to be mended; None = all. Wiener's filter sees the whole of x.
        """
        if context is None:
            context = torch.cat([list(self.observe(picture[None]))[-1] for picture in x])
        kernels = context if context.shape[1] == 1 else self.refiner(context[:, :2])
        return self.restorer(self.features(x, kernels[:, 0].float(), part))


PROVENANCE = Provenance(
    paper="Learning to Deblur",
    authors="Schuler, Hirsch, Harmeling, Schoelkopf",
    year=2014,
    url="https://arxiv.org/abs/1406.7444",
    code_url="https://arxiv.org/abs/1406.7444",
    code_licence="none used: written from the papers",
)


def with_unet(
    widths: tuple[int, int, int] = (96, 128, 160), depths: tuple[int, int, int] = (3, 3, 3)
) -> BlindDeconvolution:
    """Mended by a residual U-Net of these channels and blocks."""
    return BlindDeconvolution(ResidualUNet(widths, depths, inputs=INPUTS, outputs=OUTPUTS))


def with_deblurgan(build: Callable[..., DeblurGANv2] = light_resnet) -> BlindDeconvolution:
    """Mended by DeblurGAN-v2's feature pyramid, over the light ResNet or over what `build` takes."""
    return BlindDeconvolution(build(inputs=INPUTS, outputs=OUTPUTS))


CARDS: tuple[ModelCard, ...] = (
    ModelCard(
        name="blind-wiener-unet",
        family="blind-wiener-unet",
        title="Blind Wiener U-Net",
        sentence="Measures how the camera shook, undoes it by Wiener deconvolution and mends what that leaves.",
        task="deblur",
        build=with_unet,
        checkpoints=(trained_here("blind-wiener-unet"),),
        provenance=PROVENANCE,
        size=SizeRule(multiple_of=16, minimum=1),
        tiling=Tiling.MARGIN,
        margin=32,
        surroundings=112,
        gigaflop_per_megapixel=220.05,
        observes=768,
        half=True,
    ),
    ModelCard(
        name="blind-wiener-deblurgan-v2",
        family="blind-wiener-deblurgan-v2",
        title="Blind Wiener DeblurGAN-v2",
        sentence="Measures how the camera shook and undoes it, as the Blind Wiener U-Net; DeblurGAN-v2 mends the rest.",
        task="deblur",
        build=with_deblurgan,
        checkpoints=(trained_here("blind-wiener-deblurgan-v2"),),
        provenance=DEBLURGAN_V2,
        size=SizeRule(multiple_of=32, minimum=1),
        tiling=Tiling.MARGIN,
        margin=128,
        surroundings=32,
        gigaflop_per_megapixel=147.19,
        observes=768,
        half=True,
    ),
    ModelCard(
        name="blind-wiener-mobilenet",
        family="blind-wiener-mobilenet",
        title="Blind Wiener DeblurGAN-v2, MobileNetV2",
        sentence="Measures how the camera shook and undoes it; a light MobileNetV2 pyramid mends the rest.",
        task="deblur",
        build=partial(with_deblurgan, light_mobilenet),
        checkpoints=(trained_here("blind-wiener-mobilenet"),),
        provenance=DEBLURGAN_V2,
        size=SizeRule(multiple_of=32, minimum=1),
        tiling=Tiling.MARGIN,
        margin=64,
        surroundings=48,
        gigaflop_per_megapixel=59.71,
        observes=768,
        half=True,
    ),
)
