"""Networks that look at the whole picture before its tiles."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from restoration.inference import observing
from restoration.inference.engine import finish
from restoration.inference.observing import observed_window
from restoration.inference.tiling import Box
from tests.inference.fakes import make_card, make_engine, picture, scheduled_engine


class Levelling(nn.Module):
    """Subtracts the mean of what it observed."""

    looks = 3

    def observe(self, x: Tensor):
        for look in range(self.looks):
            yield x.mean((2, 3)) * (look + 1) / self.looks

    def neutral(self, x: Tensor) -> Tensor:
        return torch.zeros(1, 3)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        context = list(self.observe(x))[-1] if context is None else context
        return 0.5 + (x - context[..., None, None]) / 4


LEVELLING = make_card(Levelling, name="levelling", observes=64)


def textured(height: int, width: int, box: Box, dtype: str = "uint8") -> Any:
    color = np.full((height, width, 3), 120, np.float64)
    color[box.slices()] += np.random.default_rng(0).normal(0, 30, (box.height, box.width, 3))
    color = color.clip(0, 250)
    return (color * 257).astype(dtype) if dtype == "uint16" else color.astype(dtype)


def test_every_tile_is_given_what_the_whole_picture_showed() -> None:
    document = picture(60, 64, dtype="float32")
    result = finish(make_engine(LEVELLING).stream(document, LEVELLING))
    expected = 0.5 + (document.color - document.color.mean((0, 1))) / 4
    assert result.report.tiles > 1
    assert np.abs(result.image.color - expected).max() < 1e-5
    assert result.report.seconds.keys() == {"prepare", "observe", "restore"}


def test_progress_tells_of_every_look_before_the_first_tile() -> None:
    engine = make_engine(LEVELLING)
    stages = []
    finish(engine.stream(picture(60, 64), LEVELLING), lambda step: stages.append((step.stage, step.done)))
    assert stages[1:5] == [("observe", 0)] * 4
    assert all(stage == "restore" for stage, _ in stages[5:])


def test_a_job_can_be_stopped_between_two_looks() -> None:
    engine = make_engine(LEVELLING)
    steps = engine.stream(picture(60, 64), LEVELLING)
    next(step for step in steps if step.stage == "observe")  # type: ignore[union-attr]
    steps.close()
    assert finish(engine.stream(picture(60, 64), LEVELLING)).report.tiles > 1  # the turn was given back


def test_what_was_observed_is_kept_when_the_tiles_fail(gpu) -> None:
    jobs = []

    def on_gpu(compute):
        def worker(job):
            jobs.append(job)
            for number, event in enumerate(compute(job)):
                if len(jobs) == 1 and number == 5:
                    raise torch.OutOfMemoryError("CUDA out of memory")
                yield event

        return worker

    document = picture(60, 64, dtype="float32")
    result = finish(scheduled_engine(LEVELLING, on_gpu, call_seconds=0.5).stream(document, LEVELLING))

    assert [job.window is None for job in jobs] == [False, True]
    assert jobs[1].context is not None
    expected = 0.5 + (document.color - document.color.mean((0, 1))) / 4
    assert np.abs(result.image.color - expected).max() < 1e-5


@pytest.mark.parametrize("size", [(1, 1), (64, 64), (63, 10)])
def test_a_small_picture_is_observed_whole(size: tuple[int, int]) -> None:
    assert observed_window(np.zeros((*size, 3), np.uint8), 64) == Box(0, 0, *size)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_the_window_lies_where_the_structure_is(dtype: str) -> None:
    box = Box(192, 256, 256, 320)
    color = textured(400, 500, box, dtype)
    if dtype == "float32":
        color = color / np.float32(255)
    window = observed_window(color, 128)
    assert (window.height, window.width) == (128, 128)
    assert window.top <= box.top
    assert window.bottom >= box.bottom
    assert window.left <= box.left
    assert window.right >= box.right


def test_a_picture_of_many_bands_is_looked_at_as_one_is(monkeypatch) -> None:
    color = np.random.default_rng(0).integers(0, 256, (333, 210, 3), dtype=np.uint8)
    whole = observing._structure(color)
    monkeypatch.setattr(observing, "_BAND_ROWS", 7)
    assert (observing._structure(color) == whole).all()
    assert whole.shape == (3, 83, 52)


def test_edges_of_one_direction_tell_less_than_corners() -> None:
    color = np.full((128, 512, 1), 100, np.uint8)
    color[:, 0:128:8] = 200  # many strong lines, all vertical
    color[40:80:8, 320:448] = 130  # a faint grid
    color[40:80, 320:448:8] = 130
    assert observed_window(color, 128).left >= 256


def test_clipped_lights_do_not_count() -> None:
    rng = np.random.default_rng(1)
    color = np.full((128, 512, 1), 100, np.uint8)
    color[:, :128] = rng.choice([255, 20], (128, 128, 1), p=[0.9, 0.1])
    color[:, 384:] = rng.choice([140, 90], (128, 128, 1))
    assert observed_window(color, 128).left >= 256


def test_looks_run_in_one_thread_and_the_tiles_in_all() -> None:
    threads: list[tuple[str, int]] = []

    class Counting(Levelling):
        def observe(self, x: Tensor):
            for context in super().observe(x):
                threads.append(("look", torch.get_num_threads()))
                yield context

        def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
            threads.append(("tile", torch.get_num_threads()))
            return super().forward(x, context)

    card = make_card(Counting, name="counting", observes=64)
    usual = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        finish(make_engine(card).stream(picture(80, 70), card))
    finally:
        torch.set_num_threads(usual)
    assert set(threads) == {("look", 1), ("tile", 2)}
