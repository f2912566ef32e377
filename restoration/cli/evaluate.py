"""`evaluate`: scores by the protocols or on pairs of folders, ours beside the baseline."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from restoration.cli.engines import DEVICES, PATIENT_SECONDS, EngineMaker
from restoration.errors import OptionError
from restoration.inference.fast import PRECISIONS
from restoration.tasks import TASKS

if TYPE_CHECKING:
    from restoration.evaluation.evaluate import Measured
    from restoration.evaluation.scores import Score
    from restoration.inference.engine import Engine

_CHANNELS = ("rgb", "y")


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command to the parser."""
    parser = commands.add_parser(
        "evaluate",
        help="measure models on pictures",
        description="Degrades sharp pictures by the task's protocol, or takes pairs that are there, restores them, and "
        "prints the scores beside those of the baseline.",
    )
    parser.add_argument("--task", choices=tuple(TASKS), help="what to measure; deblur if it is left out with --pairs")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--data", type=Path, metavar="DIR", help="folder of sharp pictures, degraded by the protocol")
    source.add_argument(
        "--pairs", type=Path, nargs=2, metavar=("BLUR", "SHARP"),
        help="two folders of pictures with equal names, sub-folders included, such as GOPRO's or REDS's",
    )  # fmt: skip
    parser.add_argument("--scale", type=int, metavar="N", help="only this enlargement, default all available")
    parser.add_argument(
        "--kernels", type=Path, metavar="FILE", help=".npz of blur kernels, needed for deblur by --data"
    )
    parser.add_argument("--model", metavar="M", help="a model or family, default every available one of the task")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N pictures, in natural order")
    parser.add_argument("--channels", choices=_CHANNELS, help="compared in --pairs, default y for enlarge, else rgb")
    parser.add_argument(
        "--border", type=int, metavar="N", help="pixels left out in --pairs, default the scale for enlarge, else 0"
    )
    parser.add_argument("--per-picture", action="store_true", help="also the scores of every picture")
    parser.add_argument("--sheet", type=Path, metavar="FILE", help="write a contact sheet (.png or .jpg) to look at")
    parser.add_argument("--precision", choices=PRECISIONS, default="auto", help="as for the command restore")
    parser.add_argument("--device", choices=DEVICES, default="auto", help="where to compute, default auto")
    parser.add_argument("--json", action="store_true", help="print a JSON list of scores")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace, make_engine: EngineMaker) -> int:
    """Prints Markdown tables, or the JSON list, of one score per model.

    Raises:
        OptionError: the options contradict each other or name something that does not exist.
        DataError: the pictures cannot be used.
        WeightsError: no model of the task has weights.
    """
    from restoration.evaluation.scores import markdown
    from restoration.evaluation.sheet import Sheet

    _check(args)
    sheet = Sheet(args.sheet) if args.sheet else None
    with progress_bar() as show:

        def on_pair(measured: Measured) -> None:
            show(measured)
            if sheet:
                sheet.add(measured)

        scores = _scores(args, make_engine(args.device, call_seconds=PATIENT_SECONDS), on_pair)
    if sheet:
        print(f"restoration: contact sheet in {sheet.write()}", file=sys.stderr)
    if args.json:
        print(json.dumps([score.as_json(per_picture=args.per_picture) for score in scores], indent=2))
    else:
        print(markdown(scores, per_picture=args.per_picture))
    return 0


def _check(args: argparse.Namespace) -> None:
    """Refuses options that belong to the other source of pictures."""
    if args.pairs:
        if args.kernels:
            raise OptionError("--kernels blurs the pictures of --data; --pairs are blurred already.")
    elif not args.task:
        raise OptionError("Name what to measure with --task.")
    elif args.channels or args.border is not None:
        raise OptionError("The protocols fix what --data compares; --channels and --border are for --pairs.")


def _scores(args: argparse.Namespace, engine: Engine, on_pair: Callable[[Measured], None]) -> list[Score]:
    from restoration.evaluation.evaluate import evaluate, evaluate_pairs

    if not args.pairs:
        return evaluate(
            args.task, args.data, engine=engine, model=args.model, scale=args.scale, kernels=args.kernels,
            limit=args.limit, precision=args.precision, on_pair=on_pair,
        )  # fmt: skip
    return evaluate_pairs(
        *args.pairs, engine=engine, task=args.task or "deblur", model=args.model, scale=args.scale,
        channels=args.channels, border=args.border, limit=args.limit, precision=args.precision, on_pair=on_pair,
    )  # fmt: skip


@contextmanager
def progress_bar() -> Iterator[Callable[[Measured], None]]:
    """A bar on stderr, only when that is a terminal: yields what is to be told of every measured pair."""
    from tqdm import tqdm

    with tqdm(disable=None, leave=False, file=sys.stderr, unit="picture") as bar:

        def show(measured: Measured) -> None:
            if measured.index == 0:
                bar.reset(total=measured.total)
                bar.set_description(measured.card.name)
            bar.update()

        yield show
