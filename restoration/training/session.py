"""One training from its first step to its stop: time, data, saving, measuring and showing, whichever engine steps.

The engine (our loop, or fastai's Learner) asks `advance` before and calls `took` after every step. Knows nothing of
losses.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import torch
from torch import Tensor

from restoration.card import ModelCard
from restoration.errors import OptionError
from restoration.training import checkpoint
from restoration.training.checkpoint import Run
from restoration.training.data import Pairs, Pictures, batches
from restoration.training.processes import Processes
from restoration.training.progress import Display, Meter
from restoration.training.recipes import Recipe
from restoration.training.run_folder import RunFolder
from restoration.training.validation import Validation

ENCODER = "layers.0"  # where a fastai U-Net has it
PRETRAINED = "pretrained"  # the note of a run whose encoder came with weights of its own
_SAVE_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Length:
    """The total of a training, which its schedule belongs to: either minutes or steps."""

    minutes: float | None = None
    steps: int | None = None

    @classmethod
    def choose(cls, minutes: float | None, steps: int | None, saved: dict[str, Any] | None) -> Length:
        """What was asked for, or what the checkpoint says.

        Raises:
            OptionError: both or neither is known, or a length is not positive.
        """
        if minutes is None and steps is None and saved and saved.get("length"):
            return cls(**saved["length"])
        if (minutes is None) == (steps is None):
            raise OptionError("Say how long to train: either --minutes or --steps.")
        if not (minutes if minutes is not None else steps or 0) > 0:
            raise OptionError("A training lasts more than 0 minutes or steps.")
        return cls(minutes, steps)

    def progress(self, run: Run) -> float:
        """How far the run is: 0..1, and above when it went on longer."""
        return run.seconds / (60 * self.minutes) if self.minutes is not None else run.step / (self.steps or 1)

    def as_json(self) -> dict[str, float]:
        """{"minutes": n} or {"steps": n}."""
        return {"minutes": self.minutes} if self.minutes is not None else {"steps": self.steps or 0}


class StopSignal:
    """While it is open, Ctrl-C and SIGTERM set `asked` instead of breaking a step in two; a second one ends at once."""

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopSignal:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, _frame: FrameType | None) -> None:
        self.asked = True
        signal.signal(number, self._before[number])


@dataclass(kw_only=True)
class Session:
    """What an engine trains with.

    stop: is asked before every step.
    stop_after: stop after this many more steps, wherever the run begins; None = at the length's end.
    """

    recipe: Recipe
    card: ModelCard
    run: Run
    length: Length
    pictures: Pictures
    folder: RunFolder
    processes: Processes
    display: Display
    stop: StopSignal
    bf16: bool
    seed: int
    workers: int
    stop_after: int | None = None
    _taken: int = 0
    _clock: float = 0.0
    _saved: float = 0.0
    _rate: float = 0.0
    _meter: Meter = field(default_factory=Meter)

    def __post_init__(self) -> None:
        self.validation = Validation(self.recipe, self.card, self.pictures) if self.processes.main else None

    def __enter__(self) -> Session:
        """Starts the clock and opens the display."""
        self._clock = self._saved = time.monotonic()
        self.display.begin()
        return self

    def __exit__(self, *_: object) -> None:
        self.display.end()

    def feed(self) -> Iterator[tuple[Tensor, ...]]:
        """Endless batches from the run's step on: float (B, 3, h, w), channels-last, and (B, 3, H, W) in [0, 1]; and
        the context where the recipe's pairs have one."""
        pairs = Pairs(self.pictures.train, self.recipe.pairs, self.seed, transpose=self.recipe.transpose)
        device, processes = self.processes.device, self.processes
        loaded = batches(
            pairs, start=self.run.step, batch=self.recipe.batch, workers=self.workers, process=processes.index,
            processes=processes.count, pinned=device.type == "cuda",
        )  # fmt: skip
        for pictures in loaded:
            degraded, sharp, *context = (tensor.to(device, non_blocking=True).float() for tensor in pictures)
            x, y = degraded.div_(255).contiguous(memory_format=torch.channels_last), sharp.div_(255)
            yield (x, y, *context)

    def advance(self) -> float | None:
        """Counts the time since the last call; -> how far the training is, 0..1, or None when it is to stop."""
        now = time.monotonic()
        self.run.seconds += now - self._clock
        self._clock = now
        stop = self.stop.asked or (self.stop_after is not None and self._taken >= self.stop_after)
        progress, stop = self.processes.agree(self.length.progress(self.run), stop)
        return None if stop or progress >= 1 else progress

    def took(self, losses: dict[str, Tensor], rate: float, data_seconds: float) -> None:
        """Counts one step, averages, shows, and now and then saves and measures.

        Args:
            losses: "loss" and perhaps "critic", detached scalars.
            rate: the learning rate it was taken with.
            data_seconds: what waiting for the batch took of the time since `advance`.
        """
        self.run.step += 1
        self._taken += 1
        self._rate = rate
        checkpoint.update_average(self.run, self.recipe.ema)
        if not self.processes.main:
            return
        times = data_seconds, time.monotonic() - self._clock - data_seconds
        self._meter.add(losses, *times)
        progress = self.length.progress(self.run)
        self.display.step(self.run.step, progress, self._seconds_left(sum(times)), losses, times)
        if self._clock - self._saved > _SAVE_SECONDS:
            self.keep()
            self._saved = time.monotonic()

    def _seconds_left(self, step_seconds: float) -> float:
        if self.length.minutes is not None:
            return 60 * self.length.minutes - self.run.seconds
        return ((self.length.steps or 0) - self.run.step) * step_seconds

    def keep(self) -> None:
        """Writes the checkpoint, then measures the average into metrics, curves and a sheet."""
        checkpoint.save(self.run, self.folder.checkpoint, length=self.length.as_json(), seed=self.seed)
        rows = self.folder.rows()
        if self.validation is None or (rows and rows[-1]["step"] == self.run.step):
            return
        scores = self.validation.score(self.run, self.processes.device, self.folder.sheet(self.run.step))
        means = self._meter.take()
        self.folder.add_row(
            {
                "step": self.run.step, "seconds": self.run.seconds, "loss": means.loss, "critic_loss": means.critic,
                "psnr": scores.psnr, "ssim": scores.ssim, "learning_rate": self._rate,
                "input_psnr": scores.input_psnr, "input_ssim": scores.input_ssim,
                "data_seconds": means.data_seconds, "step_seconds": means.step_seconds,
            }
        )  # fmt: skip
        self.display.say(f"step {self.run.step}  validation: {scores}")


Engine = Callable[[Session], None]  # trains until `advance` says None
