"""`certify`: measures trained weights and adopts them when they are better than what is there."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from restoration.cli.engines import DEVICES, PATIENT_SECONDS, EngineMaker
from restoration.cli.evaluate import progress_bar

if TYPE_CHECKING:
    from restoration.evaluation.certify import Verdict


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command to the parser."""
    parser = commands.add_parser(
        "certify",
        help="measure trained weights and adopt them if better",
        description="Measures the weights of a training run on the held-out pictures, and copies them with a birth "
        "certificate into the weights folder when nothing is there or they are better.",
    )
    parser.add_argument("folder", type=Path, metavar="RUN_FOLDER", help="a folder written by the command train")
    parser.add_argument("--data", required=True, type=Path, metavar="DIR", help="holds train/, eval/ and kernels/")
    parser.add_argument("--weights", type=Path, metavar="DIR", help="folder to adopt into, default the bundled weights")
    parser.add_argument("--device", choices=DEVICES, default="auto", help="where to compute, default auto")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace, make_engine: EngineMaker) -> int:
    """Prints the verdict; 0 whether the weights were adopted or not."""
    from restoration.evaluation.certify import certify, read_facts

    facts = read_facts(args.folder)  # before torch is imported: a wrong folder is said at once

    from restoration.registry import MODELS
    from restoration.training.recipes import find_recipe
    from restoration.weights import WeightStore

    recipe = find_recipe(facts["recipe"])
    with progress_bar() as show:
        verdict = certify(
            args.folder, args.data, MODELS[recipe.model], facts=facts, folder=recipe.folder,
            make_engine=lambda store: make_engine(args.device, store, call_seconds=PATIENT_SECONDS),
            store=WeightStore(args.weights) if args.weights else None, on_pair=show,
        )  # fmt: skip
    print(describe(verdict))
    return 0


def describe(verdict: Verdict) -> str:
    """The verdict in words, with all scores."""
    outcome = "adopted" if verdict.adopted else f"not adopted: the weights there have {verdict.previous:.2f} dB"
    lines = [f"{verdict.model}: {outcome}"]
    for score in verdict.certificate["scores"]:
        lines.append(
            f"  {score['set']}: {score['psnr']:.2f} dB / {score['ssim']:.4f}, "
            f"{score['baseline']} {score['baseline_psnr']:.2f} dB / {score['baseline_ssim']:.4f}"
        )
    return "\n".join(lines)
