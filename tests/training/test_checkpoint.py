"""Checkpoints: complete or not there, read to the CPU, and copied into a run's own tensors."""

from pathlib import Path
from typing import Any

import pytest
import torch

from restoration.errors import DataError
from restoration.training import checkpoint
from restoration.training.checkpoint import Run, start_average
from tests.training.tiny import small_edsr


def fresh(seed: int) -> Run:
    torch.manual_seed(seed)
    network = small_edsr()
    return Run(network, start_average(network), torch.optim.Adam(network.parameters()))


def test_a_save_that_breaks_off_leaves_the_checkpoint_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "last.pt"
    checkpoint.save(fresh(0), path, length={"steps": 1}, seed=0)
    before = path.read_bytes()
    assert [file.name for file in tmp_path.iterdir()] == ["last.pt"]

    def full(_state: Any, target: Path) -> None:
        Path(target).write_bytes(before[: len(before) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="No space left"):
        checkpoint.save(fresh(1), path, length={"steps": 1}, seed=0)
    assert path.read_bytes() == before
    monkeypatch.undo()
    checkpoint.save(fresh(1), path, length={"steps": 1}, seed=0)
    assert [file.name for file in tmp_path.iterdir()] == ["last.pt"]
    assert path.read_bytes() != before


def test_a_checkpoint_is_read_to_the_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, places = tmp_path / "last.pt", []
    checkpoint.save(fresh(0), path, length={"steps": 1}, seed=0)
    load = torch.load

    def watched(*args: Any, **options: Any) -> Any:
        places.append(options["map_location"])
        return load(*args, **options)

    monkeypatch.setattr(torch, "load", watched)
    assert checkpoint.read(path)["step"] == 0
    assert places == ["cpu"]


def test_values_are_copied_into_the_runs_own_tensors(tmp_path: Path) -> None:
    path, saved, run = tmp_path / "last.pt", fresh(0), fresh(1)
    checkpoint.save(saved, path, length={"steps": 1}, seed=0)
    state = checkpoint.read(path)
    state["average"] = {key: value.double() for key, value in state["average"].items()}
    before = dict(run.average)
    checkpoint.restore(run, state, path)
    assert run.average.keys() == saved.average.keys()
    for key, value in run.average.items():
        assert value is before[key]  # and so on its device, of its dtype
        assert torch.equal(value, saved.average[key])


def test_an_average_stays_on_the_runs_device(tmp_path: Path) -> None:
    path, run = tmp_path / "last.pt", fresh(1)
    checkpoint.save(fresh(0), path, length={"steps": 1}, seed=0)
    run.average = {key: value.to("meta") for key, value in run.average.items()}  # a device every machine has
    checkpoint.restore(run, checkpoint.read(path), path)
    assert {value.device.type for value in run.average.values()} == {"meta"}


@pytest.mark.parametrize("change", ["missing", "surplus", "shape"])
def test_an_average_that_does_not_fit_is_refused(change: str, tmp_path: Path) -> None:
    path, run = tmp_path / "last.pt", fresh(1)
    checkpoint.save(fresh(0), path, length={"steps": 1}, seed=0)
    state = checkpoint.read(path)
    key = next(iter(state["average"]))
    if change == "missing":
        del state["average"][key]
    elif change == "surplus":
        state["average"]["another"] = torch.zeros(1)
    else:
        state["average"][key] = torch.zeros(1)  # which would broadcast
    with pytest.raises(DataError, match="belongs to another network"):
        checkpoint.restore(run, state, path)
