"""Muon for kernels: the same memory, the same steps as torch's own Muon on matrices, a state that can be kept."""

import copy

import pytest
import torch
from torch import nn

from restoration.training.optimisers import MuonAndAdam, as_matrix


def small_network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 16, 3), nn.Conv2d(16, 24, 3), nn.ReLU(), nn.Conv2d(24, 3, 3))


def optimiser_of(network: nn.Module) -> MuonAndAdam:
    return MuonAndAdam(network.parameters(), lr=1e-2, betas=(0.9, 0.99))


def take_step(network: nn.Module, optimiser: MuonAndAdam, seed: int) -> None:
    torch.manual_seed(seed)
    optimiser.zero_grad()
    network(torch.rand(2, 3, 12, 12)).square().mean().backward()
    optimiser.step()


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_matrix_is_the_kernels_own_memory(layout: torch.memory_format) -> None:
    kernel = torch.rand(5, 4, 3, 3).contiguous(memory_format=layout)
    matrix = as_matrix(kernel)
    matrix[2] = 7
    assert matrix.shape == (5, 36)
    assert (kernel[2] == 7).all()


def test_wide_kernels_step_as_torchs_muon_and_the_rest_as_adam() -> None:
    network, twin = small_network(), small_network()
    ours = optimiser_of(network)
    matrix = nn.Parameter(twin[1].weight.detach().flatten(1).clone())
    muon = torch.optim.Muon([matrix], lr=1e-2, weight_decay=0.0, adjust_lr_fn="match_rms_adamw")
    rest = [parameter for parameter in twin.parameters() if parameter is not twin[1].weight]
    adam = torch.optim.Adam(rest, lr=1e-2, betas=(0.9, 0.99))
    for seed in range(3):
        take_step(network, ours, seed)
        torch.manual_seed(seed)
        twin.zero_grad()
        twin(torch.rand(2, 3, 12, 12)).square().mean().backward()
        assert twin[1].weight.grad is not None
        matrix.grad = twin[1].weight.grad.flatten(1)
        muon.step()
        adam.step()
        twin[1].weight.data.copy_(matrix.data.view_as(twin[1].weight))
    for own, other in zip(network.parameters(), twin.parameters(), strict=True):
        assert torch.equal(own, other)


def test_the_memory_format_only_reorders_what_muon_sees() -> None:
    plain, last = small_network(), small_network().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    for network in (plain, last):
        optimiser = optimiser_of(network)
        for seed in range(2):
            take_step(network, optimiser, seed)
    assert torch.allclose(plain[1].weight, last[1].weight, atol=2e-3)  # it orthogonalises in bf16


def test_its_state_goes_on_where_it_was() -> None:
    network, twin = small_network(), small_network()
    first, second = optimiser_of(network), optimiser_of(twin)
    take_step(network, first, 0)
    twin.load_state_dict(network.state_dict())
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for group in (*first.param_groups, *second.param_groups):
        group["lr"] = 3e-3
    for each, optimiser in ((network, first), (twin, second)):
        take_step(each, optimiser, 1)
    for own, other in zip(network.parameters(), twin.parameters(), strict=True):
        assert torch.equal(own, other)
    with pytest.raises(KeyError):
        second.load_state_dict(torch.optim.Adam(network.parameters()).state_dict())
