"""A linear tail as one convolution and one shuffle: the same picture, borders included, for less arithmetic."""

import copy

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from restoration.architectures.collapsing import CollapsedTail
from restoration.architectures.edsr import EDSR
from restoration.card import SizeRule
from restoration.inference.folding import fold

SIZES = [(1, 1), (2, 9), (5, 6), (6, 6), (7, 40), (33, 21)]


@pytest.fixture(params=[2, 3, 4])
def network(request: pytest.FixtureRequest) -> EDSR:
    torch.manual_seed(request.param)
    made = EDSR(request.param, blocks=1, width=8).eval().requires_grad_(False)
    for module in made.modules():
        if isinstance(module, nn.Conv2d):
            assert module.bias is not None
            nn.init.normal_(module.bias, std=0.3)  # at a border a bias is there where its map is, and not beside it
    return made


@pytest.mark.parametrize("size", SIZES)
def test_it_gives_what_the_tail_gives_up_to_the_border(network: EDSR, size: tuple[int, int]) -> None:
    features = torch.randn(2, 8, *size, generator=torch.Generator().manual_seed(0))
    expected = network.tail(features)
    collapsed = CollapsedTail(copy.deepcopy(network.tail), network.scale)
    assert collapsed(features).shape == expected.shape
    assert (collapsed(features) - expected).abs().max() <= 1e-5


def test_it_takes_less_arithmetic(network: EDSR) -> None:
    wide = EDSR(network.scale).eval()
    counts = []
    for made in (wide.tail, CollapsedTail(wide.tail, wide.scale)):
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            made(torch.rand(1, 64, 96, 96))
        counts.append(counter.get_total_flops())
    assert counts[1] < counts[0] / 2


def test_folding_collapses_an_edsr_once_and_leaves_the_network_alone(network: EDSR) -> None:
    folded = fold(network, SizeRule())
    assert isinstance(folded.tail, CollapsedTail)
    assert isinstance(network.tail, nn.Sequential)
    again = fold(folded, SizeRule())
    assert isinstance(again.tail, CollapsedTail)
    assert isinstance(again.tail.tail, nn.Sequential), "not a collapsed tail in a collapsed tail"
    x = torch.rand(1, 3, 40, 50)
    assert (again(x) - network(x)).abs().max() <= 1e-5


def test_a_tail_that_bends_is_found_out(network: EDSR) -> None:
    network.tail.insert(1, nn.ReLU())
    assert isinstance(network.tail, nn.Sequential)
    assert fold(network, SizeRule()) is network
