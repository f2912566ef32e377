"""Norms vanish into convolutions, pictures are computed before their maps are doubled, and nothing else changes."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from restoration.architectures.doubling import DoubledConvolution, Meeting
from restoration.card import SizeRule
from restoration.inference import folding
from restoration.inference.folding import fold
from restoration.inference.networks import Networks
from restoration.registry import MODELS
from restoration.weights import WeightStore
from tests.inference.fakes import FakeStore, make_card

STORE = WeightStore()
ANY = SizeRule()
PICTURE = torch.rand(1, 3, 50, 70, generator=torch.Generator().manual_seed(1))


class Normed(nn.Module):
    """Two convolutions with norms, one of them transposed, and a norm that no convolution stands before."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm1 = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.second, self.norm2 = nn.ConvTranspose2d(4, 3, 4, 2, 1, bias=False), nn.BatchNorm2d(3)
        self.alone = nn.BatchNorm2d(3)

    def forward(self, x: Tensor) -> Tensor:
        return self.alone(torch.relu(self.norm2(self.second(torch.relu(self.norm1(self.first(x)))))))


class Shared(nn.Module):
    """What the convolution made is used a second time, without the norm."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)

    def forward(self, x: Tensor) -> Tensor:
        made = self.convolution(x)
        return self.norm(made) + made


class Doubled(nn.Module):
    """A picture made of a doubled map; `outputs` channels, and the doubled map used a second time or not."""

    def __init__(self, outputs: int = 3, *, twice: bool = False, **options: Any) -> None:
        super().__init__()
        self.first, self.grow = nn.Conv2d(3, 8, 3, padding=1), nn.Upsample(scale_factor=2, mode="nearest")
        self.last, self.twice = nn.Conv2d(8, outputs, **{"kernel_size": 3, "padding": 1, **options}), twice

    def forward(self, x: Tensor) -> Tensor:
        doubled = self.grow(self.first(x))
        return self.last(doubled) + doubled[:, :3] if self.twice else self.last(doubled)


def settled(network: nn.Module) -> nn.Module:
    """Norms with statistics and weights of their own."""
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            if module.affine:
                nn.init.uniform_(module.weight, 0.5, 2)
                nn.init.normal_(module.bias)
    return network.eval()


def norms(network: nn.Module) -> list[str]:
    return [name for name, module in network.named_modules() if isinstance(module, nn.BatchNorm2d)]


def test_norms_behind_convolutions_are_folded_and_others_stay():
    network = settled(Normed())
    folded = fold(network, ANY)
    assert norms(folded) == ["alone"]
    assert norms(network) == ["norm1", "norm2", "alone"], "the network itself is left as it was"
    with torch.no_grad():
        assert torch.allclose(folded(PICTURE), network(PICTURE), atol=1e-5)


def test_a_norm_that_cannot_be_folded_is_not():
    network = settled(Shared())
    assert fold(network, ANY) is network


def test_norms_in_training_and_norms_of_the_picture_at_hand_are_left_alone():
    training = settled(Normed()).train()
    assert fold(training, ANY) is training
    network = MODELS["deblurgan-v2-mobilenet"].build().eval()
    assert len(norms(fold(network, ANY))) == len(norms(network)) > 0


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("size", [(50, 70), (1, 1), (2, 9)])
def test_a_picture_made_of_a_doubled_map_is_computed_from_the_small_one(size, bias):
    network = Doubled(bias=bias)
    folded = fold(network, ANY)
    assert isinstance(folded.get_submodule("last"), DoubledConvolution)
    assert isinstance(network.last, nn.Conv2d), "the network itself is left as it was"
    seen = []
    folded.get_submodule("last.small").register_forward_hook(lambda module, inputs, output: seen.append(output.shape))
    x = PICTURE[..., : size[0], : size[1]]
    with torch.no_grad():
        assert torch.allclose(folded(x), network(x), atol=1e-5), "at the borders, too"
    assert seen == [(1, 12, *size)]


@pytest.mark.parametrize(
    "network",
    [
        Doubled(twice=True),
        Doubled(5),
        Doubled(kernel_size=5, padding=2),
        Doubled(padding=0),
        Doubled(padding_mode="reflect"),
        Doubled(stride=2),
        Doubled(dilation=2, padding=2),
        nn.Sequential(nn.Upsample(scale_factor=2, mode="bilinear"), nn.Conv2d(3, 3, 3, padding=1)),
        nn.Sequential(nn.Upsample(scale_factor=4), nn.Conv2d(3, 3, 3, padding=1)),
    ],
)
def test_what_is_no_picture_of_a_map_doubled_for_it_alone_is_left(network):
    folded = fold(network.eval(), ANY)
    assert not any(isinstance(module, DoubledConvolution) for module in folded.modules())


FOLDED = ["unet-resnet-enhance", "pix2pix-faces", "deblurgan-v2-resnet", "blind-wiener-deblurgan-v2"]


@pytest.mark.parametrize("name", FOLDED)
def test_the_networks_of_the_list_are_folded_without_a_trace_in_their_results(name):
    card = MODELS[name]
    network = STORE.load(card)[0] if STORE.availability(card).available else settled(card.build())
    folded = fold(network, card.size)
    side = card.size.fixed or 83
    x = torch.rand(1, 3, side, card.size.fixed or 70, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        assert (folded(x) - network(x)).abs().max() <= 1e-4
    assert len(norms(folded)) < len(norms(network)) / 2


def test_an_engines_networks_are_folded():
    card = make_card(lambda: settled(Normed()), name="normed", scale=2)
    assert norms(Networks(FakeStore()).get(card, "cpu").network) == ["alone"]


def test_a_fold_that_is_wrong_is_thrown_away(monkeypatch):
    network = settled(Normed())
    monkeypatch.setattr(folding, "fuse_conv_bn_weights", lambda weight, bias, *args, **options: (weight, bias))
    assert fold(network, ANY) is network


@pytest.mark.parametrize("name", [name for name in MODELS if name.startswith("deblurgan-v2")])
def test_the_feature_pyramids_are_rewritten(name):
    card = MODELS[name]
    network = settled(card.build())
    folded = fold(network, card.size)
    meetings = [name for name, module in folded.named_modules() if isinstance(module, Meeting)]
    published = card.checkpoints[0].url is not None
    assert meetings == ["fpn.td1", "fpn.td2", "fpn.td3", "smooth"] + ["smooth2"] * published
    assert not any(isinstance(module, Meeting) for module in network.modules()), "the network itself is left as it was"
    x = torch.rand(1, 3, card.size.minimum + 3, 197, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        assert (folded(x) - network(x)).abs().max() <= 1e-4


class Wrong(Normed):
    """Believes to know a quicker way."""

    def rewrite(self) -> None:
        self.second = nn.Conv2d(4, 3, 3, padding=1)


def test_a_rewriting_that_is_wrong_is_thrown_away_alone():
    folded = fold(settled(Wrong()), ANY)
    assert isinstance(folded.get_submodule("second"), nn.ConvTranspose2d)
    assert norms(folded) == ["alone"], "norms are folded all the same"
