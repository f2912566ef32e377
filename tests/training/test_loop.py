"""The loop on tiny recipes: exact resume, stopping, schedules, what a run folder holds, and that it learns."""

import dataclasses
import json
import math
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from restoration.architectures.edge_oriented import merge_branches, with_branches
from restoration.errors import DataError, OptionError, WeightsError
from restoration.registry import MODELS
from restoration.training import losses
from restoration.training.loop import rate
from restoration.training.recipes import Recipe
from restoration.training.session import StopSignal
from restoration.weights import WeightStore
from tests.training.tiny import (
    DEBLURGAN,
    MUON,
    PIX2PIX,
    TINY,
    Clock,
    Sharpener,
    differences,
    make_photos,
    read,
    run,
    small_edsr,
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    make_photos(folder / "photos")
    return folder


@pytest.fixture(autouse=True)
def no_vgg16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(losses, "fetch_vgg16", lambda: None)


@pytest.mark.parametrize("recipe", [TINY, MUON, PIX2PIX, DEBLURGAN], ids=["l1", "muon", "pix2pix", "deblurgan"])
def test_twenty_steps_equal_ten_and_ten_more(recipe: Recipe, data: Path, tmp_path: Path) -> None:
    # the schedule belongs to 20 steps: the first ten are ten of those
    run(recipe, data, tmp_path / "whole", steps=20)
    run(recipe, data, tmp_path / "parts", steps=20, stop_after=10)
    half = read(tmp_path / "parts")
    run(recipe, data, tmp_path / "parts", steps=20, resume=True)
    whole, parts = read(tmp_path / "whole"), read(tmp_path / "parts")
    assert half["step"] == 10
    assert whole["step"] == 20
    assert differences(whole, parts) == []
    assert differences(half["network"], parts["network"])
    assert bool(recipe.adversarial) == ("critic_optimiser" in whole)
    assert not recipe.adversarial or differences(half["critic"], parts["critic"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_the_step_end_and_leaves_a_checkpoint(number: int, data: Path, tmp_path: Path) -> None:
    run(TINY, data, tmp_path / "whole", steps=12)
    pairs = iter(range(10**6))

    def interrupting(rng: np.random.Generator, tile: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if next(pairs) == 32 + 5 * TINY.batch + 1:  # behind the validation pairs, in the middle of step 6
            signal.raise_signal(number)
        return TINY.pairs(rng, tile)

    before = signal.getsignal(number)
    path = run(dataclasses.replace(TINY, pairs=interrupting), data, tmp_path / "parts", steps=12)
    assert path.is_file()
    assert read(tmp_path / "parts")["step"] == 6
    assert signal.getsignal(number) is before
    run(TINY, data, tmp_path / "parts", resume=True)  # the length is the checkpoint's
    assert differences(read(tmp_path / "whole"), read(tmp_path / "parts")) == []


def test_a_second_signal_ends_at_once() -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    try:
        with StopSignal() as stop:
            signal.raise_signal(signal.SIGINT)  # to this thread; it has been handled when the call returns
            assert stop.asked
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_checkpoints_of_the_first_format_are_resumed(data: Path, tmp_path: Path) -> None:
    run(TINY, data, tmp_path / "whole", steps=8)
    run(TINY, data, tmp_path / "parts", steps=8, stop_after=4)
    state = read(tmp_path / "parts")
    torch.save(
        {key: state[key] for key in ("network", "average", "optimiser", "torch_rng", "step", "seconds")},
        tmp_path / "parts" / "last.pt",
    )
    (tmp_path / "parts" / "metrics.csv").write_text("step,seconds,psnr,input_psnr\n4,1.0,20.5,30.5\n")
    run(TINY, data, tmp_path / "parts", steps=8, resume=True)
    whole, parts = read(tmp_path / "whole"), read(tmp_path / "parts")
    assert differences(whole["network"], parts["network"]) == []
    rows = (tmp_path / "parts" / "metrics.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["step", "4", "8"]
    assert rows[1].split(",")[4] == "20.5"


def test_an_earlier_training_in_the_folder_is_put_aside_and_not_lost(data: Path, tmp_path: Path) -> None:
    run(TINY, data, tmp_path, steps=3)
    old = (tmp_path / "last.pt").read_bytes()
    run(TINY, data, tmp_path, steps=2)
    assert (tmp_path / "previous.pt").read_bytes() == old
    assert (tmp_path / "previous.csv").is_file()
    assert (tmp_path / "previous_sheets" / "0000003.jpg").is_file()
    assert [path.name for path in (tmp_path / "sheets").iterdir()] == ["0000002.jpg"]
    assert read(tmp_path)["step"] == 2


def test_the_run_folder_tells_what_was_trained_how_and_on_what(data: Path, tmp_path: Path) -> None:
    run(PIX2PIX, data, tmp_path, steps=2)
    recipe, facts, environment = (
        json.loads((tmp_path / f"{name}.json").read_text()) for name in ("recipe", "run", "environment")
    )
    assert recipe["name"] == "pix2pix-faces-gan"
    assert recipe["adversarial"]["critic"]["function"] == "PatchCritic"
    assert recipe["adversarial"]["critic"]["conditional"] is True
    assert facts["iterations"] == 2
    assert facts["start"] == "fresh weights"
    assert facts["losses"].startswith("1 gan + 100 L1 + 10 feature matching on the critic")
    assert "could not be had" in facts["losses"]
    assert environment["torch"] == torch.__version__.split("+")[0]
    assert environment["threads"] == torch.get_num_threads()
    text = "".join(path.read_text() for path in tmp_path.glob("*.json"))
    assert str(Path.home()) not in text
    assert str(tmp_path) not in text
    for name in ("curves.png", "sheets/0000002.jpg"):
        with Image.open(tmp_path / name) as image:
            assert min(image.size) > 90
    header, row = (tmp_path / "metrics.csv").read_text().splitlines()
    values = dict(zip(header.split(","), map(float, row.split(",")), strict=True))
    assert values["step"] == 2
    assert values["learning_rate"] == pytest.approx(rate(PIX2PIX, 1, 0.5))
    assert values["loss"] > 0
    assert values["critic_loss"] > 0
    assert values["input_psnr"] > 40
    assert 0 < values["ssim"] < values["input_ssim"] <= 1


def test_a_stage_starts_from_the_run_before_it_or_from_the_bundled_weights(data: Path, tmp_path: Path) -> None:
    stage = dataclasses.replace(TINY, starts_from="first", learning_rate=0.0)
    weights = {key: torch.full_like(value, 0.5).half() for key, value in small_edsr().state_dict().items()}
    (tmp_path / "bundled").mkdir()
    save_file(weights, tmp_path / "bundled" / "edsr-baseline-x2.safetensors")
    store = WeightStore(tmp_path / "bundled")
    path = run(stage, data, tmp_path / "runs" / "second", steps=1, store=store)
    assert all(torch.equal(value, weights[key]) for key, value in load_file(path).items())
    assert json.loads((path.parent / "run.json").read_text())["start"] == "the bundled edsr-baseline-x2"
    run(dataclasses.replace(TINY), data, tmp_path / "runs" / "first", steps=1)
    again = run(stage, data, tmp_path / "runs" / "third", steps=1, store=store)
    assert json.loads((again.parent / "run.json").read_text())["start"] == "the run first"
    assert differences(load_file(tmp_path / "runs" / "first" / path.name), load_file(again)) == []
    with pytest.raises(WeightsError, match="missing"):
        run(stage, data, tmp_path / "elsewhere" / "second", steps=1, store=WeightStore(tmp_path))


def test_a_training_begins_with_the_weights_that_fit_and_says_so(data: Path, tmp_path: Path) -> None:
    whole = dataclasses.replace(TINY, build=None, warm_start="edsr-baseline-x2")
    run(whole, data, tmp_path / "run", steps=1)
    bundled = WeightStore().bundled_state(MODELS["edsr-baseline-x2"])
    average = read(tmp_path / "run")["average"]
    assert all((average[key] - bundled[key]).abs().max() < 0.01 for key in bundled)
    certificate = json.loads((WeightStore().folder / "edsr-baseline-x2.json").read_text())
    minutes = certificate["minutes"] + certificate["minutes_before"]
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    assert facts["start"] == f"the bundled edsr-baseline-x2 where it fits, trained for {minutes:g} minutes"
    assert facts["minutes_before"] == minutes > certificate["minutes"]
    run(dataclasses.replace(whole, warm_start=None), data, tmp_path / "run", steps=2, resume=True)
    again = json.loads((tmp_path / "run" / "run.json").read_text())
    told = ("start", "warm_start", "minutes_before")
    assert [again[key] for key in told] == [facts[key] for key in told], "whatever the recipe would start with now"
    assert json.loads((tmp_path / "run" / "recipe.json").read_text())["warm_start"] == "edsr-baseline-x2"


def test_minutes_of_another_network_do_not_count_as_the_models_own(data: Path, tmp_path: Path) -> None:
    run(dataclasses.replace(TINY, build=None, warm_start="edsr-baseline-x3"), data, tmp_path, steps=1)
    facts = json.loads((tmp_path / "run.json").read_text())
    assert (facts["warm_start"], facts["minutes_before"]) == ("edsr-baseline-x3", 0)


def test_weights_of_which_nothing_fits_are_refused(data: Path, tmp_path: Path) -> None:
    other = dataclasses.replace(TINY, build=Sharpener, warm_start="edsr-baseline-x2")
    with pytest.raises(OptionError, match="Nothing in the weights of edsr-baseline-x2 fits"):
        run(other, data, tmp_path / "run", steps=1)
    assert not (tmp_path / "run" / "last.pt").exists()


def test_a_checkpoint_of_another_optimiser_is_refused(data: Path, tmp_path: Path) -> None:
    run(dataclasses.replace(MUON, optimiser="adam"), data, tmp_path / "run", steps=2)
    with pytest.raises(DataError, match="another network, optimiser or stage"):
        run(MUON, data, tmp_path / "run", steps=4, resume=True)


def test_a_network_with_branches_leaves_plain_weights(data: Path, tmp_path: Path) -> None:
    recipe = dataclasses.replace(TINY, build=lambda: with_branches(small_edsr()), merge=merge_branches)
    path = run(recipe, data, tmp_path / "run", steps=3)
    state = load_file(path)
    assert state.keys() == small_edsr().state_dict().keys()
    average = read(tmp_path / "run")["average"]
    assert average["head.0.squeeze"].abs().max() > 0
    assert not torch.allclose(state["head.0.weight"].float(), average["head.0.weight"], atol=1e-3)


def test_a_step_without_finite_gradients_is_left_out(data: Path, tmp_path: Path) -> None:
    broken = dataclasses.replace(TINY, build=Poisoned)
    run(broken, data, tmp_path, steps=2)
    assert torch.equal(read(tmp_path)["network"]["factor"], torch.ones(1))


class Poisoned(torch.nn.Module):
    """Its gradient is not a number."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = torch.nn.Parameter(torch.ones(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        poison = (self.factor - 1).sqrt() * 0  # 0 going forward, 0 * infinity going back
        return torch.nn.functional.interpolate(x, scale_factor=2) * self.factor + poison


def test_perceptual_losses_of_vgg16_take_the_place_of_feature_matching_where_they_can_be_had(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(PIX2PIX, data, tmp_path / "without", steps=2)
    monkeypatch.setattr(losses, "fetch_vgg16", made_up_vgg16)
    run(PIX2PIX, data, tmp_path / "with", steps=2, stop_after=1)
    facts = json.loads((tmp_path / "with" / "run.json").read_text())
    assert facts["losses"] == "1 gan + 100 L1 + 1 perceptual + 100 Gram style (VGG16 of ImageNet)"
    # what a training began with it goes on with
    run(PIX2PIX, data, tmp_path / "without", steps=3, resume=True)
    assert "feature matching" in json.loads((tmp_path / "without" / "run.json").read_text())["losses"]
    monkeypatch.setattr(losses, "fetch_vgg16", lambda: None)
    with pytest.raises(WeightsError, match="began with VGG16"):
        run(PIX2PIX, data, tmp_path / "with", resume=True)


def made_up_vgg16() -> dict[str, torch.Tensor]:
    state, channels, index = {}, 3, 0
    for width, depth in ((64, 2), (128, 2), (256, 3), (512, 3)):
        for _ in range(depth):
            state[f"features.{index}.weight"] = torch.randn(width, channels, 3, 3) * (2 / 9 / channels) ** 0.5
            state[f"features.{index}.bias"] = torch.zeros(width)
            channels, index = width, index + 2
        index += 1
    return state


def test_training_learns_and_writes_half_precision_averages(data: Path, tmp_path: Path) -> None:
    path = run(TINY, data, tmp_path / "run", steps=60)
    header, *_, last = (tmp_path / "run" / "metrics.csv").read_text().splitlines()
    row = dict(zip(header.split(","), last.split(","), strict=True))
    assert row["step"] == "60"
    untrained = small_edsr()
    assert float(row["psnr"]) > 15
    state = load_file(path)
    assert {key: value.shape for key, value in state.items()} == {k: v.shape for k, v in untrained.state_dict().items()}
    assert all(value.dtype == torch.float16 for value in state.values())


def test_minutes_are_kept(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("restoration.training.session.time", Clock(0.25))
    run(TINY, data, tmp_path / "run", minutes=0.03)
    state = read(tmp_path / "run")
    assert (state["step"], state["seconds"]) == (4, 2.25)  # 1.75 before the fourth step were not yet 1.8
    assert state["length"] == {"minutes": 0.03}
    run(TINY, data, tmp_path / "run", minutes=0.03, resume=True)  # minutes in all: nothing is left to do
    assert read(tmp_path / "run")["step"] == state["step"]


def test_time_must_be_given_once_and_be_positive(data: Path, tmp_path: Path) -> None:
    for options in ({}, {"steps": 1, "minutes": 1}, {"resume": True}):
        with pytest.raises(OptionError, match="how long to train"):
            run(TINY, data, tmp_path, **options)
    for options in ({"steps": 0}, {"minutes": -1.0}, {"minutes": math.nan}):
        with pytest.raises(OptionError, match="more than 0"):
            run(TINY, data, tmp_path, **options)


def test_a_checkpoint_that_does_not_fit_is_refused(data: Path, tmp_path: Path) -> None:
    run(TINY, data, tmp_path, steps=1)
    other = dataclasses.replace(TINY, build=lambda: torch.nn.Conv2d(3, 3, 1))
    with pytest.raises(DataError, match="belongs to another network"):
        run(other, data, tmp_path, steps=2, resume=True)
    run(dataclasses.replace(PIX2PIX, adversarial=None), data, tmp_path / "l1", steps=1)
    with pytest.raises(DataError, match="belongs to another network, optimiser or stage"):
        run(PIX2PIX, data, tmp_path / "l1", steps=2, resume=True)
    (tmp_path / "last.pt").write_bytes(b"nothing of the kind")
    with pytest.raises(DataError, match="cannot be read"):
        run(TINY, data, tmp_path, steps=2, resume=True)


def test_evaluations_and_saves_by_the_clock_change_nothing(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(PIX2PIX, data, tmp_path / "quiet", steps=4)
    monkeypatch.setattr("restoration.training.session._SAVE_SECONDS", -1.0)
    run(PIX2PIX, data, tmp_path / "busy", steps=4)
    assert differences(read(tmp_path / "quiet"), read(tmp_path / "busy")) == []
    assert len(list((tmp_path / "busy" / "sheets").iterdir())) == 4
    assert len((tmp_path / "busy" / "metrics.csv").read_text().splitlines()) == 5


def test_pictures_right_in_the_folder_are_trained_on_too(data: Path, tmp_path: Path) -> None:
    recipe = dataclasses.replace(TINY, folder="train/general")
    run(recipe, data / "photos", tmp_path / "runs", steps=1)
    with pytest.raises(DataError, match=r"There is no folder .* and .* itself holds no pictures"):
        run(recipe, tmp_path, tmp_path / "runs", steps=1)


def test_every_mix_of_losses_trains(data: Path, tmp_path: Path) -> None:
    mixed = dataclasses.replace(TINY, pixel_loss="charbonnier", ssim=0.5, frequency=0.1)
    run(mixed, data, tmp_path, steps=2)
    facts = json.loads((tmp_path / "run.json").read_text())
    assert facts["losses"] == "Charbonnier + 0.1 frequency L1 + 0.5 (1 - SSIM)"


def test_the_rate_warms_up_and_falls_to_its_floor() -> None:
    assert rate(TINY, 0, 0.0) == pytest.approx(TINY.learning_rate / 4)
    assert rate(TINY, 100, 0.0) == pytest.approx(TINY.learning_rate)
    assert rate(TINY, 100, 0.5) == pytest.approx(TINY.learning_rate * (0.02 + 0.98 * 0.5))
    assert rate(TINY, 100, 1.0) == pytest.approx(TINY.learning_rate * 0.02)
    assert math.isclose(rate(TINY, 100, 1.7), rate(TINY, 100, 1.0))
