"""`data`: photographs made ready for training, reduced or degraded."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from restoration.cli.engines import EngineMaker
from restoration.errors import DataError

_RECIPES = ("enhance", "deblur", "lens-blur", "faces")


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command and its two actions to the parser."""
    parser = commands.add_parser("data", help="prepare training data", description="Prepares folders of photographs.")
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    resize = _action(actions, "resize", "write every picture of a folder, large ones reduced")
    resize.add_argument("--side", type=int, required=True, metavar="N", help="pixels of the longer side at most")
    workers = os.cpu_count() or 1
    resize.add_argument("--workers", type=int, metavar="N", default=workers, help="pictures at once, default: the CPUs")
    resize.set_defaults(run=run_resize)
    degrade = _action(actions, "degrade", "write degraded/NAME.png, sharp/NAME.png and split.csv (fnames, is_val)")
    degrade.add_argument("--recipe", required=True, choices=_RECIPES, help="what goes wrong with the pictures")
    degrade.add_argument("--seed", type=int, default=0, metavar="N", help="of everything random, default 0")
    degrade.add_argument("--count", type=int, metavar="N", help="pairs in all, default one for each picture")
    degrade.add_argument(
        "--validation", type=float, default=0.1, metavar="PART", help="part of the pictures for validation, default 0.1"
    )
    degrade.set_defaults(run=run_degrade)


def _action(
    actions: argparse._SubParsersAction[argparse.ArgumentParser], name: str, sentence: str
) -> argparse.ArgumentParser:
    parser = actions.add_parser(name, help=sentence, description=f"{sentence[0].upper()}{sentence[1:]}.")
    parser.add_argument("source", type=Path, metavar="IN", help="folder of photographs")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder for the results, not IN itself")
    return parser


def run_resize(args: argparse.Namespace, make_engine: EngineMaker) -> int:
    """Writes the reduced pictures and says how many; one line per file that cannot be read.

    Returns: 0, or 1 when a file failed.

    Raises:
        DataError: there is no folder IN with pictures.
        OptionError: a number or a folder that cannot be.
    """
    from restoration.training.folders import resize_folder

    paths = _pictures(args.source)
    with _progress(len(paths)) as tell:
        outcome = resize_folder(paths, args.out, side=args.side, workers=args.workers, tell=tell)
    print(f"{args.out}: {_counted(outcome.written, 'picture')}")
    return int(outcome.failed > 0)


def run_degrade(args: argparse.Namespace, make_engine: EngineMaker) -> int:
    """Writes the pairs and the split and says how many; one line per file that cannot be used.

    Returns: 0, or 1 when a file failed.

    Raises:
        DataError: there is no folder IN with pictures, or none could be used.
        OptionError: a number or a folder that cannot be.
    """
    from restoration.training.folders import degrade_folder

    paths = _pictures(args.source)
    with _progress(len(paths)) as tell:
        outcome = degrade_folder(
            paths, args.out, recipe=args.recipe, tell=tell, seed=args.seed, count=args.count,
            validation=args.validation,
        )  # fmt: skip
    pairs = f"{_counted(outcome.written, 'pair')} in degraded and sharp"
    print(f"{args.out}: {pairs}, {outcome.validation} for validation (split.csv)")
    return int(outcome.failed > 0)


def _pictures(folder: Path) -> list[Path]:
    """The pictures directly in the folder, in natural order."""
    from restoration.cli.outputs import find_sources

    if not folder.is_dir():
        raise DataError(f"There is no folder {folder} with pictures.")
    sources = find_sources([folder])
    if sources[0].problem:
        raise DataError(f"The folder {folder} holds no picture.")
    return [source.path for source in sources]


@contextmanager
def _progress(total: int) -> Iterator[Callable[[Path, str], None]]:
    """A bar on stderr, only when that is a terminal: yields what is to be told of every file."""
    from tqdm import tqdm

    with tqdm(disable=None, leave=False, file=sys.stderr, unit="picture", total=total) as bar:

        def tell(path: Path, problem: str) -> None:
            if problem:
                bar.write(f"restoration: {path}: {problem}", file=sys.stderr)
            bar.update()

        yield tell


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
