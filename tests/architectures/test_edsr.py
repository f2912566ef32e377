"""EDSR against the published arithmetic: [0, 255], mean shift as fixed 1x1 convolutions."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from restoration.architectures.edsr import DIV2K_MEAN, EDSR, official_key_map
from restoration.registry import MODELS
from restoration.weights import load_strictly

PARAMETERS = {
    "edsr-baseline-x2": 1_369_859, "edsr-baseline-x3": 1_554_499, "edsr-baseline-x4": 1_517_571,
}  # fmt: skip # the published counts less the 24 numbers of the two mean-shift layers


def published_checkpoint(scale: int, blocks: int, width: int) -> dict[str, torch.Tensor]:
    """Random weights under the published key names, for RGB in [0, 255]."""
    generator = torch.Generator().manual_seed(scale)

    def conv(name: str, inputs: int, outputs: int) -> dict[str, torch.Tensor]:
        weight = torch.randn(outputs, inputs, 3, 3, generator=generator) * (1.2 / (9 * inputs) ** 0.5)
        return {f"{name}.weight": weight, f"{name}.bias": torch.randn(outputs, generator=generator)}

    state = {}
    for name, sign in (("sub_mean", -1), ("add_mean", 1)):
        state[f"{name}.weight"] = torch.eye(3).view(3, 3, 1, 1)
        state[f"{name}.bias"] = sign * 255 * torch.tensor(DIV2K_MEAN)
    state |= conv("head.0", 3, width)
    for block in range(blocks):
        state |= conv(f"body.{block}.body.0", width, width) | conv(f"body.{block}.body.2", width, width)
    state |= conv(f"body.{blocks}", width, width)
    for index, step in enumerate({2: (2,), 3: (3,), 4: (2, 2)}[scale]):
        state |= conv(f"tail.0.{2 * index}", width, width * step * step)
    return state | conv("tail.1", width, 3)


def reference(x: torch.Tensor, state: dict[str, torch.Tensor], scale: int, blocks: int) -> torch.Tensor:
    """The published forward on [0, 255], written out with functions."""

    def conv(name: str, y: torch.Tensor) -> torch.Tensor:
        weight = state[f"{name}.weight"]
        return F.conv2d(y, weight, state[f"{name}.bias"], padding=weight.shape[-1] // 2)

    shifted = conv("sub_mean", x)
    head = body = conv("head.0", shifted)
    for block in range(blocks):
        body = body + conv(f"body.{block}.body.2", conv(f"body.{block}.body.0", body).relu())
    features = conv(f"body.{blocks}", body) + head
    for index, step in enumerate({2: (2,), 3: (3,), 4: (2, 2)}[scale]):
        features = F.pixel_shuffle(conv(f"tail.0.{2 * index}", features), step)
    return conv("add_mean", conv("tail.1", features))


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_a_published_checkpoint_gives_the_published_arithmetic(scale: int) -> None:
    blocks, width = 3, 16
    state = published_checkpoint(scale, blocks, width)
    network = EDSR(scale, blocks=blocks, width=width)
    load_strictly(network, official_key_map(state), "small")
    x = torch.rand(1, 3, 13, 17, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = reference(255 * x, state, scale, blocks) / 255
        assert torch.allclose(network(x), expected, atol=2e-5)
        assert (network(x) - x.mean()).abs().mean() > 0.01


def test_a_retrained_model_under_the_same_names_is_refused() -> None:
    state = published_checkpoint(2, 2, 8)
    state["sub_mean.bias"] = torch.zeros(3)
    with pytest.raises(ValueError, match="not the published mean shift"):
        official_key_map(state)
    with pytest.raises(ValueError, match="no add_mean layer"):
        official_key_map({key: value for key, value in published_checkpoint(2, 2, 8).items() if "add_mean" not in key})


@pytest.mark.parametrize(("name", "count"), PARAMETERS.items())
def test_the_parameter_counts_are_the_published_ones(name: str, count: int) -> None:
    assert sum(parameter.numel() for parameter in MODELS[name].build().parameters()) == count


def test_the_large_network_has_the_published_size_and_residual_scale() -> None:
    with torch.device("meta"):
        network = MODELS["edsr-x2"].build()
    assert sum(parameter.numel() for parameter in network.parameters()) == 40_729_627 - 24
    scales = {block.residual_scale for block in network.modules() if hasattr(block, "residual_scale")}
    assert scales == {0.1}


def test_a_scale_without_a_definition_is_refused() -> None:
    with pytest.raises(ValueError, match="scales 2, 3 and 4"):
        EDSR(5)


def test_no_normalisation_layer_is_inside() -> None:
    assert not any(isinstance(m, nn.modules.batchnorm._NormBase) for m in EDSR(2).modules())
