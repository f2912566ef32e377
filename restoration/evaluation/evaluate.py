"""Scores of models by the protocols: ours beside the baseline, on a folder of sharp pictures.

What is measured is what is served: pictures go through the engine. Faces are the exception that the protocol makes: its
crops go straight through the network, without detection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from restoration.card import ModelCard
from restoration.errors import DataError, OptionError, WeightsError
from restoration.evaluation import metrics, protocols
from restoration.evaluation.protocols import Kernel, Picture
from restoration.images.document import ImageDocument
from restoration.tasks import TASKS

if TYPE_CHECKING:
    from restoration.inference.engine import Engine

_IDENTICAL = 100.0  # dB, what an identical picture counts for in a mean


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Means over the measured pictures; `pictures` counts degraded pictures (deblur: pictures x kernels).

    psnr, ssim: of the model's output; baseline_psnr, baseline_ssim: of what it must beat (`Task.baseline`). PSNR in dB.
    """

    model: str
    task: str
    scale: int
    pictures: int
    psnr: float
    ssim: float
    baseline_psnr: float
    baseline_ssim: float

    @property
    def gain(self) -> float:
        """dB over the baseline."""
        return self.psnr - self.baseline_psnr

    def as_json(self) -> dict[str, Any]:
        """The row of `evaluate --json`, numbers rounded to 4 decimals."""
        return {key: round(value, 4) if isinstance(value, float) else value for key, value in asdict(self).items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One thing to restore. degraded: the network's input; baseline and sharp have the output's size."""

    name: str
    degraded: Picture
    baseline: Picture
    sharp: Picture


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One restored pair, number `index` of `total`, with its own scores."""

    card: ModelCard
    index: int
    total: int
    pair: Pair
    restored: Picture
    psnr: float
    ssim: float
    baseline_psnr: float
    baseline_ssim: float


def evaluate(
    task: str,
    data: Path,
    *,
    engine: Engine,
    model: str | None = None,
    scale: int | None = None,
    kernels: Path | None = None,
    limit: int | None = None,
    on_pair: Callable[[Measured], None] | None = None,
) -> list[Score]:
    """One score per model.

    Args:
        task: a task id.
        data: a folder of sharp pictures; they are counted in natural order.
        engine: runs the models.
        model: a family or card; None = every available model of the task.
        scale: only models of this enlargement; None = all.
        kernels: the `.npz` of blur kernels; needed for deblur.
        limit: only the first N pictures.
        on_pair: is told of every restored pair.

    Raises:
        OptionError: an unknown task or model, a scale no model has, or deblur without kernels.
        DataError: the pictures or kernels cannot be used.
        WeightsError: no model of the task has weights.
    """
    blurs = needed_kernels(task, kernels)
    cards = choose_cards(engine, task, model, scale)
    return [measure(card, data, engine=engine, kernels=blurs, limit=limit, on_pair=on_pair) for card in cards]


def choose_cards(engine: Engine, task: str, model: str | None, scale: int | None) -> tuple[ModelCard, ...]:
    """The cards to measure: a named one even where it is not offered, otherwise all that are available.

    Raises:
        OptionError: an unknown task or model, or a scale that does not fit.
        WeightsError: nothing is available.
    """
    if task not in TASKS:
        raise OptionError(f"There is no task '{task}'; the tasks are {', '.join(TASKS)}.")
    if model is not None:
        found = engine.models.find(model, task=task, scale=scale)
        if scale is not None or model == found.name:
            return (found,)
    cards = tuple(card for card in engine.available(task) if model in (None, card.family))
    if not cards:
        raise WeightsError(f"No model of the task {task} has weights here that can be measured.")
    if scale is not None:
        cards = tuple(card for card in cards if card.scale == scale)
        if not cards:
            raise OptionError(f"No available model of the task {task} has the scale {scale}.")
    return cards


def needed_kernels(task: str, path: Path | None) -> tuple[Kernel, ...]:
    """The kernels for deblur, nothing for other tasks.

    Raises:
        OptionError: deblur, and no path was given.
        DataError: the file cannot be used.
    """
    if task != "deblur":
        return ()
    if path is None:
        raise OptionError("Deblurring is measured with blur kernels: name their .npz file with --kernels.")
    return protocols.read_kernels(path)


def measure(
    card: ModelCard,
    data: Path,
    *,
    engine: Engine,
    kernels: Sequence[Kernel] = (),
    limit: int | None = None,
    on_pair: Callable[[Measured], None] | None = None,
) -> Score:
    """The mean scores of one card on a folder; the pictures are read, degraded and restored one at a time.

    Raises:
        OptionError: the limit is below 1.
        DataError: the pictures cannot be used.
    """
    if limit is not None and limit < 1:
        raise OptionError(f"At least one picture is needed, not {limit}.")
    paths = protocols.list_pictures(data)[:limit]
    total = len(paths) * max(1, len(kernels))
    restore = restorer(engine, card)
    rows: list[tuple[float, float, float, float]] = []
    for index, pair in enumerate(pairs(card, paths, kernels)):
        restored = restore(pair.degraded)
        ours, before = compare(card, restored, pair.sharp), compare(card, pair.baseline, pair.sharp)
        rows.append((*ours, *before))
        if on_pair:
            on_pair(
                Measured(
                    card=card, index=index, total=total, pair=pair, restored=restored, psnr=ours[0], ssim=ours[1],
                    baseline_psnr=before[0], baseline_ssim=before[1],
                )
            )  # fmt: skip
    psnr, ssim, baseline_psnr, baseline_ssim = (float(value) for value in np.mean(rows, axis=0))
    return Score(
        model=card.name, task=card.task, scale=card.scale, pictures=len(rows), psnr=psnr, ssim=ssim,
        baseline_psnr=baseline_psnr, baseline_ssim=baseline_ssim,
    )  # fmt: skip


def pairs(card: ModelCard, paths: Sequence[Path], kernels: Sequence[Kernel]) -> Iterator[Pair]:
    """The pairs of the card's task, lazily, in the order of the paths (deblur: all kernels of a picture in turn).

    Raises:
        DataError: a picture does not fit the protocol.
    """
    for index, path in enumerate(paths):
        sharp = protocols.read_sharp(path)
        if card.size.fixed and sharp.shape[:2] != (card.size.fixed, card.size.fixed):
            raise DataError(f"{path.name} is not {card.size.fixed} x {card.size.fixed} pixels, as '{card.name}' needs.")
        degraded = protocols.degrade(card.task, sharp, index, scale=card.scale, kernels=kernels)
        for number, picture in enumerate(degraded):
            name = f"{path.stem}, kernel {number + 1}" if len(degraded) > 1 else path.stem
            if card.task == "enlarge":
                baseline = protocols.enlarge_bicubic(picture, card.scale)
                sharp = protocols.reduce(sharp, card.scale)[1]
            else:
                baseline = picture
            yield Pair(name=name, degraded=picture, baseline=baseline, sharp=sharp)


def compare(card: ModelCard, picture: Picture, sharp: Picture) -> tuple[float, float]:
    """(PSNR in dB, SSIM) as the task's protocol has it: on Y for enlarge, else on RGB, without the protocol's border.

    Raises:
        DataError: the picture is too small to be measured.
    """
    border = protocols.BORDERS.get(card.task, card.scale)
    if min(sharp.shape[:2]) < 2 * border + 11:
        raise DataError(f"A picture of {sharp.shape[1]} x {sharp.shape[0]} pixels is too small to be measured.")
    if card.task == "enlarge":
        a, b = metrics.luma(picture), metrics.luma(sharp)
    else:
        a, b = picture, sharp
    return min(metrics.psnr(a, b, border), _IDENTICAL), metrics.ssim(a, b, border)


def restorer(engine: Engine, card: ModelCard) -> Callable[[Picture], Picture]:
    """Runs one card over uint8 (H, W, 3) pictures, at full strength."""
    if card.task == "faces":
        return lambda picture: _through_square(engine, card, picture)
    return lambda picture: protocols.eight_bits(
        engine.restore(ImageDocument(color=picture), card.name, task=card.task, scale=card.scale).image
    )


def _through_square(engine: Engine, card: ModelCard, picture: Picture) -> Picture:
    result = engine.run_square((picture / 255).astype(np.float32), card)
    return np.clip(np.rint(np.asarray(result, np.float64) * 255), 0, 255).astype(np.uint8)


def markdown(scores: Sequence[Score]) -> str:
    """A Markdown table of scores, ours beside the baseline."""
    lines = [
        "| model | task | pictures | PSNR / SSIM | baseline | gain |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for row in scores:
        ours, before = f"{row.psnr:.2f} / {row.ssim:.4f}", f"{row.baseline_psnr:.2f} / {row.baseline_ssim:.4f}"
        lines.append(f"| {row.model} | {row.task} | {row.pictures} | {ours} | {before} | {row.gain:+.2f} dB |")
    return "\n".join(lines)
