"""The loop on a tiny recipe: exact resume, schedules, and that it learns."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from restoration.architectures.deblurgan_v2 import settle
from restoration.errors import DataError, OptionError
from restoration.registry import MODELS
from restoration.training.loop import rate, train
from restoration.training.recipes import RECIPES, Recipe, enlarge_pairs, find_recipe
from restoration.weights import WeightStore


def small_edsr() -> torch.nn.Module:
    from restoration.architectures.edsr import EDSR

    return EDSR(2, blocks=1, width=8)


def tiny_pairs(rng: np.random.Generator, tile: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return enlarge_pairs(2, 12, rng, tile)


TINY: Recipe = dataclasses.replace(
    RECIPES["edsr-baseline-x2"], folder="photos", pairs=tiny_pairs, tile_minimum=40, batch=4, build=small_edsr,
    warmup_steps=4, initialise=None, learning_rate=2e-3,
)  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    (folder / "photos").mkdir()
    rng = np.random.default_rng(0)
    for index in range(40):
        small = Image.fromarray(rng.integers(0, 255, (12, 12, 3), np.uint8))
        small.resize((64, 64)).save(folder / "photos" / f"{index}.png")
    return folder


def run(data: Path, out: Path, **options: object) -> Path:
    return train(TINY, data, out, store=WeightStore(), device="cpu", workers=0, **options)  # type: ignore[arg-type]


def test_twenty_steps_equal_ten_and_ten_more(data: Path, tmp_path: Path) -> None:
    run(data, tmp_path / "whole", steps=20)
    # the schedule belongs to 20 steps: stop half-way by hand, as Ctrl-C does
    run_until(10, data, tmp_path / "parts")
    run(data, tmp_path / "parts", steps=20, resume=True)
    whole, parts = (torch.load(tmp_path / n / "last.pt", weights_only=True) for n in ("whole", "parts"))
    assert whole["step"] == parts["step"] == 20
    for part in ("network", "average"):
        assert all(torch.equal(whole[part][key], parts[part][key]) for key in whole[part])
    for key, moments in whole["optimiser"]["state"].items():
        assert all(
            torch.equal(moments[n], parts["optimiser"]["state"][key][n]) for n in ("exp_avg", "exp_avg_sq", "step")
        )
    assert torch.equal(whole["torch_rng"], parts["torch_rng"])
    before = torch.load(tmp_path / "half.pt", weights_only=True)
    assert any(not torch.equal(before["network"][key], parts["network"][key]) for key in before["network"])


def run_until(stop: int, data: Path, out: Path) -> None:
    """Interrupts a 20-step run after `stop` steps."""
    from restoration.training import loop

    real = loop._step

    def interrupted(state: loop.Run, *rest: object) -> float:
        if state.step == stop:
            raise KeyboardInterrupt
        return real(state, *rest)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "_step", interrupted)
        run(data, out, steps=20)
    (out.parent / "half.pt").write_bytes((out / "last.pt").read_bytes())


def test_training_learns_and_writes_half_precision_averages(data: Path, tmp_path: Path) -> None:
    path = run(data, tmp_path / "run", steps=60)
    rows = (tmp_path / "run" / "metrics.csv").read_text().splitlines()
    step, _, psnr, _ = rows[-1].split(",")
    assert step == "60"
    untrained = small_edsr()
    assert float(psnr) > 15
    state = load_file(path)
    assert {key: value.shape for key, value in state.items()} == {k: v.shape for k, v in untrained.state_dict().items()}
    assert all(value.dtype == torch.float16 for value in state.values())


def test_minutes_are_kept(data: Path, tmp_path: Path) -> None:
    import time

    start = time.monotonic()
    run(data, tmp_path / "run", minutes=0.05)
    assert 3 <= time.monotonic() - start < 15


def test_time_must_be_given_once(data: Path, tmp_path: Path) -> None:
    for options in ({}, {"steps": 1, "minutes": 1}):
        with pytest.raises(OptionError, match="how long to train"):
            run(data, tmp_path, **options)


def test_a_checkpoint_of_another_network_is_refused(data: Path, tmp_path: Path) -> None:
    run(data, tmp_path, steps=1)
    other = dataclasses.replace(TINY, build=lambda: torch.nn.Conv2d(3, 3, 1))
    with pytest.raises(DataError, match="belongs to another network"):
        train(other, data, tmp_path, store=WeightStore(), steps=2, resume=True, device="cpu", workers=0)


def test_the_rate_warms_up_and_falls_to_its_floor() -> None:
    assert rate(TINY, 0, 0.0) == pytest.approx(TINY.learning_rate / 4)
    assert rate(TINY, 100, 0.0) == pytest.approx(TINY.learning_rate)
    assert rate(TINY, 100, 0.5) == pytest.approx(TINY.learning_rate * (0.02 + 0.98 * 0.5))
    assert rate(TINY, 100, 1.0) == pytest.approx(TINY.learning_rate * 0.02)
    assert math.isclose(rate(TINY, 100, 1.7), rate(TINY, 100, 1.0))


def test_every_recipe_makes_its_cards_network() -> None:
    for recipe in RECIPES.values():
        trained = (recipe.build or MODELS[recipe.model].build)()
        served = MODELS[recipe.model].build()
        assert {k: v.shape for k, v in trained.state_dict().items()} == {
            k: v.shape for k, v in served.state_dict().items()
        }
        if recipe.initialise:
            recipe.initialise(trained)


def test_an_unknown_recipe_is_one_sentence() -> None:
    with pytest.raises(OptionError, match="no recipe 'edsr'"):
        find_recipe("edsr")


@pytest.mark.parametrize(
    "name", ["residual-unet-deblur", "deblurgan-v2-resnet", "unet-resnet-enhance", "pix2pix-faces"]
)
def test_restorers_start_close_to_leaving_the_picture_alone(name: str) -> None:
    torch.manual_seed(0)
    recipe = RECIPES[name]
    network = (recipe.build or MODELS[name].build)()
    assert recipe.initialise
    recipe.initialise(network)
    x = torch.rand(1, 3, 256, 256)
    with torch.no_grad():
        settle(network, bool(recipe.settle))
        network.train(bool(recipe.settle))  # as the first step finds it
        assert (network(x) - x).abs().mean() < 0.05


def test_frozen_norms_follow_the_batches_only_while_they_settle() -> None:
    network = MODELS["deblurgan-v2-resnet"].build().train()
    x = torch.rand(2, 3, 64, 64)
    before = network.state_dict()["fpn.encoder.bn1.running_mean"].clone()
    settle(network, True)
    network(x)
    settled = network.state_dict()["fpn.encoder.bn1.running_mean"].clone()
    assert not torch.equal(before, settled)
    settle(network, False)
    network(x + 1)
    settle(network, True)
    network.eval()(x + 1)
    assert torch.equal(network.state_dict()["fpn.encoder.bn1.running_mean"], settled)
