"""fastai's Learner behind the same command: exact resume, one-cycle, an encoder frozen only if it was loaded."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from restoration.errors import OptionError
from restoration.registry import MODELS
from restoration.training import learner
from restoration.training.recipes import RECIPES, Recipe
from tests.training.tiny import FASTAI, PIX2PIX, Clock, differences, make_photos, read, run

CONVOLUTION = "layers.0.4.0.conv1.weight"  # of the encoder
ADAM = dataclasses.replace(FASTAI, optimiser="adam")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    make_photos(folder / "photos", 8)
    return folder


def test_twenty_steps_equal_ten_and_ten_more(data: Path, tmp_path: Path) -> None:
    run(FASTAI, data, tmp_path / "whole", steps=20)
    run(FASTAI, data, tmp_path / "parts", steps=20, stop_after=10)
    half = read(tmp_path / "parts")
    path = run(FASTAI, data, tmp_path / "parts", steps=20, resume=True)
    whole, parts = read(tmp_path / "whole"), read(tmp_path / "parts")
    assert (half["step"], whole["step"]) == (10, 20)
    assert differences(whole, parts) == []
    assert differences(half["network"], parts["network"])
    assert json.loads((tmp_path / "parts" / "run.json").read_text())["engine"] == "fastai"
    MODELS[FASTAI.model].build().load_state_dict({key: value.float() for key, value in load_file(path).items()})


def test_the_recipe_of_the_bundled_weights_is_fastais() -> None:
    assert RECIPES["unet-resnet-enhance"].engine == "fastai"


def test_the_rate_and_the_momentum_go_through_one_cycle(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[float, float]] = []

    def watch(self: learner.Clip) -> None:
        wide, rest = self.learn.opt.opt.param_groups  # Muon's and Adam's
        assert wide["lr"] == rest["lr"]
        assert wide["momentum"] == rest["betas"][0]
        seen.append((float(rest["lr"]), float(rest["betas"][0])))

    monkeypatch.setattr(learner.Clip, "before_step", watch)
    run(FASTAI, data, tmp_path, steps=8)
    rates, momenta = zip(*seen, strict=True)
    assert rates[0] == pytest.approx(FASTAI.learning_rate / 25)
    assert rates[2] == pytest.approx(FASTAI.learning_rate)  # a quarter of the way
    assert rates[-1] < FASTAI.learning_rate / 10
    assert momenta[0] == pytest.approx(0.95)
    assert momenta[2] == pytest.approx(0.85)


def test_minutes_end_it_too(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("restoration.training.session.time", Clock(0.25))
    run(FASTAI, data, tmp_path, minutes=0.01)
    state = read(tmp_path)
    assert (state["step"], state["seconds"]) == (1, 0.75)


def test_gradients_are_clipped(data: Path, tmp_path: Path) -> None:
    # Adam's first moment after one step is a twentieth of the clipped gradient
    run(dataclasses.replace(ADAM, clip=1e-3), data, tmp_path, steps=1)
    moments = [state["exp_avg"] for state in read(tmp_path)["optimiser"]["state"].values()]
    norm = torch.stack([moment.norm() for moment in moments]).norm()
    assert float(norm) == pytest.approx(0.05e-3, rel=0.01)


@pytest.mark.parametrize("base", [FASTAI, ADAM], ids=["muon", "adam"])
@pytest.mark.parametrize("loaded", [True, False])
def test_an_encoder_is_frozen_first_only_if_its_weights_were_really_loaded(
    base: Recipe, loaded: bool, data: Path, tmp_path: Path
) -> None:
    recipe = dataclasses.replace(base, pretrained=lambda _network: loaded, frozen=0.5)
    run(recipe, data, tmp_path / "whole", steps=6)
    run(recipe, data, tmp_path / "parts", steps=6, stop_after=1)
    first = read(tmp_path / "parts")
    run(recipe, data, tmp_path / "parts", steps=6, resume=True, stop_after=2)
    half = read(tmp_path / "parts")
    assert torch.equal(first["network"][CONVOLUTION], half["network"][CONVOLUTION]) is loaded
    assert half["notes"].get("pretrained") == ("yes" if loaded else None)
    run(recipe, data, tmp_path / "parts", steps=6, resume=True)
    parts = read(tmp_path / "parts")
    assert differences(read(tmp_path / "whole"), parts) == []
    assert differences(half["network"][CONVOLUTION], parts["network"][CONVOLUTION])


def test_what_it_does_not_train_is_one_sentence(data: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="has a critic"):
        run(dataclasses.replace(PIX2PIX, engine="fastai"), data, tmp_path, steps=1)
