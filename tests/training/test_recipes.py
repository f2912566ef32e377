"""Recipes: they make their cards' networks, which start close to leaving a picture alone."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from restoration.architectures.norms import settle
from restoration.errors import OptionError
from restoration.registry import MODELS
from restoration.training.data import Pairs, load_pictures
from restoration.training.recipes import RECIPES, find_recipe


def test_every_recipe_makes_its_cards_network() -> None:
    for recipe in RECIPES.values():
        trained = (recipe.build or MODELS[recipe.model].build)()
        served = MODELS[recipe.model].build()
        state = trained.state_dict()
        state = recipe.merge(trained, state) if recipe.merge else state
        assert {k: v.shape for k, v in state.items()} == {k: v.shape for k, v in served.state_dict().items()}
        if recipe.initialise:
            recipe.initialise(trained)


def test_an_unknown_recipe_is_one_sentence() -> None:
    with pytest.raises(OptionError, match="no recipe 'edsr'"):
        find_recipe("edsr")


@pytest.mark.parametrize(
    "name",
    [
        "residual-unet-deblur",
        "residual-unet-enhance",
        "residual-unet-faces",
        "deblurgan-v2-resnet",
        "unet-resnet-enhance",
        "pix2pix-faces",
    ],
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


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_light_enlarger_starts_close_to_bicubic(scale: int) -> None:
    torch.manual_seed(0)
    recipe = RECIPES[f"ecbsr-x{scale}"]
    assert recipe.build
    assert recipe.initialise
    network, bicubic = recipe.build(), recipe.build()
    recipe.initialise(network)
    x = torch.rand(1, 3, 48, 48)
    with torch.no_grad():
        for parameter in bicubic.parameters():
            parameter.zero_()
        assert 0 < (network(x) - bicubic(x)).abs().mean() < 0.1


def test_faces_of_any_square_size_are_trained_on_and_others_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "train" / "faces").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for index, size in enumerate([(256, 256)] * 4 + [(300, 300), (512, 512), (300, 260)]):
        soft = Image.fromarray(rng.integers(0, 255, (9, 9, 3), np.uint8)).resize(size)
        soft.save(tmp_path / "train" / "faces" / f"{index}.png")
    for name in ("residual-unet-faces", "pix2pix-faces", "pix2pix-faces-gan"):
        recipe = RECIPES[name]
        pictures = load_pictures(tmp_path / recipe.folder, recipe.tile_minimum, squares=recipe.squares)
        assert (len(pictures.train) + len(pictures.validation), pictures.oblong) == (6, 1)
        pairs = Pairs(pictures.train + pictures.validation, recipe.pairs, 0, transpose=recipe.transpose)
        shapes = {tuple(tensor.shape) for index in range(12) for tensor in pairs[index]}
        assert shapes == {(3, 256, 256)}


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


def test_stages_with_a_critic_go_on_with_their_first_stages_card_and_data() -> None:
    stages = [recipe for recipe in RECIPES.values() if recipe.adversarial]
    assert {stage.name for stage in stages} >= {"pix2pix-faces-gan", "deblurgan-v2-resnet-gan"}
    for stage in stages:
        first = RECIPES[str(stage.starts_from)]
        assert (first.model, first.folder, first.adversarial) == (stage.model, stage.folder, None)
        assert stage.adversarial
        critic = stage.adversarial.critic()
        picture = torch.rand(2, 3, 128, 128)
        assert all(opinion.score.isfinite().all() for opinion in critic(picture, picture))
