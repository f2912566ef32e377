"""What a training begins with: numbers that can be, the checkpoint's seed and length, and what is said otherwise."""

import json
import sys
from pathlib import Path

import pytest
import torch

from restoration.errors import OptionError
from restoration.training.beginning import Beginning
from tests.training.tiny import FASTAI, TINY, differences, make_photos, read, run


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    make_photos(folder / "photos", 8)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def choose(out: Path, *, minutes: float | None = None, steps: int | None = None, seed: int | None = None) -> Beginning:
    return Beginning.choose(out, resume=True, minutes=minutes, steps=steps, seed=seed)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"seed": -1}, r"The seed is a whole number from 0 to 2\^63 - 1, not -1\."),
        ({"seed": 2**63}, "The seed is"),
        ({"workers": -1}, r"The number of workers is 0 or more, not -1\."),
        ({"stop_after": -3}, r"stops after 1 step or more, not after -3\."),
        ({"stop_after": 0}, "not after 0"),
        ({"steps": 0}, "more than 0"),
        ({"learning_rate": 0.0}, r"The learning rate is above 0 and at most 1, not 0\."),
        ({"learning_rate": 1.5}, r"not 1\.5\."),
        ({"learning_rate": float("nan")}, "not nan"),
    ],
    ids=str,
)
def test_numbers_that_cannot_be_are_one_sentence_and_leave_the_earlier_training(
    options: dict[str, float], sentence: str, data: Path, tmp_path: Path
) -> None:
    run(TINY, data, tmp_path, steps=1)
    before = contents(tmp_path)
    with pytest.raises(OptionError, match=sentence):
        run(TINY, data, tmp_path, **{"steps": 1, **options})
    assert contents(tmp_path) == before


def test_an_engine_that_is_not_installed_leaves_the_earlier_training(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(TINY, data, tmp_path, steps=1)
    before = contents(tmp_path)
    monkeypatch.setitem(sys.modules, "restoration.training.learner", None)
    with pytest.raises(OptionError, match="needs fastai"):
        run(FASTAI, data, tmp_path, steps=1)
    assert contents(tmp_path) == before


def test_a_resumed_training_goes_on_with_the_checkpoints_seed(data: Path, tmp_path: Path) -> None:
    run(TINY, data, tmp_path / "whole", steps=6, seed=7)
    run(TINY, data, tmp_path / "parts", steps=6, seed=7, stop_after=3)
    run(TINY, data, tmp_path / "parts", resume=True)
    whole, parts = read(tmp_path / "whole"), read(tmp_path / "parts")
    assert whole["seed"] == 7
    assert differences(whole, parts) == []
    assert json.loads((tmp_path / "parts" / "run.json").read_text())["seed"] == 7


def test_another_seed_than_the_checkpoints_is_one_sentence(data: Path, tmp_path: Path) -> None:
    run(TINY, data, tmp_path, steps=1)
    assert read(tmp_path)["seed"] == 0
    before = contents(tmp_path)
    with pytest.raises(OptionError, match=r"began with the seed 0: it cannot go on with 7\."):
        run(TINY, data, tmp_path, steps=2, seed=7, resume=True)
    assert contents(tmp_path) == before
    run(TINY, data, tmp_path, steps=2, seed=0, resume=True)
    run(TINY, data, tmp_path, steps=1, seed=7)  # a new training has the seed it is given
    assert read(tmp_path)["seed"] == 7


def test_a_learning_rate_that_was_asked_for_is_kept_told_and_belongs_to_its_training(
    data: Path, tmp_path: Path
) -> None:
    run(TINY, data, tmp_path / "usual", steps=6)
    run(TINY, data, tmp_path / "whole", steps=6, learning_rate=3e-4)
    run(TINY, data, tmp_path / "parts", steps=6, learning_rate=3e-4, stop_after=3)
    run(TINY, data, tmp_path / "parts", resume=True)
    usual, whole, parts = (read(tmp_path / name) for name in ("usual", "whole", "parts"))
    assert differences(whole, parts) == []
    assert differences(whole["network"], usual["network"])
    told = [json.loads((tmp_path / name / "run.json").read_text())["learning_rate"] for name in ("usual", "parts")]
    assert told == [TINY.learning_rate, 3e-4]
    assert json.loads((tmp_path / "parts" / "recipe.json").read_text())["learning_rate"] == 3e-4
    before = contents(tmp_path)
    for name, rate, began in (("parts", 1e-3, "0.0003"), ("usual", 3e-4, f"{TINY.learning_rate:g}")):
        with pytest.raises(OptionError, match=f"began with the learning rate {began}: it keeps that"):
            run(TINY, data, tmp_path / name, resume=True, learning_rate=rate)
    assert contents(tmp_path) == before
    run(TINY, data, tmp_path / "parts", steps=6, resume=True, learning_rate=3e-4)


def test_a_checkpoint_without_a_seed_goes_on_with_the_one_given_or_with_0(data: Path, tmp_path: Path) -> None:
    run(TINY, data, tmp_path, steps=2, seed=7)
    state = read(tmp_path)
    del state["seed"]
    torch.save(state, tmp_path / "last.pt")
    assert choose(tmp_path).seed == 0
    assert choose(tmp_path, seed=7).seed == 7


def test_steps_to_stop_after_are_counted_from_where_the_part_begins(data: Path, tmp_path: Path) -> None:
    for steps in (2, 4, 5):
        run(TINY, data, tmp_path, steps=5, stop_after=2, resume=True)
        assert read(tmp_path)["step"] == steps


def test_a_checkpoint_that_is_missing_is_said(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    run(TINY, data, out, steps=1, resume=True)
    assert "There is no" in capsys.readouterr().err
    (out / "last.pt").rename(out / "previous.pt")
    sentence = f"There is no {out / 'last.pt'} to go on from, only a previous.pt of the training before it"
    with pytest.raises(OptionError) as caught:
        run(TINY, data, out, resume=True)
    assert str(caught.value) == f"{sentence}: say how long to train, either --minutes or --steps."
    run(TINY, data, out, steps=1, resume=True)
    assert f"{sentence}: this is a new training\n" in capsys.readouterr().err
    run(TINY, data, out, steps=1)
    assert "There is no" not in capsys.readouterr().err


def test_pictures_that_train_and_validate_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_photos(tmp_path / "photos", 3)
    rows = "".join(f"{index}.png,False\n" for index in range(3))
    (tmp_path / "photos" / "split.csv").write_text(f"fnames,is_val\n{rows}")
    told = []
    for name, more in (("shared", ""), ("apart", "2.png,True\n")):
        rows = rows.replace("2.png,False\n", more) if more else rows
        (tmp_path / "photos" / "split.csv").write_text(f"fnames,is_val\n{rows}")
        run(TINY, tmp_path, tmp_path / name, steps=1)
        told.append(json.loads((tmp_path / name / "run.json").read_text())["validation_pictures"])
        assert ("the validation pictures are training pictures" in capsys.readouterr().err) is (name == "shared")
    assert told == ["training pictures", "held out"]
