"""Checkpoints: strict, checked against their certificate, and refused in words."""

import dataclasses
import hashlib
import json
import os
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from restoration.errors import WeightsError
from restoration.registry import MODELS
from restoration.weights import BUNDLED_FOLDER, WeightStore, load_strictly, read_published

CARD = MODELS["edsr-baseline-x2"]
ENOUGH = 6  # cards that must be usable from a clone


@pytest.fixture
def store(tmp_path: Path) -> WeightStore:
    """A folder with one tiny, certified model under the card's name."""
    card = dataclasses.replace(CARD, build=lambda: torch.nn.Conv2d(3, 3, 1))
    path = tmp_path / card.checkpoints[0].filename
    save_file({k: v.half() for k, v in card.build().state_dict().items()}, path)
    scores = [{"psnr": 30.0, "baseline_psnr": 29.0}]
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    (tmp_path / f"{card.name}.json").write_text(json.dumps({"sha256": digest, "scores": scores}))
    return WeightStore(tmp_path)


TINY = dataclasses.replace(CARD, build=lambda: torch.nn.Conv2d(3, 3, 1))


def test_certified_weights_load_in_single_precision(store: WeightStore) -> None:
    network, name = store.load(TINY)
    assert store.availability(TINY).available
    assert name == "restoration"
    assert not network.training
    assert {p.dtype for p in network.parameters()} == {torch.float32}


def test_a_damaged_file_is_refused(store: WeightStore) -> None:
    path = store.folder / CARD.checkpoints[0].filename
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="is damaged"):
        store.load(TINY)


def test_an_lfs_pointer_says_what_to_do(store: WeightStore) -> None:
    path = store.folder / CARD.checkpoints[0].filename
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    with pytest.raises(WeightsError, match="git lfs pull"):
        store.load(TINY)


def test_missing_weights_are_not_offered_and_say_why(tmp_path: Path, store: WeightStore) -> None:
    nowhere = WeightStore(tmp_path / "nowhere")
    assert "is not here" in nowhere.availability(CARD).reason
    with pytest.raises(WeightsError, match="is missing"):
        nowhere.load(CARD)
    assert "not bundled" in nowhere.availability(MODELS["edsr-x4"]).reason
    with pytest.raises(WeightsError, match="has no bundled weights"):
        nowhere.load(MODELS["edsr-x4"])
    (store.folder / f"{CARD.name}.json").unlink()
    assert "birth certificate" in store.availability(CARD).reason


def spoil(path: Path, how: str) -> None:
    if how == "missing":
        path.unlink()
    else:
        path.write_bytes(b"version https://git-lfs.github.com/spec/v1" if how == "pointer" else b"anything")


@pytest.mark.parametrize(
    ("how", "ending", "sentence"),
    [
        ("missing", ".safetensors", "is not here"),
        ("pointer", ".safetensors", "git lfs pull"),
        ("damaged", ".safetensors", "is damaged"),
        ("damaged", ".json", "certificate edsr-baseline-x2.json is damaged"),
        ("missing", ".json", "birth certificate"),
    ],
)
def test_a_model_whose_files_are_spoilt_is_broken_and_says_why(
    store: WeightStore, how: str, ending: str, sentence: str
) -> None:
    assert store.availability(TINY).available
    spoil(store.folder / f"{CARD.name}{ending}", how)
    availability = store.availability(TINY)
    assert (availability.available, availability.broken) == (False, True)
    assert sentence in availability.reason


def test_a_model_that_was_never_trained_is_not_broken(tmp_path: Path) -> None:
    for name in ("edsr-baseline-x2", "edsr-x4"):
        assert not WeightStore(tmp_path).availability(MODELS[name]).broken


def test_a_pickle_called_safetensors_is_refused_even_with_the_right_hash(
    store: WeightStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = store.folder / CARD.checkpoints[0].filename
    path.write_bytes(pickle.dumps({"weight": Attack()}))
    certificate = {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "scores": []}
    (store.folder / f"{CARD.name}.json").write_text(json.dumps(certificate))
    with pytest.raises(WeightsError, match="not a safetensors file"):
        store.load(TINY)
    assert not (tmp_path / "attacked").exists()


@pytest.mark.parametrize("psnr", [28.0, 29.0])
def test_a_model_that_does_not_beat_its_baseline_is_not_offered(store: WeightStore, psnr: float) -> None:
    path = store.folder / f"{CARD.name}.json"
    certificate = json.loads(path.read_text())
    certificate["scores"].append({"psnr": psnr, "baseline_psnr": 29.0})
    path.write_text(json.dumps(certificate))
    availability = store.availability(CARD)
    assert not availability.available
    assert "do not beat the baseline" in availability.reason


def test_every_misfit_is_named() -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 3, 1), torch.nn.Conv2d(3, 3, 1))
    state = {
        "0.weight": torch.zeros(3, 3, 1, 1),
        "0.bias": torch.zeros(4),
        "1.weight": torch.zeros(3, 3, 1, 1),
        "x": torch.zeros(1),
    }
    with pytest.raises(WeightsError, match=r"'net': missing 1\.bias; unknown x; of another shape 0\.bias"):
        load_strictly(network, state, "net")


class Attack:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("attacked",)


def test_a_pickle_with_code_in_it_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "edsr.pt"
    path.write_bytes(pickle.dumps({"head.0.weight": Attack()}, protocol=2))
    unpinned = dataclasses.replace(CARD.checkpoints[1], sha256=None)
    with pytest.raises(WeightsError, match="not a checkpoint of plain tensors"):
        read_published(path, unpinned)
    assert not (tmp_path / "attacked").exists()


def test_a_file_with_another_hash_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "edsr.pt"
    path.write_bytes(b"anything")
    with pytest.raises(WeightsError, match=r"not the published edsr_baseline_x2-1bc95232\.pt"):
        read_published(path, CARD.checkpoints[1])


def test_another_layout_is_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "edsr.pt"
    torch.save({"conv_first.weight": torch.zeros(1)}, path)
    with pytest.raises(WeightsError, match="does not have the published layout: the checkpoint has no sub_mean layer"):
        read_published(path, dataclasses.replace(CARD.checkpoints[1], sha256=None))


def test_enough_models_travel_in_the_repository() -> None:
    store = WeightStore()
    available = [card.name for card in MODELS.values() if store.availability(card).available]
    assert len(available) >= ENOUGH
    assert {MODELS[name].task for name in available} == {"deblur", "enhance", "enlarge", "faces"}


@pytest.mark.parametrize("path", sorted(BUNDLED_FOLDER.glob("*.safetensors")), ids=lambda p: p.stem)
def test_bundled_weights_load_strictly(path: Path, tmp_path: Path) -> None:
    card = MODELS[path.stem]
    network, _ = WeightStore().load(card)
    assert all(torch.isfinite(value).all() for value in network.state_dict().values())
    shutil.copy(path, tmp_path / path.name)
    assert not WeightStore(tmp_path).availability(card).available  # without its certificate
