"""Kernels measured before a training, and the pairs made with them."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data

from restoration.architectures.blind_deconvolution import with_unet
from restoration.architectures.kernel_estimation import KERNEL_SIDE, RAW_SIDE
from restoration.errors import DataError
from restoration.registry import MODELS
from restoration.training import measuring
from restoration.training.data import Pictures
from restoration.training.loop import train
from restoration.training.measuring import BlindPairs, kernel_loss, measure_pairs, measured_kernel, registered
from restoration.training.recipes import RECIPES
from restoration.weights import WeightStore

TILE = data.coffee()[60:360, 100:400]


def bank(count: int = 5) -> BlindPairs:
    """Kernels that are random bars, measured without an error."""
    draw = np.random.default_rng(0)
    true = np.zeros((count, RAW_SIDE, RAW_SIDE), np.float16)
    for kernel in true:
        length, row = draw.integers(3, 9, 2)
        kernel[22 + row - 5, 20 : 20 + length] = 1 / length
    return BlindPairs(np.stack((true, true, true), 1), 48)


def test_a_tile_is_blurred_and_its_blur_measured() -> None:
    measured, true = measured_kernel(np.random.default_rng(3), TILE)
    again, _ = measured_kernel(np.random.default_rng(3), TILE)
    assert measured.shape == (RAW_SIDE, RAW_SIDE, 2)
    assert true.shape == (RAW_SIDE, RAW_SIDE, 1)
    assert float(true.sum()) == pytest.approx(1, abs=1e-4)
    assert np.array_equal(measured, again)
    frame = (RAW_SIDE - KERNEL_SIDE) // 2
    assert not measured[:frame, :, 0].any()  # the kernel has a frame, the solution has none
    assert measured[:frame, :, 1].any()


def test_a_pair_follows_from_its_generator_alone() -> None:
    first, second = (bank()(np.random.default_rng(7), TILE) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    blurred, sharp, context = first
    assert blurred.shape == sharp.shape == (48, 48, 3)
    assert blurred.dtype == sharp.dtype == np.uint8
    assert context.shape == (RAW_SIDE, RAW_SIDE, 3)


def test_what_should_have_been_measured_stands_beside_every_measurement() -> None:
    """Turned alike, and the right one's for a wrong or a neutral measurement too."""
    contexts = [bank()(np.random.default_rng(seed), TILE)[2] for seed in range(60)]
    assert all(np.array_equal(context[..., 0], context[..., 2]) for context in contexts)
    assert any(context[22, 22, 2] == 1 for context in contexts)  # neutral
    assert len({context.tobytes() for context in contexts}) > 20


def test_the_blur_is_the_true_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pair's blur undone by nothing but its context: convolving the sharp square gives the blurred one."""
    for name in ("_BENT", "_WRONG", "_NEUTRAL"):
        monkeypatch.setattr(measuring, name, 0.0)
    monkeypatch.setattr(measuring, "photo_shaken", _clean)
    for seed in range(8):
        blurred, sharp, context = bank()(np.random.default_rng(seed), TILE)
        kernel, total = context[..., 2], np.zeros(sharp.shape)
        for row, column in np.argwhere(kernel):
            total += kernel[row, column] * np.roll(sharp.astype(float), (row - 22, column - 22), (0, 1))
        assert np.abs(total - blurred)[12:-12, 12:-12].max() < 1.5


def _clean(rng: np.random.Generator, picture: np.ndarray, margin: int, kernel: np.ndarray) -> np.ndarray:
    from restoration.training.degradations import to_picture, to_values, uniform_blur

    return to_picture(255 * uniform_blur(to_values(picture), kernel, margin))


def test_a_bent_kernel_is_near_and_still_a_kernel() -> None:
    kernel = bank().known[0, 2].astype(np.float32)
    bent = measuring._bent(np.random.default_rng(1), kernel)
    assert bent.sum() == pytest.approx(1, abs=1e-3)
    assert 0.05 < np.abs(bent - kernel).sum() < 1.6


def test_the_kernel_loss_is_zero_for_the_truth_and_teaches_the_refiner() -> None:
    torch.manual_seed(0)
    network = with_unet((8, 12, 16), (1, 1, 1))
    context = torch.rand(2, 3, RAW_SIDE, RAW_SIDE)
    with torch.no_grad():
        context[:, 2:] = network.refiner(context[:, :2])
    assert kernel_loss(1.0, network, context).item() == pytest.approx(0, abs=1e-5)
    context[:, 2] = torch.roll(context[:, 2], 3, -1)
    loss = kernel_loss(1.0, network, context)
    loss.backward()
    assert loss.item() > 0.01
    assert all(parameter.grad is not None for parameter in network.refiner.parameters())
    assert kernel_loss(2.0, network, context).item() == pytest.approx(2 * loss.item(), rel=1e-4)


def test_kernels_are_measured_once(tmp_path: Path) -> None:
    said: list[str] = []
    prepare = partial(measure_pairs, 32, Pictures([TILE[:140, :140]], []), tmp_path, seed=0, workers=0, say=said.append)
    first, validation = prepare(count=3)
    second, _ = prepare(count=3)
    assert len(said) == 1
    assert first.known.shape == (2, 3, RAW_SIDE, RAW_SIDE)
    assert validation.known.shape == (1, 3, RAW_SIDE, RAW_SIDE)  # held out of the training
    assert np.array_equal(first.known, second.known)


def test_an_interrupted_measuring_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def prepare(folder: str, *, seed: int = 0, stop: int | None = None) -> BlindPairs:
        def say(sentence: str) -> None:
            if stop and sentence.startswith(str(stop)):
                raise KeyboardInterrupt

        pictures = Pictures([TILE[:90, :90]], [])
        return measure_pairs(32, pictures, tmp_path / folder, seed=seed, workers=0, say=say, count=40)[0]

    monkeypatch.setattr(measuring, "_BETWEEN_SAVES", 10)
    monkeypatch.setattr(measuring, "measured_kernel", counted := _Counted())
    whole = prepare("whole")
    assert counted.calls == 40
    with pytest.raises(KeyboardInterrupt):
        prepare("parts", stop=20)
    counted.calls = 0
    assert np.array_equal(prepare("parts").known, whole.known)
    assert counted.calls == 20
    with pytest.raises(KeyboardInterrupt):
        prepare("other", stop=20)
    assert not np.array_equal(prepare("other", seed=1).known, whole.known)


class _Counted:
    """Stands in for `measured_kernel`: quick, random, counted."""

    calls = 0

    def __call__(self, rng: np.random.Generator, tile: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.calls += 1
        return rng.random((RAW_SIDE, RAW_SIDE, 2), np.float32), rng.random((RAW_SIDE, RAW_SIDE, 1), np.float32)


def test_a_damaged_file_of_kernels_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "kernels.npz").write_bytes(b"PK\x03\x04 nonsense")
    with pytest.raises(DataError, match=r"cannot be read: remove the file"):
        measure_pairs(32, Pictures([TILE], []), tmp_path, seed=0, workers=0, say=print)


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    folder = tmp_path / "data" / "train" / "general"
    folder.mkdir(parents=True)
    for number in range(3):
        Image.fromarray(TILE[20 * number : 20 * number + 240, :240]).save(folder / f"{number}.png")
    return tmp_path / "data"


@pytest.fixture
def run(photographs: Path) -> Callable[..., dict[str, torch.Tensor]]:
    recipe = replace(RECIPES["blind-wiener-unet"], prepare=partial(measure_pairs, 48, count=3), batch=2, warmup_steps=2)

    def trained(out: Path, **options: object) -> dict[str, torch.Tensor]:
        train(recipe, photographs, out, store=WeightStore(), steps=3, device="cpu", workers=0, **options)  # type: ignore[arg-type]
        return torch.load(out / "last.pt", weights_only=True)["network"]

    return trained


def test_the_recipe_trains_both_networks_and_resumes_exactly(
    run: Callable[..., dict[str, torch.Tensor]], tmp_path: Path
) -> None:
    whole = run(tmp_path / "whole")
    fresh = with_unet((96, 128, 160), (3, 3, 3)).state_dict()
    assert whole.keys() == fresh.keys()
    run(tmp_path / "parts", stop_after=1)
    resumed = run(tmp_path / "parts", resume=True)
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)
    first = run(tmp_path / "first", stop_after=1)
    for part in ("refiner.tail.weight", "restorer.unet.tail.weight"):
        assert not torch.equal(first[part], whole[part])


@pytest.mark.parametrize(
    ("name", "trained", "kept"),
    [
        ("blind-wiener-unet-kernels", "refiner.tail.weight", "restorer.unet."),
        ("blind-wiener-unet-restorer", "restorer.unet.tail.weight", "refiner."),
    ],
)
def test_the_later_stages_train_one_half_each(
    name: str, trained: str, kept: str, photographs: Path, tmp_path: Path
) -> None:
    recipe = RECIPES[name]
    assert recipe.starts_from in RECIPES
    small = replace(recipe, prepare=partial(measure_pairs, 48, count=3), batch=2, warmup_steps=2)
    before = WeightStore().bundled_state(MODELS[recipe.model])
    train(small, photographs, tmp_path / name, store=WeightStore(), steps=3, device="cpu", workers=0)
    after = torch.load(tmp_path / name / "last.pt", weights_only=True)["network"]
    assert all(torch.equal(after[key], before[key]) for key in before if key.startswith(kept))
    assert not torch.equal(after[trained], before[trained])


def test_another_series_measures_other_tiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "measured_kernel", _Counted())
    pictures = Pictures([TILE[:90, :90]], [])
    first, second = (
        measure_pairs(32, pictures, tmp_path / str(series), seed=0, workers=0, say=print, count=10, series=series)[0]
        for series in (1, 2)
    )
    assert not np.array_equal(first.known, second.known)


def test_measurements_are_moved_to_the_true_kernel() -> None:
    true = np.zeros((RAW_SIDE, RAW_SIDE), np.float16)
    true[18:29, 20] = true[28, 20:27] = 1 / 17
    measured = np.stack(
        [np.roll(true, (3, -4), (0, 1)), np.roll(np.arange(RAW_SIDE**2).reshape(true.shape), (3, -4), (0, 1))]
    )
    known = np.concatenate((measured, true[None]))[None].astype(np.float16)
    (moved,) = registered(known)
    assert np.array_equal(moved[0], true)
    assert np.array_equal(moved[1], np.arange(RAW_SIDE**2).reshape(true.shape).astype(np.float16))
    assert np.array_equal(moved[2], true)
