"""What is computed from the small maps is what doubling them first gives, to the last row and column."""

import pytest
import torch
from torch import Tensor, nn

from restoration.architectures.doubling import DoubledConvolution, Meeting, double, meet

SIZES = [(7, 10), (1, 1), (1, 6), (2, 3)]


def seeded(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def smoothing(inputs: int, outputs: int, *, bias: bool = True) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias), nn.Tanh(), nn.ReLU())


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("outputs", [1, 3, 5])
@torch.no_grad()
def test_a_doubled_map_convolved(size: tuple[int, int], outputs: int) -> None:
    convolution = nn.Conv2d(6, outputs, 3, padding=1)
    x = seeded(2, 6, *size)
    assert torch.allclose(DoubledConvolution(convolution)(x), convolution(double(x)), atol=1e-5)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("inputs", "composed"), [(4, True), (16, True), (40, False)])
@torch.no_grad()
def test_a_smoothed_sum_of_a_lateral_map_and_a_doubled_one(
    size: tuple[int, int], bias: bool, inputs: int, composed: bool
) -> None:
    plain, lateral = smoothing(16, 12, bias=bias), nn.Conv2d(inputs, 16, 1, bias=False)
    fine, coarse = seeded(2, inputs, 2 * size[0], 2 * size[1]), seeded(2, 16, *size)
    quick, rest = Meeting.of_sum(plain, lateral)
    assert isinstance(rest, nn.Identity) == composed, "only where that is less arithmetic"
    assert torch.allclose(meet(quick, rest(fine), coarse), meet(plain, lateral(fine), coarse), atol=1e-5)


@pytest.mark.parametrize("size", SIZES)
@torch.no_grad()
def test_a_smoothed_stack_of_a_fine_map_under_a_doubled_one(size: tuple[int, int]) -> None:
    plain = smoothing(9, 8)
    fine, coarse = seeded(1, 4, 2 * size[0], 2 * size[1]), seeded(1, 5, *size)
    expected = plain(torch.cat((double(coarse), fine), dim=1))
    assert torch.allclose(Meeting.of_stack(plain, 5)(fine, coarse), expected, atol=1e-5)


@torch.no_grad()
def test_the_plain_layers_stay_as_they_are() -> None:
    plain, lateral = smoothing(6, 6), nn.Conv2d(2, 6, 1, bias=False)
    before = {key: value.clone() for key, value in plain.state_dict().items()}
    for quick in (Meeting.of_sum(plain, lateral)[0], Meeting.of_stack(plain, 4)):
        for parameter in quick.parameters():
            parameter.zero_()
    assert all(torch.equal(before[key], value) for key, value in plain.state_dict().items())


def test_eight_times_is_twice_three_times() -> None:
    x = seeded(1, 2, 3, 4)
    assert torch.equal(double(x, 8), double(double(double(x))))
