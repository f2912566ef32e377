"""Our ResNet-D trunk against timm's, key for key."""

import pytest
import torch

from restoration.architectures.resnet import ResNetFeatures, timm_resnet


@pytest.mark.parametrize("replace", [False, True])
@pytest.mark.parametrize("size", [(64, 64), (97, 63), (33, 1), (1, 1)])
def test_the_trunk_equals_timms_with_shared_weights(size: tuple[int, int], replace: bool) -> None:
    shape = (8, (16, 24, 32, 48), (1, 2, 1, 2))
    torch.manual_seed(0)
    theirs = timm_resnet(*shape, replace_stem_pool=replace).eval()
    randomise_norms(theirs)
    ours = ResNetFeatures(*shape, replace_stem_pool=replace).eval()
    ours.load_state_dict(theirs.state_dict())
    x = torch.rand(2, 3, *size)
    with torch.no_grad():
        expected = theirs.forward_features(x)
        assert torch.equal(ours(x)[-1], expected)
        assert expected.abs().max() > 0


def test_the_five_maps_halve_and_have_the_declared_channels() -> None:
    network = ResNetFeatures(8, (16, 24, 32, 48), (1, 1, 1, 1))
    maps = network(torch.rand(1, 3, 64, 96))
    assert [m.shape[1] for m in maps] == list(network.channels)
    assert [tuple(m.shape[-2:]) for m in maps] == [(64 // 2**k, 96 // 2**k) for k in range(1, 6)]


def randomise_norms(network: torch.nn.Module) -> None:
    """Statistics as after a training, so that a norm that is skipped or doubled shows."""
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d) and module.running_mean is not None:
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.5, 2)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.uniform_(module.bias, -0.2, 0.2)
