"""Losses against their definitions and independent implementations; VGG16 against torchvision's."""

import socket

import numpy as np
import pytest
import torch
from torchvision.models import VGG16_Weights, vgg16

from restoration.evaluation import metrics
from restoration.training import losses


@pytest.fixture
def pictures() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    a = torch.rand(2, 3, 24, 31)
    return a, (a + 0.1 * torch.randn_like(a)).clamp(0, 1)


def test_ssim_loss_is_one_minus_the_metric(pictures: tuple[torch.Tensor, torch.Tensor]) -> None:
    a, b = pictures
    each = [
        metrics.ssim(*(picture.numpy().transpose(1, 2, 0) for picture in pair), peak=1.0)
        for pair in zip(a, b, strict=True)
    ]
    assert float(losses.ssim_loss(a, b)) == pytest.approx(1 - np.mean(each), abs=1e-5)
    assert float(losses.ssim_loss(a, a)) == pytest.approx(0, abs=1e-6)


def test_ssim_loss_has_gradients_that_lead_to_the_truth(pictures: tuple[torch.Tensor, torch.Tensor]) -> None:
    truth, guess = pictures
    guess = guess.clone().requires_grad_()
    before = losses.ssim_loss(guess, truth)
    before.backward()
    assert guess.grad is not None
    assert losses.ssim_loss(guess.detach() - guess.grad, truth) < before.detach()


def test_charbonnier_is_l1_but_smooth_at_zero() -> None:
    error = torch.tensor([-2.0, 0.0, 0.5])
    assert float(losses.l1(error)) == pytest.approx(2.5 / 3)
    assert float(losses.charbonnier(error)) == pytest.approx((np.hypot(2, 1e-3) + 1e-3 + np.hypot(0.5, 1e-3)) / 3)
    zero = torch.zeros(1, requires_grad=True)
    losses.charbonnier(zero).backward()
    assert zero.grad == 0


def test_the_frequency_loss_is_the_mean_spectrum(pictures: tuple[torch.Tensor, torch.Tensor]) -> None:
    error = (pictures[0] - pictures[1]).numpy()
    spectrum = np.fft.rfft2(error, norm="ortho")
    expected = (np.abs(spectrum.real).mean() + np.abs(spectrum.imag).mean()) / 2
    assert float(losses.frequency_l1(torch.from_numpy(error))) == pytest.approx(expected, rel=1e-4)


def test_gram_matrices_are_products_of_channels() -> None:
    features = torch.randn(2, 3, 4, 5)
    expected = torch.einsum("bchw,bdhw->bcd", features, features) / 60
    assert torch.allclose(losses.gram(features), expected, atol=1e-6)


def test_perceptual_losses_see_what_torchvisions_vgg16_sees(pictures: tuple[torch.Tensor, torch.Tensor]) -> None:
    reference = vgg16(weights=None).eval()
    loss = losses.Perceptual(reference.state_dict())
    content, style = loss(*pictures)
    mean, deviation = (torch.tensor(v).view(1, 3, 1, 1) for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    maps = []
    with torch.no_grad():
        for batch in pictures:
            x, kept = (batch - mean) / deviation, []
            for index, layer in enumerate(reference.features[:23]):
                x = layer(x)
                kept += [x] if index in (3, 8, 15, 22) else []
            maps.append(kept)
    assert float(content) == pytest.approx(float((maps[0][2] - maps[1][2]).square().mean()), rel=1e-4)
    expected = sum(float((losses.gram(a) - losses.gram(b)).square().mean()) for a, b in zip(*maps, strict=True))
    assert float(style) == pytest.approx(expected, rel=1e-4)
    assert not any(parameter.requires_grad for parameter in loss.parameters())


def test_vgg16_that_cannot_be_fetched_is_none_and_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(self: object, **_: object) -> None:
        assert socket.getdefaulttimeout()  # a server that never answers is given up on
        raise OSError("no network")

    monkeypatch.setattr(VGG16_Weights, "get_state_dict", fetch)
    assert losses.fetch_vgg16() is None
    assert socket.getdefaulttimeout() is None
