"""`train`: makes weights from a recipe and a folder of photographs."""

from __future__ import annotations

import argparse
from pathlib import Path

from restoration.cli.engines import DEVICES, EngineMaker


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command to the parser."""
    parser = commands.add_parser("train", help="train weights", description="Trains a model by a recipe.")
    parser.add_argument("recipe", metavar="RECIPE", help="its name; a wrong one lists those there are")
    parser.add_argument("--data", required=True, type=Path, metavar="DIR", help="folder that holds train/")
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument("--minutes", type=float, metavar="N", help="train this long in all, earlier parts included")
    length.add_argument("--steps", type=int, metavar="N", help="train this many steps in all, earlier parts included")
    parser.add_argument("--resume", action="store_true", help="go on where the run folder's last checkpoint stands")
    parser.add_argument("--device", choices=DEVICES, default="auto", help="where to compute, default auto")
    parser.add_argument("--out", type=Path, metavar="DIR", help="run folder, default runs/RECIPE")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of everything random, default 0")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace, make_engine: EngineMaker) -> int:
    """Trains and prints the path of the weights."""
    from restoration.training.loop import train
    from restoration.training.recipes import find_recipe
    from restoration.weights import WeightStore

    recipe = find_recipe(args.recipe)
    path = train(
        recipe, args.data, args.out or Path("runs") / recipe.name, store=WeightStore(), minutes=args.minutes,
        steps=args.steps, resume=args.resume, device=args.device, seed=args.seed,
    )  # fmt: skip
    print(path)
    return 0
