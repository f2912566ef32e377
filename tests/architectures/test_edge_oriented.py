"""Edge-oriented convolutions: one kernel computes what the branches of the paper's block do."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from restoration.architectures.ecbsr import ECBSR
from restoration.architectures.edge_oriented import EdgeOrientedConv, merge_branches, with_branches
from restoration.architectures.edsr import EDSR


def random_branches(scale: int = 2) -> ECBSR:
    """A small network in which every branch says something."""
    torch.manual_seed(scale)
    network = with_branches(ECBSR(scale, blocks=2, width=8)).requires_grad_(False)
    for parameter in network.parameters():
        parameter.normal_(0, 0.1)
    return network


def branch_by_branch(layer: EdgeOrientedConv, x: Tensor) -> Tensor:
    """The paper's block written out: five convolutions, one after the other, added up."""
    y = F.conv2d(x, layer.weight, layer.bias, padding=1)
    y = y + F.conv2d(F.conv2d(x, layer.expand[:, :, None, None]), layer.squeeze, padding=1)
    masks = [
        [[1, 0, -1], [2, 0, -2], [1, 0, -1]],
        [[1, 2, 1], [0, 0, 0], [-1, -2, -1]],
        [[0, 1, 0], [1, -4, 1], [0, 1, 0]],
    ]
    for mask, points, gains in zip(masks, layer.points, layer.gains, strict=True):
        kernel = gains[:, None, None] * torch.tensor(mask, dtype=torch.float32)
        mixed = F.conv2d(x, points[:, :, None, None])
        y = y + F.conv2d(mixed, kernel[:, None], padding=1, groups=len(gains))
    return y


def test_one_kernel_computes_what_the_five_branches_do() -> None:
    layer = random_branches().chain[2]
    assert isinstance(layer, EdgeOrientedConv)
    x = torch.rand(2, 8, 9, 12)
    assert torch.allclose(layer(x), branch_by_branch(layer, x), atol=1e-5)
    for name in ("expand", "points", "gains", "squeeze"):
        changed = random_branches().chain[2]
        changed.get_parameter(name).zero_()
        assert not torch.allclose(layer(x), changed(x), atol=1e-3), name


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_merged_chain_equals_the_network_with_branches(scale: int) -> None:
    trained = random_branches(scale)
    plain = ECBSR(scale, blocks=2, width=8)
    plain.load_state_dict(merge_branches(trained, trained.state_dict()))
    x = torch.rand(1, 3, 13, 17)
    assert torch.allclose(plain(x), trained(x), atol=1e-6)


def test_merging_takes_the_values_it_is_given_and_leaves_the_network_alone() -> None:
    trained = random_branches()
    before = {key: value.clone() for key, value in trained.state_dict().items()}
    average = {key: value * 0.5 for key, value in before.items()}
    halved = merge_branches(trained, average)
    trained.load_state_dict(average)
    assert torch.equal(halved["chain.2.weight"], merge_branches(trained, trained.state_dict())["chain.2.weight"])
    trained.load_state_dict(before)
    assert not torch.equal(halved["chain.2.weight"], merge_branches(trained, before)["chain.2.weight"])


def test_a_network_with_branches_takes_a_plain_ones_weights_as_they_are() -> None:
    plain = ECBSR(2, blocks=2, width=8)
    trained = with_branches(ECBSR(2, blocks=2, width=8))
    assert not trained.load_state_dict(plain.state_dict(), strict=False).unexpected_keys
    x = torch.rand(1, 3, 10, 10)
    assert torch.allclose(plain(x), trained(x), atol=1e-6)


def test_every_branch_learns_in_two_steps() -> None:
    network = with_branches(ECBSR(2, blocks=1, width=8))
    before = {key: value.clone() for key, value in network.state_dict().items()}
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1)
    for _ in range(2):  # the outer halves begin at zero: the inner ones move in the second step
        optimiser.zero_grad()
        (network(torch.rand(1, 3, 12, 12)) - torch.rand(1, 3, 24, 24)).square().mean().backward()
        optimiser.step()
    same = [key for key, value in network.state_dict().items() if torch.equal(before[key], value)]
    assert not same


def test_other_networks_keep_their_answer_when_they_get_branches() -> None:
    plain = EDSR(3, blocks=2, width=8)
    x, state = torch.rand(1, 3, 9, 11), plain.state_dict()
    before = plain(x)
    rich = with_branches(plain)
    assert sum(isinstance(layer, EdgeOrientedConv) for layer in rich.modules()) == 8
    assert torch.allclose(rich(x), before, atol=1e-6)
    merged = merge_branches(rich, rich.state_dict())
    assert merged.keys() == state.keys()
    assert all(torch.equal(merged[key], state[key]) for key in state)


@pytest.mark.parametrize(
    "options", [{"stride": 2}, {"groups": 4}, {"dilation": 2}, {"padding": 0}, {"padding_mode": "reflect"}]
)
def test_convolutions_of_another_kind_stay_as_they_are(options: dict[str, object]) -> None:
    network = nn.Sequential(nn.Conv2d(4, 4, 3, **{"padding": 1, **options}))  # type: ignore[arg-type]
    assert type(with_branches(network)[0]) is nn.Conv2d
