"""The parser of all commands, and what exit codes mean.

0    all done
1    something failed, said in one line on stderr
2    the command line asks for something that cannot be
130  stopped by Ctrl+C
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from restoration.cli import bench, certify, data, evaluate, models, quantize, restore, tables, train
from restoration.cli.engines import EngineMaker, default_engine
from restoration.errors import OptionError, RestorationError


def build_parser() -> argparse.ArgumentParser:
    """The parser; every command sets `run`, and `root` is the parser itself."""
    parser = argparse.ArgumentParser(
        prog="python -m restoration",
        description="Deblur, enhance, enlarge and restore the faces of photographs.",
        epilog="Exit codes: 0 all done, 1 something failed, 2 wrong usage, 130 stopped by Ctrl+C.",
    )
    parser.set_defaults(root=parser)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for module in (restore, models, evaluate, data, train, certify, quantize, bench, tables):
        module.add(commands)
    return parser


def main(argv: Sequence[str] | None = None, *, make_engine: EngineMaker = default_engine) -> int:
    """Runs one command and returns its exit code.

    Args:
        argv: the words after the program's name; None takes the process's own.
        make_engine: called only by commands that run a network.

    Raises:
        SystemExit: argparse's own, for --help (0) and unreadable options (2).
    """
    args = build_parser().parse_args(argv)
    try:
        return args.run(args, make_engine)
    except RestorationError as error:
        print(f"restoration: {error}", file=sys.stderr)
        return 2 if isinstance(error, OptionError) else 1
    except KeyboardInterrupt:
        print("restoration: stopped.", file=sys.stderr)
        return 130
