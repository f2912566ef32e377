"""What a person sees while a training runs: a bar on a terminal, otherwise a plain line now and then.

Everything goes to stderr. Knows nothing of networks and recipes.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

_LINE_SECONDS, _BAR_SECONDS = 30.0, 0.5


@dataclass(frozen=True, slots=True)
class Means:
    """Means over some steps. loss: NaN before the first step; critic: None without one; seconds are of one step."""

    loss: float
    critic: float | None
    data_seconds: float
    step_seconds: float

    @property
    def speed(self) -> float:
        """Steps a second, waiting for data included."""
        total = self.data_seconds + self.step_seconds
        return 1 / total if total else 0.0

    def __str__(self) -> str:
        """For a log line."""
        critic = "" if self.critic is None else f"  critic {self.critic:.4f}"
        times = f"data {1000 * self.data_seconds:.0f} ms, step {1000 * self.step_seconds:.0f} ms"
        return f"loss {self.loss:.5f}{critic}  {self.speed:.2f} it/s ({times})"


@dataclass(slots=True)
class Meter:
    """Sums over steps until `take` empties it; losses stay on their device until then."""

    steps: int = 0
    loss: Tensor | float = 0.0
    critic: Tensor | float | None = None
    data_seconds: float = 0.0
    step_seconds: float = 0.0

    def add(self, losses: dict[str, Tensor], data_seconds: float, step_seconds: float) -> None:
        """Counts one step. losses: "loss", and "critic" where there is one, detached scalars."""
        self.steps += 1
        self.loss = self.loss + losses["loss"]
        if "critic" in losses:
            self.critic = losses["critic"] + (self.critic or 0.0)
        self.data_seconds += data_seconds
        self.step_seconds += step_seconds

    def take(self) -> Means:
        """The means, and starts anew."""
        count = self.steps or 1
        means = Means(
            float(self.loss) / count if self.steps else float("nan"),
            None if self.critic is None else float(self.critic) / count,
            self.data_seconds / count,
            self.step_seconds / count,
        )
        self.steps, self.loss, self.critic, self.data_seconds, self.step_seconds = 0, 0.0, None, 0.0, 0.0
        return means


@dataclass
class Display:
    """Shows the state of a training.

    name: of the run folder, before every line.
    silent: shows nothing (all processes but the first).
    """

    name: str
    silent: bool = False
    _bar: Any = None
    _meter: Meter = field(default_factory=Meter)
    _shown: float = field(default_factory=time.monotonic)

    def say(self, line: str) -> None:
        """One line, above the bar where there is one."""
        if self.silent:
            return
        text = f"[{time.strftime('%H:%M:%S')}] {self.name} {line}"
        if self._bar is not None:
            self._bar.write(text, file=sys.stderr)
        else:
            print(text, file=sys.stderr, flush=True)

    def begin(self) -> None:
        """Opens the bar if there is a terminal to show it on."""
        self._shown = time.monotonic()
        if not self.silent and sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(total=1.0, bar_format="{percentage:3.0f}%|{bar}| {desc}", dynamic_ncols=True)

    def end(self) -> None:
        """Closes the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def step(
        self, step: int, progress: float, seconds_left: float, losses: dict[str, Tensor], times: tuple[float, float]
    ) -> None:
        """Takes note of one step; shows something when it is time. times: data and step seconds; progress: 0..1."""
        if self.silent:
            return
        self._meter.add(losses, *times)
        now = time.monotonic()
        if now - self._shown < (_LINE_SECONDS if self._bar is None else _BAR_SECONDS):
            return
        self._shown = now
        state = f"step {step}  {self._meter.take()}  {clock(seconds_left)} left"
        if self._bar is None:
            self.say(f"{100 * progress:.1f} %  {state}")
        else:
            self._bar.n = min(1.0, progress)
            self._bar.set_description_str(state)


def clock(seconds: float) -> str:
    """12:05, or 3:12:05 from an hour on."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
