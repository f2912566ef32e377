"""The light deblurrer: any size, nothing lost by unshuffling, and an honest beginning."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from restoration.architectures.residual_unet import ResidualUNet
from restoration.training.starts import quiet_residuals


def small() -> ResidualUNet:
    torch.manual_seed(0)
    return ResidualUNet((8, 12, 16), (1, 1, 1)).eval()


@pytest.mark.parametrize("size", [(16, 16), (1, 1), (5, 33), (47, 64)])
def test_any_size_comes_back_at_its_size(size: tuple[int, int]) -> None:
    x = torch.rand(2, 3, *size)
    with torch.no_grad():
        assert small()(x).shape == x.shape


def test_a_padded_picture_is_continued_by_its_edge() -> None:
    network, x = small(), torch.rand(1, 3, 21, 30)
    whole = F.pad(x, (0, 2, 0, 11), mode="replicate")
    with torch.no_grad():
        assert torch.allclose(network(x), network(whole)[..., :21, :30], atol=1e-6)


def test_a_silent_tail_returns_the_picture_itself() -> None:
    network, x = small(), torch.rand(1, 3, 32, 48)
    nn.init.zeros_(network.tail.weight)
    nn.init.zeros_(network.tail.bias)  # type: ignore[arg-type]
    with torch.no_grad():
        assert torch.equal(network(x), x)


def test_it_starts_close_to_leaving_the_picture_alone() -> None:
    network, x = small(), torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        before = (network(x) - x).abs().mean()
        quiet_residuals(network)
        assert (network(x) - x).abs().mean() < 0.6 * before  # what is left is the tail's bias


def test_every_level_reaches_the_result() -> None:
    network, x = small(), torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        whole = network(x)
        for part in (network.bottom, network.down1, network.up1, network.down0, network.up0):
            hook = part.register_forward_hook(lambda module, given, result: result * 0)
            assert (network(x) - whole).abs().max() > 1e-6
            hook.remove()


def test_there_is_no_norm_to_fold() -> None:
    assert not any("norm" in type(module).__name__.lower() for module in small().modules())
