"""What is to be reached, as data: each row names a measurement of the benchmark and its bound.

The bounds are for two cores of an idle machine. Ratios and megabytes hold on any machine, so `bench --check` fails on
them; seconds are only told.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from benchmarks.subjects import PUBLISHED

HD = (720, 1280)
TWELVE = (3000, 4000)
SMALL = (256, 256)
HALF_GIGABYTE, TWO_GIGABYTES = 0.5e9 / 2**20, 2e9 / 2**20  # megabytes here are 2^20 bytes

Size = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """One measurement and its bound.

    name: what `--only` takes; several goals may share one measurement.
    work: for people.
    model, size: the row of the races it is taken from; None where a trial measures it.
    peer: whose entry in the row is meant; None for the row itself.
    trial: which trial measures it; None for a race.
    value: the key in that row, entry or trial.
    bound: and whether the value is to be at least or at most that.
    """

    name: str
    work: str
    model: str | None = None
    size: Size = (0, 0)
    peer: str | None = None
    trial: str | None = None
    value: str = "ratio"
    bound: float
    at_least: bool = True

    @property
    def portable(self) -> bool:
        """Whether the bound holds on any machine."""
        return "seconds" not in self.value

    def reached(self, value: float) -> bool:
        """Whether a measured value is inside the bound."""
        return value >= self.bound if self.at_least else value <= self.bound


_DEBLURGAN, _EDSR = "DeblurGAN-v2 MobileNet", "EDSR-baseline x2"
_ENLARGER = "edsr-baseline-x2"
GOALS: tuple[Goal, ...] = (
    Goal(
        name="deblurgan-720p", work=f"{_DEBLURGAN} 1280 x 720, against predict.py's way",
        model=PUBLISHED, size=HD, peer="predict.py", bound=5.0,
    ),
    Goal(
        name="deblurgan-720p-torch", work=f"{_DEBLURGAN} 1280 x 720 by torch, against predict.py's way",
        trial="torch-path", bound=4.0,
    ),
    Goal(
        name="deblurgan-720p-int8", work=f"{_DEBLURGAN} 1280 x 720 in int8, against predict.py's way",
        trial="int8", bound=8.0,
    ),
    Goal(
        name="deblurgan-12mp", work=f"{_DEBLURGAN} 4000 x 3000, against predict.py's way",
        model=PUBLISHED, size=TWELVE, peer="predict.py", bound=6.0,
    ),
    Goal(
        name="deblurgan-12mp-memory", work=f"{_DEBLURGAN} 4000 x 3000: memory added, MB",
        model=PUBLISHED, size=TWELVE, value="peak_megabytes", bound=HALF_GIGABYTE, at_least=False,
    ),
    Goal(
        name="edsr-256", work=f"{_EDSR} 256 x 256, against super-image's way",
        model=_ENLARGER, size=SMALL, peer="super-image", bound=2.8,
    ),
    Goal(
        name="edsr-256-roofline", work=f"{_EDSR} 256 x 256: share of the roofline",
        model=_ENLARGER, size=SMALL, value="roofline_share", bound=0.85,
    ),
    Goal(
        name="edsr-720p", work=f"{_EDSR} 1280 x 720, against eager",
        model=_ENLARGER, size=HD, peer="eager", bound=4.0,
    ),
    Goal(
        name="light-720p", work="the lightest x2 enlarger, 1280 x 720: the page's handler from file to file, seconds",
        trial="light-page", value="seconds", bound=1.5, at_least=False,
    ),
    Goal(
        name="tiled-12mp", work=f"{_DEBLURGAN} 4000 x 3000: tiled against whole, same backend",
        trial="tiled", bound=1.35, at_least=False,
    ),
    *(
        Goal(
            name=f"100mp-{task}", work=f"a JPEG of 100 megapixels through {task} on the page: resident, MB",
            trial=f"100mp-{task}", value="peak_megabytes", bound=TWO_GIGABYTES, at_least=False,
        )
        for task in ("deblur", "enhance", "faces")
    ),
    Goal(
        name="page-720p", work="page round trip at 1280 x 720 less the engine's time, seconds",
        trial="page", value="overhead_seconds", bound=0.5, at_least=False,
    ),
)  # fmt: skip


def measured(goal: Goal, result: dict[str, Any]) -> float | None:
    """The value of a goal in a result; None where it was not measured."""
    if goal.trial is not None:
        return result.get("trials", {}).get(goal.trial, {}).get(goal.value)
    height, width = goal.size
    for row in result["rows"]:
        if (row["model"], row["height"], row["width"]) == (goal.model, height, width):
            return (row["peers"].get(goal.peer, {}) if goal.peer else row).get(goal.value)
    return None


def below(result: dict[str, Any], goals: Iterable[Goal] = GOALS) -> Iterator[str]:
    """A sentence for every goal that holds on any machine and was measured, and missed."""
    for goal in goals:
        value = measured(goal, result)
        if goal.portable and value is not None and not goal.reached(value):
            side = "least" if goal.at_least else "most"
            yield f"{goal.name} is {value:.3g} and should be at {side} {goal.bound:.3g}."
