"""`quantize`: makes a model's fast precision (int8), measures what it loses, and keeps it if that is next to none."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from restoration.cli.engines import PATIENT_SECONDS, EngineMaker
from restoration.cli.evaluate import progress_bar
from restoration.errors import DataError, OptionError

if TYPE_CHECKING:
    from restoration.card import ModelCard
    from restoration.evaluation.protocols import Picture
    from restoration.evaluation.quantization import Quantized

_SMALL_SIDE, _SIDE, _BLURRED_AWAY = 72, 256, 32  # pixels of a calibration picture; enlarge takes the small ones


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command to the parser."""
    parser = commands.add_parser(
        "quantize",
        help="make a model's fast precision (for developers)",
        description="Quantizes a model to int8 on training photographs, measures the loss on the held-out pictures, "
        "and writes the result beside the weights when it is under 0.1 dB. Needs NNCF (requirements-dev.txt).",
    )
    parser.add_argument("model", metavar="MODEL", help="a model card with bundled weights (see the command models)")
    parser.add_argument("--data", required=True, type=Path, metavar="DIR", help="holds train/, eval/ and kernels/")
    parser.add_argument("--weights", type=Path, metavar="DIR", help="folder of the weights, default the bundled ones")
    parser.add_argument("--pictures", type=int, default=48, metavar="N", help="to calibrate on, default 48")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace, make_engine: EngineMaker) -> int:
    """Prints what was measured.

    Returns: 0 when the graph was written, else 1.

    Raises:
        RestorationError: the model, the data or what is installed stands against it.
    """
    from restoration.evaluation.quantization import quantize
    from restoration.registry import MODELS
    from restoration.weights import WeightStore

    if args.pictures < 1:
        raise OptionError(f"At least one picture is needed, not {args.pictures}.")
    card, folder = MODELS[args.model], args.data / "train"
    source = folder / ("faces" if card.task == "faces" else "general")
    pictures = calibration_pictures(card, source, args.pictures)
    with progress_bar() as show:
        outcome = quantize(
            card, args.data, pictures, calibrated_on=f"train/{source.name}: {len(pictures)} pictures",
            make_engine=lambda store: make_engine("cpu", store, call_seconds=PATIENT_SECONDS),
            store=WeightStore(args.weights) if args.weights else WeightStore(), on_pair=show,
        )  # fmt: skip
    print(describe(outcome))
    return int(not outcome.adopted)


def calibration_pictures(card: ModelCard, folder: Path, count: int) -> list[Picture]:
    """Pictures evenly picked from a folder, their busiest squares, degraded as for training; the same at every call.

    Raises:
        DataError: the folder holds no pictures that can be used.
    """
    import numpy as np

    from restoration.evaluation.protocols import list_pictures, read_sharp
    from restoration.inference.observing import observed_window
    from restoration.training.degradations import reduce_bicubic
    from restoration.training.folders import PAIR_MAKERS

    paths = list_pictures(folder)
    chosen = [paths[number] for number in np.linspace(0, len(paths) - 1, min(count, len(paths))).round().astype(int)]
    side = _SMALL_SIDE * card.scale if card.task == "enlarge" else card.size.fixed or _SIDE + _BLURRED_AWAY
    pictures = []
    for index, path in enumerate(chosen):
        whole = read_sharp(path)
        if min(whole.shape[:2]) < side:
            continue
        square = np.ascontiguousarray(whole[observed_window(whole, side).slices()])
        if card.task == "enlarge":
            pictures.append(reduce_bicubic(square, card.scale))
        else:
            pictures.append(PAIR_MAKERS[card.task](np.random.default_rng([0, index]), square)[0])
    if not pictures:
        raise DataError(f"The folder {folder} holds no picture of at least {side} x {side} pixels.")
    return pictures


def describe(outcome: Quantized) -> str:
    """The outcome in words, with all scores."""
    facts = outcome.facts
    state = "written" if outcome.adopted else f"not written: {outcome.reason}"
    lines = [f"{outcome.model}: {state}", f"  {facts['speedup']:.2f} times as fast, {facts['bytes'] / 1e6:.1f} MB"]
    lines += [
        f"  {row['set']}: {row['psnr']:.2f} dB, the usual precision {row['usual_psnr']:.2f} dB: "
        f"{-row['loss_db']:+.3f} dB"
        for row in facts["scores"]
    ]
    return "\n".join(lines)
