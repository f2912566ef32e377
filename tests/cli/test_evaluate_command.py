"""`evaluate`: both sources of pictures, what may be combined, and what is printed."""

import json

import pytest

from restoration.cli.evaluate import _CHANNELS
from restoration.evaluation.scores import CHANNELS


def test_the_channels_offered_are_those_there_are():
    """They are copied, so that --help need not import numpy."""
    assert _CHANNELS == CHANNELS


@pytest.fixture
def folders(photo):
    """(blur, sharp) with one picture of one name each."""
    return photo("blur/a.png").parent, photo("sharp/a.png").parent


def test_pairs_are_measured_as_deblurring_unless_another_task_is_named(command, folders, tmp_path):
    code, stdout, _ = command("evaluate", "--pairs", *folders, "--json")
    (row,) = json.loads(stdout)
    assert code == 0
    assert set(row) == {"model", "task", "scale", "pictures", "psnr", "ssim", "baseline_psnr", "baseline_ssim"}
    assert (row["task"], row["pictures"]) == ("deblur", 1)
    (other,) = json.loads(command("evaluate", "--pairs", *folders, "--task", "enhance", "--json")[1])
    assert other["task"] == "enhance"


def test_single_pictures_a_sheet_and_the_table_come_together(command, folders, tmp_path):
    sheet = tmp_path / "sheet.jpg"
    words = ("--per-picture", "--sheet", sheet, "--channels", "y", "--border", 2)
    code, stdout, stderr = command("evaluate", "--pairs", *folders, *words)
    assert code == 0
    assert stdout.startswith("| model | task | pictures |")
    assert "| a | " in stdout
    assert "| mean | " in stdout
    assert sheet.exists()
    assert str(sheet) in stderr
    (row,) = json.loads(command("evaluate", "--pairs", *folders, *words, "--json")[1])
    assert [one["name"] for one in row["per_picture"]] == ["a"]


def test_folders_that_do_not_match_are_one_sentence(command, folders, photo):
    photo("blur/b.png")
    code, stdout, stderr = command("evaluate", "--pairs", *folders)
    assert (code, stdout) == (1, "")
    assert stderr.count("\n") == 1
    assert "1 of 2 pictures" in stderr


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("--data SHARP", "--task"),
        ("--data SHARP --task enhance --border 3", "--pairs"),
        ("--data SHARP --task enhance --channels y", "--pairs"),
        ("--pairs BLUR SHARP --kernels k.npz", "--kernels"),
        ("--pairs BLUR SHARP --data SHARP", "not allowed"),
        ("--pairs BLUR", "2 arguments"),
        ("--task deblur", "required"),
        ("--pairs BLUR SHARP --border -2", "border"),
    ],
)
def test_options_that_contradict_each_other_are_wrong_usage(command, folders, words, sentence):
    places = dict(zip(("BLUR", "SHARP"), folders, strict=True))
    code, stdout, stderr = command("evaluate", *(places.get(word, word) for word in words.split()))
    assert (code, stdout) == (2, "")
    assert sentence in stderr
