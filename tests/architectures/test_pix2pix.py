"""pix2pix: the published size, determinism at inference, and the residual."""

import pytest
import torch

from restoration.architectures.pix2pix import Pix2Pix

PUBLISHED_PARAMETERS = 54_415_043  # a trained generator of width 64, as counted in a public reimplementation


def test_the_full_width_is_the_published_network() -> None:
    with torch.device("meta"):
        count = sum(parameter.numel() for parameter in Pix2Pix(64).parameters())
    norm_of_the_innermost = 2 * 512  # left out here: its map is one pixel
    bias_in_its_place = 512
    assert count == PUBLISHED_PARAMETERS - norm_of_the_innermost + bias_in_its_place


def test_nothing_is_random_or_batch_dependent_at_inference() -> None:
    torch.manual_seed(0)
    network = Pix2Pix(4).eval()
    x = torch.rand(3, 3, 256, 256)
    with torch.no_grad():
        together = network(x)
        assert torch.equal(together, network(x))
        assert torch.allclose(together[1:2], network(x[1:2]), atol=1e-6)


def test_dropout_acts_in_training_only() -> None:
    torch.manual_seed(0)
    network = Pix2Pix(4, dropout=0.5).train()
    x = torch.rand(2, 3, 256, 256)
    with torch.no_grad():
        assert not torch.equal(network(x), network(x))


def test_a_quiet_residual_network_copies_its_input() -> None:
    network = Pix2Pix(4, residual=True).eval()
    torch.nn.init.zeros_(network.final.weight)
    torch.nn.init.zeros_(network.final.bias)  # type: ignore[arg-type]
    x = torch.rand(1, 3, 256, 256)
    with torch.no_grad():
        assert torch.equal(network(x), x)


def test_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="256 x 256"):
        Pix2Pix(4)(torch.rand(1, 3, 128, 128))
