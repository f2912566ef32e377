"""Scores as data: of a picture, of a model, as JSON and as Markdown; and how two pictures are compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from restoration.errors import DataError, OptionError
from restoration.evaluation import metrics

CHANNELS = ("rgb", "y")
_IDENTICAL = 100.0  # dB, what an identical picture counts for in a mean


@dataclass(frozen=True, slots=True, kw_only=True)
class Criterion:
    """What is compared: all three channels, or the luma (Y of BT.601, studio range), without `border` pixels a side.

    Raises:
        OptionError: other channels, or a negative border.
    """

    channels: str = "rgb"
    border: int = 0

    def __post_init__(self) -> None:
        if self.channels not in CHANNELS:
            raise OptionError(f"The channels compared are {' or '.join(CHANNELS)}, not '{self.channels}'.")
        if self.border < 0:
            raise OptionError(f"The border is 0 pixels or more, not {self.border}.")

    def compare(self, picture: NDArray[Any], sharp: NDArray[Any]) -> tuple[float, float]:
        """(PSNR in dB, at most 100, SSIM) of two (H, W, 3) pictures in 0..255.

        Raises:
            DataError: the pictures are too small to be measured.
        """
        if min(sharp.shape[:2]) < 2 * self.border + 11:
            raise DataError(f"A picture of {sharp.shape[1]} x {sharp.shape[0]} pixels is too small to be measured.")
        a, b = (metrics.luma(picture), metrics.luma(sharp)) if self.channels == "y" else (picture, sharp)
        return min(metrics.psnr(a, b, self.border), _IDENTICAL), metrics.ssim(a, b, self.border)


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureScore:
    """Of one restored picture, and of what it must beat. PSNR in dB."""

    name: str
    psnr: float
    ssim: float
    baseline_psnr: float
    baseline_ssim: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Means over the measured pictures; `pictures` counts degraded pictures (deblur: pictures x kernels).

    psnr, ssim: of the model's output; baseline_psnr, baseline_ssim: of what it must beat (`Task.baseline`). PSNR in dB.
    rows: what the means were taken over.
    """

    model: str
    task: str
    scale: int
    pictures: int
    psnr: float
    ssim: float
    baseline_psnr: float
    baseline_ssim: float
    rows: tuple[PictureScore, ...] = ()

    @property
    def gain(self) -> float:
        """dB over the baseline."""
        return self.psnr - self.baseline_psnr

    def as_json(self, *, per_picture: bool = False) -> dict[str, Any]:
        """The row of `evaluate --json`, numbers rounded to 4 decimals; `per_picture` adds a list of that name."""
        means = _rounded(asdict(self))
        rows = means.pop("rows")
        return {**means, "per_picture": [_rounded(row) for row in rows]} if per_picture else means


def mean_score(model: str, task: str, scale: int, rows: Sequence[PictureScore]) -> Score:
    """The score of one model from those of its pictures."""
    numbers = [(row.psnr, row.ssim, row.baseline_psnr, row.baseline_ssim) for row in rows]
    psnr, ssim, baseline_psnr, baseline_ssim = (float(value) for value in np.mean(numbers, axis=0))
    return Score(
        model=model, task=task, scale=scale, pictures=len(rows), psnr=psnr, ssim=ssim, baseline_psnr=baseline_psnr,
        baseline_ssim=baseline_ssim, rows=tuple(rows),
    )  # fmt: skip


def markdown(scores: Sequence[Score], *, per_picture: bool = False) -> str:
    """A Markdown table of scores, ours beside the baseline; `per_picture` adds a table for each model."""
    lines = [
        "| model | task | pictures | PSNR / SSIM | baseline | gain |",
        "|---|---|---:|---:|---:|---:|",
    ]
    lines += [f"| {row.model} | {row.task} | {row.pictures} | {_beside_baseline(row)} |" for row in scores]
    for score in scores if per_picture else ():
        lines += ["", f"| {score.model}: picture | PSNR / SSIM | baseline | gain |", "|---|---:|---:|---:|"]
        lines += [f"| {row.name} | {_beside_baseline(row)} |" for row in score.rows]
        lines.append(f"| mean | {_beside_baseline(score)} |")
    return "\n".join(lines)


def _beside_baseline(row: Score | PictureScore) -> str:
    ours, before = f"{row.psnr:.2f} / {row.ssim:.4f}", f"{row.baseline_psnr:.2f} / {row.baseline_ssim:.4f}"
    return f"{ours} | {before} | {row.psnr - row.baseline_psnr:+.2f} dB"


def _rounded(row: dict[str, Any]) -> dict[str, Any]:
    return {key: round(value, 4) if isinstance(value, float) else value for key, value in row.items()}
