"""Run folders, curves and what is shown on the way."""

import functools
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from restoration.training.curves import Panel, draw_curves
from restoration.training.progress import Display, Meter, clock
from restoration.training.recipes import RECIPES
from restoration.training.run_folder import COLUMNS, RunFolder, describe, environment


def test_rows_survive_and_those_behind_the_checkpoint_are_taken_back(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    for step in (10, 20, 30):
        folder.add_row({"step": step, "loss": 1 / step, "psnr": 20.0 + step, "critic_loss": None})
    assert (folder.path / "curves.png").is_file()
    assert folder.begin(resume_at=20) is False
    rows = folder.rows()
    assert [row["step"] for row in rows] == [10, 20]
    assert list(rows[0]) == list(COLUMNS)
    assert rows[1]["psnr"] == 40
    assert math.isnan(rows[1]["critic_loss"])
    assert folder.metrics.read_text().splitlines()[1] == "10,,0.1,,30,,,,,,"


def test_every_recipe_can_be_written_down_without_addresses() -> None:
    for recipe in RECIPES.values():
        written = describe(recipe)
        assert written["name"] == recipe.name
        assert written["batch"] == recipe.batch
        assert " at 0x" not in str(written)
        assert "function" in str(written["pairs"]) or isinstance(written["pairs"], str)
    assert describe(functools.partial(math.hypot, 3, y=4)) == {"function": "hypot", "arguments": [3], "y": 4}


def test_the_environment_names_neither_the_machine_nor_its_folders() -> None:
    import getpass
    import platform

    facts = environment(torch.device("cpu"), 2)
    assert facts["python"] == platform.python_version()
    assert facts["processes"] == 2
    text = str(facts)
    assert platform.node() not in text
    assert "/" not in text.replace(facts["processor"], "")
    assert f"'{getpass.getuser()}'" not in text


def test_a_curve_goes_up_where_its_values_do() -> None:
    rising = Panel("rising", [("", [(0, 1), (50, 10), (100, 100)])], logarithmic=True)
    image = np.asarray(draw_curves([rising])).astype(int)
    blue = np.argwhere((image[..., 2] - image[..., 0] > 80) & (image[..., 0] < 60))
    assert len(blue) > 300
    order = blue[np.argsort(blue[:, 1])]
    tops = [int(part[:, 0].mean()) for part in np.array_split(order, 5)]
    assert tops == sorted(tops, reverse=True)  # rows count downwards
    steps = np.diff(tops)
    assert np.ptp(steps) < 15  # a straight line on the logarithmic scale


@pytest.mark.parametrize("points", [[], [(5, math.nan)], [(5, 3.0)], [(0, -1.0), (1, -1.0)]])
def test_curves_of_nothing_one_point_or_a_constant_can_be_drawn(points: list[tuple[float, float]]) -> None:
    for logarithmic in (True, False):
        image = draw_curves([Panel("title", [("a", points), ("b", [])], logarithmic)] * 4)
        assert isinstance(image, Image.Image)


def test_a_meter_gives_means_and_starts_anew() -> None:
    meter = Meter()
    for loss in (1.0, 3.0):
        meter.add({"loss": torch.tensor(loss), "critic": torch.tensor(2 * loss)}, 0.1, 0.4)
    means = meter.take()
    assert (means.loss, means.critic) == (2.0, 4.0)
    assert means.speed == pytest.approx(2.0)
    assert str(means) == "loss 2.00000  critic 4.0000  2.00 it/s (data 100 ms, step 400 ms)"
    assert math.isnan(meter.take().loss)


def test_without_a_terminal_there_are_plain_lines_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr("restoration.training.progress.time.monotonic", lambda: now[0])
    display = Display("run")
    display.begin()
    for step in range(1, 70):
        now[0] += 1
        display.step(step, step / 100, 3725 - step, {"loss": torch.tensor(0.5)}, (0.25, 0.75))
    display.end()
    out, err = capsys.readouterr()
    assert out == ""
    assert "\r" not in err
    assert len(err.splitlines()) == 2
    assert err.splitlines()[0].endswith(
        "run 30.0 %  step 30  loss 0.50000  1.00 it/s (data 250 ms, step 750 ms)  1:01:35 left"
    )


def test_on_a_terminal_there_is_a_bar(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setattr("restoration.training.progress._BAR_SECONDS", -1.0)
    display = Display("run")
    display.begin()
    display.step(50, 0.5, 61, {"loss": torch.tensor(0.5)}, (0.25, 0.75))
    display.say("a line above")
    display.end()
    err = capsys.readouterr().err
    assert "50%" in err
    assert "step 50  loss 0.50000  1.00 it/s (data 250 ms, step 750 ms)  1:01 left" in err
    assert "run a line above" in err


def test_a_silent_display_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    display = Display("run", silent=True)
    display.begin()
    display.say("anything")
    display.step(1, 0.5, 1, {"loss": torch.tensor(0.5)}, (0.1, 0.1))
    assert capsys.readouterr() == ("", "")


def test_times_left_are_read_like_a_clock() -> None:
    assert [clock(seconds) for seconds in (-3, 59.6, 3599, 3600)] == ["0:00", "1:00", "59:59", "1:00:00"]
