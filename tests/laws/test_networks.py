"""The law of all networks, over every card: RGB in [0, 1] in and out, and forward leaves no trace."""

import threading
from unittest.mock import patch

import pytest
import torch
from torch import nn

from restoration.card import ModelCard, Tiling
from restoration.registry import MODELS
from restoration.tasks import TASKS
from restoration.weights import WeightStore

HUGE = {"edsr-x2", "edsr-x3", "edsr-x4", "deblurgan-v2-inception"}  # over 35 M parameters: built once, on small inputs
STORE = WeightStore()


@pytest.fixture(scope="module", params=list(MODELS), ids=str)
def built(request: pytest.FixtureRequest) -> tuple[ModelCard, nn.Module]:
    card = MODELS[request.param]
    torch.manual_seed(0)
    if STORE.availability(card).available:
        network, _ = STORE.load(card)
    else:
        network = card.build().eval()
    return card, network


def picture(card: ModelCard, batch: int = 1) -> torch.Tensor:
    side = card.size.fixed
    small = max(card.size.minimum, 24 if card.name in HUGE else 70)
    height, width = (side, side) if side else (small, small + 3)
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(2))


def test_shape_scale_and_dtype(built: tuple[ModelCard, nn.Module]) -> None:
    card, network = built
    x = picture(card)
    with torch.inference_mode():
        y = network(x)
    assert y.shape == (1, 3, x.shape[2] * card.scale, x.shape[3] * card.scale)
    assert y.dtype == torch.float32
    assert torch.isfinite(y).all()


def test_forward_does_not_change_its_input(built: tuple[ModelCard, nn.Module]) -> None:
    card, network = built
    x = picture(card)
    before = x.clone()
    with torch.inference_mode():
        network(x)
    assert torch.equal(x, before)


def test_forward_leaves_no_trace(built: tuple[ModelCard, nn.Module]) -> None:
    card, network = built
    before = {key: value.clone() for key, value in network.state_dict().items()}

    def refuse(self: nn.Module, name: str, value: object) -> None:
        raise AssertionError(f"{type(self).__name__}.{name} was set in forward")

    with torch.inference_mode(), patch.object(nn.Module, "__setattr__", refuse):
        network(picture(card))
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())


def test_two_threads_agree_with_one(built: tuple[ModelCard, nn.Module]) -> None:
    card, network = built
    if card.name in HUGE:
        pytest.skip("the class is covered by its smaller sibling")
    pictures = [picture(card), 1 - picture(card)]
    with torch.inference_mode():
        alone = [network(x) for x in pictures]
    results: dict[tuple[int, int], torch.Tensor] = {}

    def work(which: int) -> None:
        with torch.inference_mode():
            for turn in range(4):
                results[which, turn] = network(pictures[which])

    threads = [threading.Thread(target=work, args=(which,)) for which in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8
    for (which, _), result in results.items():
        assert torch.allclose(result, alone[which], atol=1e-5)


def test_available_weights_keep_the_range_of_a_natural_picture(built: tuple[ModelCard, nn.Module]) -> None:
    card, network = built
    if not STORE.availability(card).available:
        pytest.skip("no bundled weights")
    from skimage import data

    cat = torch.from_numpy(data.chelsea()[20:276, 100:356].copy()).permute(2, 0, 1)[None] / 255
    with torch.inference_mode():
        y = network(cat)
    assert y.min() > -0.25
    assert y.max() < 1.25
    assert (y.mean((2, 3)) - cat.mean((2, 3))).abs().max() < 4 / 255  # no colour shift


@pytest.mark.parametrize("name", [name for name, card in MODELS.items() if card.receptive_margin is not None])
def test_the_receptive_margin_is_computed_not_guessed(name: str) -> None:
    """The gradient of one output block reaches exactly `receptive_margin` input pixels to each side."""
    card = MODELS[name]
    assert card.receptive_margin is not None
    if card.name in HUGE:
        pytest.skip("the margin is counted by layers in test_the_margin_follows_from_the_layers")
    network = card.build()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.abs_().add_(1e-3)  # no path cancels
    reach = card.receptive_margin
    side = 2 * reach + 5
    x = torch.rand(1, 3, side, side, requires_grad=True)
    y = network(x)
    centre = (reach + 2) * card.scale
    y[..., centre : centre + card.scale, centre : centre + card.scale].sum().backward()
    assert x.grad is not None
    rows = x.grad.abs().sum((0, 1, 3)).nonzero().flatten()
    middle = reach + 2
    assert max(middle - int(rows.min()), int(rows.max()) - middle) == reach


@pytest.mark.parametrize("name", [name for name, card in MODELS.items() if card.tiling is Tiling.EXACT])
def test_tiles_of_exact_cards_see_all_that_reaches_them(name: str) -> None:
    card = MODELS[name]
    assert card.receptive_margin is not None
    assert card.margin >= card.receptive_margin


@pytest.mark.parametrize("name", [name for name in MODELS if name.startswith("edsr")])
def test_the_margin_follows_from_the_layers(name: str) -> None:
    card = MODELS[name]
    with torch.device("meta"):
        network = card.build()
    tail = sum(isinstance(m, nn.Conv2d) for m in network.get_submodule("tail.0").modules())
    at_input_size = sum(isinstance(m, nn.Conv2d) for m in network.modules()) - tail - 1
    reach = at_input_size + sum(1 / 2**step for step in range(tail)) + 1 / card.scale
    assert card.receptive_margin == -int(-reach // 1)


@pytest.mark.parametrize("name", list(MODELS))
def test_every_card_states_its_facts(name: str) -> None:
    card = MODELS[name]
    assert card.task in TASKS
    assert card.provenance.url.startswith("https://")
    assert card.provenance.code_licence
    assert card.provenance.paper
    assert card.checkpoints
    assert all(checkpoint.licence for checkpoint in card.checkpoints)
    assert [c.bundled for c in card.checkpoints] == sorted((c.bundled for c in card.checkpoints), reverse=True)
    assert card.title
    assert card.sentence.endswith(".")
    assert (card.tiling is Tiling.NEVER) == (card.size.fixed is not None)
    assert card.name.startswith(card.family)


@pytest.mark.parametrize("name", list(MODELS))
def test_the_declared_cost_is_the_counted_one(name: str) -> None:
    from torch.utils.flop_counter import FlopCounterMode

    card = MODELS[name]
    side = card.size.fixed or 256
    with torch.device("meta"), FlopCounterMode(display=False) as counter, torch.no_grad():
        network, x = card.build(), torch.rand(1, 3, side, side)
        context = (network.neutral(x),) if card.observes else ()  # observing decides by values, which meta has not
        network(x, *context)
    padded = side + 32 if card.tiling is Tiling.SEAMS else side  # the published padding always adds a block
    counted = counter.get_total_flops() / 1e9 / (padded * padded / 1e6)
    assert card.gigaflop_per_megapixel == pytest.approx(counted, rel=0.002)


@pytest.mark.parametrize("task", list(TASKS))
def test_every_task_has_a_default_model(task: str) -> None:
    card = MODELS.find(TASKS[task].default_model, task=task)
    assert card.task == task
