"""The hook-free twin against fastai's own DynamicUnet: one state dict, one output."""

import sys

import pytest
import torch
from torch import nn

from restoration.architectures.fastai_unet import ENHANCE_TRUNK, FastaiUNet, Trunk, dynamic_unet
from tests.architectures.test_resnet import randomise_norms

SIZES = [(64, 64), (97, 131), (130, 66), (33, 1), (1, 1), (31, 257)]


@pytest.fixture(
    scope="module", params=[ENHANCE_TRUNK, Trunk(4, (12, 16, 20, 24), (1, 2, 1, 1))], ids=["served", "small"]
)
def pair(request: pytest.FixtureRequest) -> tuple[nn.Module, FastaiUNet]:
    torch.manual_seed(0)
    theirs = dynamic_unet(request.param).eval()
    randomise_norms(theirs)
    ours = FastaiUNet(request.param).eval()
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


def test_the_keys_and_shapes_are_fastais(pair: tuple[nn.Module, FastaiUNet]) -> None:
    theirs, ours = pair
    assert {k: v.shape for k, v in theirs.state_dict().items()} == {k: v.shape for k, v in ours.state_dict().items()}


@pytest.mark.parametrize("size", SIZES)
def test_the_outputs_agree_at_odd_sizes(pair: tuple[nn.Module, FastaiUNet], size: tuple[int, int]) -> None:
    theirs, ours = pair
    x = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(sum(size)))
    with torch.no_grad():
        expected = theirs(x)
        assert expected.shape == x.shape
        assert (ours(x) - expected).abs().max() <= 1e-4


def test_the_twin_has_no_hooks(pair: tuple[nn.Module, FastaiUNet]) -> None:
    theirs, ours = pair
    assert any(module._forward_hooks for module in theirs.modules())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in ours.modules())


def test_building_the_twin_needs_no_fastai() -> None:
    import subprocess

    code = (
        "import sys; from restoration.registry import MODELS; MODELS['unet-resnet-enhance'].build();"
        "print([m for m in ('fastai', 'timm', 'torchvision') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
