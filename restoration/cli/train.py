"""`train`: makes weights from a recipe and a folder of photographs."""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path

from restoration.cli.engines import DEVICES, EngineMaker

_MOST_WORKERS = 8


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command to the parser."""
    parser = commands.add_parser(
        "train",
        help="train weights",
        description="Trains a model by a recipe. Ctrl+C stops after the step in progress; --resume goes on from there.",
    )
    parser.add_argument("recipe", metavar="RECIPE", help="its name; a wrong one lists those there are")
    parser.add_argument("--data", required=True, type=Path, metavar="DIR", help="holds train/, or pictures right in it")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=float, metavar="N", help="train this long in all, earlier parts included")
    length.add_argument("--steps", type=int, metavar="N", help="train this many steps in all, earlier parts included")
    beginning = parser.add_mutually_exclusive_group()
    beginning.add_argument("--resume", action="store_true", help="go on where the run folder's last checkpoint stands")
    beginning.add_argument(
        "--start", metavar="MODEL", help="begin a new training with the bundled weights of this model, where they fit"
    )
    parser.add_argument(
        "--learning-rate", type=float, metavar="N", help="at its highest, default the checkpoint's or the recipe's"
    )
    parser.add_argument("--stop-after", type=int, metavar="N", help="stop after N more steps, to be resumed later")
    parser.add_argument("--device", choices=DEVICES, default="auto", help="where to compute, default auto")
    parser.add_argument("--out", type=Path, metavar="DIR", help="run folder, default runs/RECIPE")
    parser.add_argument("--seed", type=int, metavar="N", help="of everything random, default the checkpoint's or 0")
    parser.add_argument(
        "--workers", type=int, metavar="N", help="processes that make pairs, default one less than cores"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace, make_engine: EngineMaker) -> int:
    """Trains and prints the path of the weights."""
    from restoration.training.loop import train
    from restoration.training.recipes import find_recipe
    from restoration.weights import WeightStore

    recipe = find_recipe(args.recipe)
    if args.start is not None:
        recipe = replace(recipe, warm_start=args.start, starts_from=None)
    path = train(
        recipe, args.data, args.out or Path("runs") / recipe.name, store=WeightStore(), minutes=args.minutes,
        steps=args.steps, resume=args.resume, device=args.device, seed=args.seed, stop_after=args.stop_after,
        workers=spare_cores() if args.workers is None else args.workers, learning_rate=args.learning_rate,
    )  # fmt: skip
    if os.environ.get("RANK", "0") == "0":  # of several processes that a launcher started, one speaks
        print(path)
    return 0


def spare_cores() -> int:
    """The cores this process may use, less one for the training itself: 1 to 8."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(max(1, cores - 1), _MOST_WORKERS)
