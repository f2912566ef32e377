"""Losses: what a step is to make small, as pure functions of two batches, and the perceptual one of VGG16.

Batches are (B, 3, H, W) RGB in [0, 1], float32. Knows nothing of recipes, critics or files (but torchvision's cache).
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_RADIUS, _SIGMA = 5, 1.5  # the 11 x 11 Gaussian window of Wang et al. 2004
_PATIENCE_SECONDS = 15.0  # for a server that does not answer


def l1(error: Tensor) -> Tensor:
    """The mean absolute error."""
    return error.abs().mean()


def charbonnier(error: Tensor, epsilon: float = 1e-3) -> Tensor:
    """The mean of sqrt(e^2 + epsilon^2), an L1 that is smooth at zero (Charbonnier et al. 1994; Lai et al. 2017)."""
    return (error.square() + epsilon * epsilon).sqrt().mean()


def frequency_l1(error: Tensor) -> Tensor:
    """The mean absolute value of the error's orthonormal 2-D spectrum (Cho et al. 2021, equation 5, up to a factor).

    error: (B, C, H, W) float32. Blur is a product in the frequency domain: this asks for the lost frequencies directly.
    """
    return torch.view_as_real(torch.fft.rfft2(error, norm="ortho")).abs().mean()


def ssim_loss(a: Tensor, b: Tensor) -> Tensor:
    """1 - SSIM (Wang et al. 2004), the mean over positions where the window fits, channels and pictures.

    (B, C, H, W) in [0, 1], at least 11 x 11 pixels -> a scalar in [0, 2]. Equal to 1 - `evaluation.metrics.ssim`.
    """
    channels = a.shape[1]
    offsets = torch.arange(-_RADIUS, _RADIUS + 1, device=a.device, dtype=a.dtype)
    window = torch.exp(-offsets.square() / (2 * _SIGMA**2))
    window = (window / window.sum()).expand(channels, 1, 1, -1)
    maps = torch.cat([a, b, a * a, b * b, a * b])
    maps = F.conv2d(F.conv2d(maps, window, groups=channels), window.transpose(2, 3), groups=channels)
    mean_a, mean_b, square_a, square_b, product = maps.chunk(5)
    means, squares = mean_a * mean_b, mean_a.square() + mean_b.square()
    c1, c2 = 0.01**2, 0.03**2
    similarity = (2 * means + c1) * (2 * (product - means) + c2)
    return 1 - (similarity / ((squares + c1) * (square_a + square_b - squares + c2))).mean()


def gram(features: Tensor) -> Tensor:
    """The Gram matrices of feature maps (Gatys et al. 2016), divided by their size (Johnson et al. 2016).

    (B, C, H, W) -> (B, C, C).
    """
    flat = features.flatten(2)
    return flat @ flat.transpose(1, 2) / flat[0].numel()


class Perceptual(nn.Module):
    """VGG16's opinion of two batches: content and style (Johnson et al. 2016; Gatys et al. 2016).

    Content is the mean squared difference after conv3_3, as in DeblurGAN; style that of the Gram matrices after
    conv1_2, conv2_2, conv3_3 and conv4_3. The network is held fixed.

    Args:
        state: VGG16's weights as torchvision names them; only `features.*` up to conv4_3 are used.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, state: dict[str, Tensor]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels, self._taps = 3, []
        for width, depth in ((64, 2), (128, 2), (256, 3), (512, 3)):
            for _ in range(depth):
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
                channels = width
            self._taps.append(len(layers) - 1)
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers[:-1])
        self.features.load_state_dict(
            {key: state[f"features.{key}"] for key in self.features.state_dict()}, assign=True
        )
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1))
        self.register_buffer("deviation", torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1))
        self.requires_grad_(False)

    def forward(self, output: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, H, W) twice, RGB in [0, 1] -> content, style: scalars."""
        ours = self._maps(output)
        with torch.no_grad():
            theirs = self._maps(truth)
        pairs = [(a.float(), b.float()) for a, b in zip(ours, theirs, strict=True)]
        style = torch.stack([F.mse_loss(gram(a), gram(b)) for a, b in pairs]).sum()
        return F.mse_loss(*pairs[2]), style

    def _maps(self, x: Tensor) -> list[Tensor]:
        maps, x = [], (x - self.mean) / self.deviation
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index in self._taps:
                maps.append(x)
        return maps


def fetch_vgg16() -> dict[str, Tensor] | None:
    """VGG16's ImageNet weights from torchvision's cache or server; None where they cannot be had."""
    try:
        from torchvision.models import VGG16_Weights

        with _impatient():
            return dict(VGG16_Weights.IMAGENET1K_V1.get_state_dict(progress=False, check_hash=True))
    except (ImportError, OSError, RuntimeError):  # no torchvision, no network, a damaged download
        return None


@contextmanager
def _impatient() -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_PATIENCE_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
