"""`evaluate`: scores by the protocols, ours beside the baseline."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from restoration.cli.engines import DEVICES, PATIENT_SECONDS, EngineMaker
from restoration.tasks import TASKS

if TYPE_CHECKING:
    from restoration.evaluation.evaluate import Measured


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command to the parser."""
    parser = commands.add_parser(
        "evaluate",
        help="measure models on sharp pictures",
        description="Degrades sharp pictures by the task's protocol, restores them, and prints the scores beside "
        "those of the baseline.",
    )
    parser.add_argument("--task", required=True, choices=tuple(TASKS), help="what to measure")
    parser.add_argument("--data", required=True, type=Path, metavar="DIR", help="folder of sharp pictures")
    parser.add_argument("--scale", type=int, metavar="N", help="only this enlargement, default all available")
    parser.add_argument("--kernels", type=Path, metavar="FILE", help=".npz of blur kernels, needed for deblur")
    parser.add_argument("--model", metavar="M", help="a model or family, default every available one of the task")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N pictures, in natural order")
    parser.add_argument("--sheet", type=Path, metavar="FILE", help="write a contact sheet (.png or .jpg) to look at")
    parser.add_argument("--device", choices=DEVICES, default="auto", help="where to compute, default auto")
    parser.add_argument("--json", action="store_true", help="print a JSON list of scores")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace, make_engine: EngineMaker) -> int:
    """Prints a Markdown table, or the JSON list, of one score per model."""
    from restoration.evaluation.evaluate import evaluate, markdown
    from restoration.evaluation.sheet import Sheet

    sheet = Sheet(args.sheet) if args.sheet else None
    with progress_bar() as show:

        def on_pair(measured: Measured) -> None:
            show(measured)
            if sheet:
                sheet.add(measured)

        engine = make_engine(args.device, call_seconds=PATIENT_SECONDS)
        scores = evaluate(
            args.task, args.data, engine=engine, model=args.model, scale=args.scale, kernels=args.kernels,
            limit=args.limit, on_pair=on_pair,
        )  # fmt: skip
    if sheet:
        print(f"restoration: contact sheet in {sheet.write()}", file=sys.stderr)
    print(json.dumps([score.as_json() for score in scores], indent=2) if args.json else markdown(scores))
    return 0


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
