"""Scores of models, ours beside the baseline: by the protocols on sharp pictures, or on two folders of pairs.

What is measured is what is served: pictures go through the engine. Faces are the exception that the protocol makes: its
crops go straight through the network, without detection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from restoration.card import ModelCard
from restoration.errors import OptionError, WeightsError
from restoration.evaluation import protocols
from restoration.evaluation.pairs import Pair, fitting_cards, folder_pairs, match_folders, protocol_pairs
from restoration.evaluation.protocols import Kernel, Picture
from restoration.evaluation.scores import Criterion, PictureScore, Score, mean_score
from restoration.images.document import ImageDocument
from restoration.tasks import TASKS

if TYPE_CHECKING:
    from restoration.inference.engine import Engine


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


OnPair = Callable[[Measured], None]
_Item = TypeVar("_Item")


def evaluate(
    task: str,
    data: Path,
    *,
    engine: Engine,
    model: str | None = None,
    scale: int | None = None,
    kernels: Path | None = None,
    limit: int | None = None,
    precision: str = "auto",
    on_pair: OnPair | None = None,
) -> list[Score]:
    """One score per model, by the task's protocol.

    Args:
        task: a task id.
        data: a folder of sharp pictures; they are counted in natural order.
        engine: runs the models.
        model: a family or card; None = every available model of the task.
        scale: only models of this enlargement; None = all.
        kernels: the `.npz` of blur kernels; needed for deblur.
        limit: only the first N pictures.
        precision: "auto", "fp32" or "fast".
        on_pair: is told of every restored pair.

    Raises:
        OptionError: an unknown task or model, a scale no model has, or deblur without kernels.
        DataError: the pictures or kernels cannot be used.
        WeightsError: no model of the task has weights.
    """
    blurs = needed_kernels(task, kernels)
    cards = choose_cards(engine, task, model, scale)
    return [
        measure(card, data, engine=engine, kernels=blurs, limit=limit, precision=precision, on_pair=on_pair)
        for card in cards
    ]


def evaluate_pairs(
    degraded: Path,
    sharp: Path,
    *,
    engine: Engine,
    task: str = "deblur",
    model: str | None = None,
    scale: int | None = None,
    channels: str | None = None,
    border: int | None = None,
    limit: int | None = None,
    precision: str = "auto",
    on_pair: OnPair | None = None,
) -> list[Score]:
    """One score per model on pairs that are there already, as published for GOPRO and REDS.

    Args:
        degraded: the folder of inputs; for enlarge `scale` times smaller than the truths (None: the first pair says).
        sharp: the folder of truths, with the same names, in sub-folders too; endings may differ.
        engine: runs the models.
        task, model, scale, precision, on_pair: as for `evaluate`.
        channels: "rgb" or "y"; None = y for enlarge, else rgb.
        border: pixels left out on every side; None = the scale for enlarge, else 0.
        limit: only the first N pairs.

    Raises:
        OptionError: an unknown task or model, a scale no model has, or channels or a border that cannot be.
        DataError: the folders do not match or cannot be used.
        WeightsError: no model of the task has weights.
    """
    cards, scores = choose_cards(engine, task, model, scale), []
    files = _limited(match_folders(degraded, sharp), limit)
    for card in fitting_cards(cards, files[0]):
        enlarging = card.task == "enlarge"
        criterion = Criterion(
            channels=channels or ("y" if enlarging else "rgb"),
            border=(card.scale if enlarging else 0) if border is None else border,
        )
        pairs = folder_pairs(card, files)
        restore = restorer(engine, card, precision)
        scores.append(_measured(card, pairs, len(files), criterion=criterion, restore=restore, on_pair=on_pair))
    return scores


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
    every: int = 1,
    precision: str = "auto",
    on_pair: OnPair | None = None,
) -> Score:
    """The mean scores of one card on a folder; the pictures are read, degraded and restored one at a time.

    Args:
        every: 1 = all pairs; n = pair 1, n + 1, 2 n + 1 and so on.

    Raises:
        OptionError: the limit is below 1.
        DataError: the pictures cannot be used.
    """
    paths = _limited(protocols.list_pictures(data), limit)
    pairs = islice(protocol_pairs(card, paths, kernels), None, None, every)
    total = -(-len(paths) * max(1, len(kernels)) // every)
    restore = restorer(engine, card, precision)
    return _measured(card, pairs, total, criterion=protocol_criterion(card), restore=restore, on_pair=on_pair)


def protocol_criterion(card: ModelCard) -> Criterion:
    """What the task's protocol compares: Y for enlarge, else RGB, without the protocol's border."""
    channels = "y" if card.task == "enlarge" else "rgb"
    return Criterion(channels=channels, border=protocols.BORDERS.get(card.task, card.scale))


def _limited(items: list[_Item], limit: int | None) -> list[_Item]:
    if limit is not None and limit < 1:
        raise OptionError(f"At least one picture is needed, not {limit}.")
    return items[:limit]


def _measured(
    card: ModelCard,
    pairs: Iterable[Pair],
    total: int,
    *,
    criterion: Criterion,
    restore: Callable[[Picture], Picture],
    on_pair: OnPair | None,
) -> Score:
    rows: list[PictureScore] = []
    for index, pair in enumerate(pairs):
        restored = restore(pair.degraded)
        psnr, ssim = criterion.compare(restored, pair.sharp)
        baseline_psnr, baseline_ssim = criterion.compare(pair.baseline, pair.sharp)
        row = PictureScore(
            name=pair.name, psnr=psnr, ssim=ssim, baseline_psnr=baseline_psnr, baseline_ssim=baseline_ssim
        )
        rows.append(row)
        if on_pair:
            numbers = {key: value for key, value in asdict(row).items() if key != "name"}
            on_pair(Measured(card=card, index=index, total=total, pair=pair, restored=restored, **numbers))
    return mean_score(card.name, card.task, card.scale, rows)


def restorer(engine: Engine, card: ModelCard, precision: str = "auto") -> Callable[[Picture], Picture]:
    """Runs one card over uint8 (H, W, 3) pictures, at full strength."""
    if card.task == "faces":
        return lambda picture: _through_square(engine, card, picture, precision)
    return lambda picture: protocols.eight_bits(
        engine.restore(
            ImageDocument(color=picture), card.name, task=card.task, scale=card.scale, precision=precision
        ).image
    )


def _through_square(engine: Engine, card: ModelCard, picture: Picture, precision: str) -> Picture:
    result = engine.run_square((picture / 255).astype(np.float32), card, precision)
    return np.clip(np.rint(np.asarray(result, np.float64) * 255), 0, 255).astype(np.uint8)
