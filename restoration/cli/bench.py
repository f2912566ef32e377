"""`bench`: how fast the models are on this machine, and how near to what it could do at most.

The measurements stand in `benchmarks/`, beside the package: they are no part of an installation.
"""

from __future__ import annotations

import argparse
import os
import sys
from functools import partial
from pathlib import Path
from types import ModuleType

from restoration.cli.engines import EngineMaker
from restoration.errors import DataError, OptionError


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command to the parser."""
    parser = commands.add_parser(
        "bench",
        help="measure speed and memory",
        description="Measures the models on this machine's CPU and writes a dated result. Needs the repository.",
    )
    parser.add_argument("--peers", action="store_true", help="race the reference implementations too")
    parser.add_argument("--models", nargs="+", metavar="M", help="only these, default every available one")
    parser.add_argument("--sizes", nargs="+", metavar="WxH", help="default 256x256 1280x720 4000x3000")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--table", action="store_true", help="print the result as a Markdown table")
    parser.add_argument("--out", type=Path, metavar="DIR", help="default benchmarks/results")
    parser.add_argument(
        "--check",
        action="store_true",
        help="write nothing; exit code 1 when ratios to the peers or memory are worse than in the newest result",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace, make_engine: EngineMaker) -> int:
    """Measures, prints and writes, or compares.

    Raises:
        OptionError: a model or size is none, or the benchmarks are not here.
        DataError: with --check: there is no result to compare with, something got worse, or could not be compared.
    """
    suite = _suite()
    from benchmarks.subjects import parse_size, subjects
    from benchmarks.table import speed_table
    from restoration.inference.backends.backend import backend_from_environment, choose_backend

    backend = choose_backend(backend_from_environment(os.environ))
    folder = args.out or suite.RESULTS
    before = suite.newest(folder) if args.check else None
    if args.check and before is None:
        raise DataError("There is no result to compare with: run 'python -m restoration bench --peers' first.")
    sizes = tuple(map(parse_size, args.sizes)) if args.sizes else (suite.CHECK_SIZES if args.check else suite.SIZES)
    quiet = args.json or args.table
    say = partial(print, file=sys.stderr if quiet else sys.stdout, flush=True)
    result = suite.run(subjects(args.models), sizes, peers=args.peers or args.check, backend=backend, say=say)
    if args.json:
        print(suite.as_json(result))
    if args.table:
        print(speed_table(result))
    if before is None:
        say(str(suite.write(result, folder)))
        return 0
    worse = [*suite.regressions(result, before), *suite.uncompared(result, before, args.models)]
    if worse:
        raise DataError(" ".join(worse))
    return 0


def newest_table() -> str:
    """The Markdown table of the newest result.

    Raises:
        OptionError: the benchmarks are not here.
        DataError: the result cannot be read.
    """
    suite = _suite()
    from benchmarks.table import speed_table

    return speed_table(suite.newest())


def _suite() -> ModuleType:
    try:
        from benchmarks import suite
    except ModuleNotFoundError as error:
        if error.name != "benchmarks":
            raise
        raise OptionError("The benchmarks are in the repository, not in the package: run this there.") from error
    return suite
