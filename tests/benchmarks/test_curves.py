"""The picture of trainings: gains over the minutes of all threads."""

import json
from pathlib import Path

import pytest

from benchmarks.curves import gain_panel


def run_folder(folder: Path, **environment: object) -> Path:
    folder.mkdir()
    (folder / "environment.json").write_text(json.dumps({"threads": 2, "processes": 1, **environment}))
    (folder / "recipe.json").write_text('{"name": "some-recipe"}')
    (folder / "metrics.csv").write_text("step,seconds,psnr,input_psnr\n5,60,25.5,25\n9,120,,25\n12,180,26.25,25\n")
    return folder


def test_gains_stand_over_the_minutes_of_all_threads(tmp_path: Path) -> None:
    panel = gain_panel(run_folder(tmp_path / "run"))
    assert panel.title.startswith("some-recipe")
    assert panel.lines == [("", [(2.0, 0.5), (6.0, 1.25)])]


def test_runs_on_a_gpu_or_without_a_measurement_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="GPU"):
        gain_panel(run_folder(tmp_path / "gpu", gpu="some GPU"))
    empty = run_folder(tmp_path / "empty")
    (empty / "metrics.csv").write_text("step,seconds,psnr,input_psnr\n")
    with pytest.raises(ValueError, match="no measured"):
        gain_panel(empty)
