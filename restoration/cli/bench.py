"""`bench`: how fast the models are on this machine, and how near to what it could do at most.

The measurements stand in `benchmarks/`, beside the package: they are no part of an installation.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from restoration.cli.engines import EngineMaker
from restoration.errors import DataError, OptionError

Say = Callable[[str], None]


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command to the parser."""
    parser = commands.add_parser(
        "bench",
        help="measure speed and memory",
        description="Measures the models on this machine and writes a dated result. Needs the repository.",
    )
    parser.add_argument(
        "--peers", action="store_true", help="race the reference implementations too, and run all trials"
    )
    parser.add_argument("--models", nargs="+", metavar="M", help="only these, default every available one")
    parser.add_argument("--sizes", nargs="+", metavar="WxH", help="default 256x256 1280x720 4000x3000")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="only what these goals need, for example page-720p")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument(
        "--table",
        action="store_true",
        help="measure seconds a 1280x720 picture in each precision on the CPU and the GPU at hand; print Markdown",
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="default benchmarks/results")
    parser.add_argument(
        "--check",
        action="store_true",
        help="write nothing; exit code 1 when ratios to the peers or memory are worse than in the newest result, or "
        "than what is to be reached",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace, make_engine: EngineMaker) -> int:
    """Measures, prints and writes, or compares.

    Raises:
        OptionError: a model, size or goal is none, or the benchmarks are not here.
        DataError: a full run was wanted and something is missing. With --check: there is no result to compare with,
            something got worse, or could not be compared.
    """
    _require_benchmarks()
    from benchmarks import suite
    from restoration.inference.backends.backend import backend_from_environment, choose_backend

    backend = choose_backend(backend_from_environment(os.environ))
    say = partial(print, file=sys.stderr if args.json or args.table else sys.stdout, flush=True)
    folder = args.out or suite.RESULTS
    if args.table:
        return _precisions(args, backend, folder, say)
    before = suite.newest(folder) if args.check else None
    if args.check and before is None:
        raise DataError("There is no result to compare with: run 'make bench' first.")
    result = suite.run(_plan(args), backend=backend, say=say)
    if args.json:
        print(suite.as_json(result))
    if before is not None:
        return _check(result, before, args)
    say(str(suite.write(result, folder)))
    if args.peers and not (args.models or args.sizes or args.only) and suite.lacking(result):
        raise DataError(f"This run is partial. Not measured: {'; '.join(suite.lacking(result))}.")
    return 0


def newest_table() -> str:
    """The Markdown table of the newest result.

    Raises:
        OptionError: the benchmarks are not here.
        DataError: the result cannot be read.
    """
    _require_benchmarks()
    from benchmarks import suite
    from benchmarks.table import speed_table

    return speed_table(suite.newest())


def _plan(args: argparse.Namespace) -> Any:
    """What the options ask for: everything, what some goals need, or some models and sizes without the trials."""
    from benchmarks import plan
    from benchmarks.subjects import parse_size, subjects

    cards = subjects(args.models)
    if args.only:
        return plan.only(args.only, cards)
    sizes = tuple(map(parse_size, args.sizes)) if args.sizes else None
    if args.check:
        chosen = plan.Plan(races=plan.races(cards, sizes)) if sizes else plan.check(cards)
    elif args.models or sizes or not args.peers:
        chosen = plan.Plan(races=plan.races(cards, sizes or plan.SIZES))
    else:
        chosen = plan.full(cards)
    return chosen if args.peers or args.check else plan.without_peers(chosen)


def _check(result: dict[str, Any], before: dict[str, Any], args: argparse.Namespace) -> int:
    """Compares with an older result and with what is to be reached.

    Raises:
        DataError: as `run`.
    """
    from benchmarks import suite
    from benchmarks.goals import below
    from benchmarks.regressions import regressions, uncompared

    limited = args.models or args.only or args.sizes
    models = sorted({row["model"] for row in result["rows"]}) if args.only else args.models
    worse = [*regressions(result, before), *uncompared(result, before, models, trials=not limited), *below(result)]
    if not limited and (lacking := suite.lacking(before)):
        worse.append(f"The result of {before['date']} is partial ({lacking[0]} is missing): run 'make bench'.")
    if worse:
        raise DataError(" ".join(worse))
    return 0


def _precisions(args: argparse.Namespace, backend: str, folder: Path, say: Say) -> int:
    from benchmarks import precisions, suite
    from benchmarks.subjects import subjects

    result = precisions.measure(subjects(args.models), backend=backend, say=say)
    print(suite.as_json(result) if args.json else precisions.table(result))
    if not args.models or args.out:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"precisions-{result['date']}.json"
        path.write_text(suite.as_json(result) + "\n", encoding="utf-8")
        say(str(path))
    return 0


def _require_benchmarks() -> None:
    try:
        import benchmarks  # noqa: F401
    except ModuleNotFoundError as error:
        if error.name != "benchmarks":
            raise
        raise OptionError("The benchmarks are in the repository, not in the package: run this there.") from error
