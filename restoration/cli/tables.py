"""`tables`: writes the generated parts of a Markdown document, or checks that they are what they should be.

The command help is set by hand, not by argparse, whose layout changes from one Python to the next.
"""

from __future__ import annotations

import argparse
import textwrap
from pathlib import Path

from restoration.cli.bench import newest_table
from restoration.cli.engines import EngineMaker
from restoration.errors import DataError

_WIDTH = 100
_COLUMN = 40
_UNBROKEN = "\N{NO-BREAK SPACE}"


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command to the parser."""
    parser = commands.add_parser(
        "tables",
        help="regenerate the tables of the README",
        description="Rewrites what stands between <!-- models:start --> and <!-- models:end -->, and for cli, speed.",
    )
    parser.add_argument(
        "document", nargs="?", type=Path, default=Path("README.md"), metavar="FILE", help="default README.md"
    )
    parser.add_argument("--check", action="store_true", help="change nothing; exit code 1 when something is stale")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace, make_engine: EngineMaker) -> int:
    """Rewrites or checks the document.

    Raises:
        DataError: the document cannot be read, lacks a marker, or (with --check) is stale.
    """
    from restoration.evaluation.tables import model_table, replace_block

    try:
        text = args.document.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"The document {args.document} cannot be read.") from error
    fresh = replace_block(text, "models", model_table())
    fresh = replace_block(fresh, "cli", f"```\n{command_help(args.root)}\n```")
    fresh = replace_block(fresh, "speed", newest_table())
    if args.check and fresh != text:
        raise DataError(f"{args.document} is stale: run 'python -m restoration tables {args.document}'.")
    if fresh != text:
        args.document.write_text(fresh, encoding="utf-8")
    return 0


def command_help(root: argparse.ArgumentParser) -> str:
    """Every command with its usage line and options, as plain text."""
    return "\n\n".join(_describe(parser) for parser in _commands(root))


def _commands(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    """The parsers that run something, in order: those of the actions where a command has actions."""
    inner = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return [one for action in inner for child in action.choices.values() for one in _commands(child)] or [parser]


def _describe(parser: argparse.ArgumentParser) -> str:
    actions = [action for action in parser._actions if not isinstance(action, argparse._HelpAction)]
    usage, seen = [parser.prog], set()
    for action in actions:
        if id(action) in seen:
            continue
        group = next((one for one in parser._mutually_exclusive_groups if action in one._group_actions), None)
        members = group._group_actions if group else [action]
        seen |= {id(member) for member in members}
        words = " | ".join(_usage(member) for member in members)
        required = group.required if group else action.required
        usage.append((f"({words})" if group else words) if required else f"[{words}]")
    joined = " ".join(word.replace(" ", _UNBROKEN) for word in usage)
    lines = textwrap.wrap(joined, _WIDTH, subsequent_indent="    ", break_on_hyphens=False)
    return "\n".join([line.replace(_UNBROKEN, " ") for line in lines] + [_option(action) for action in actions])


def _option(action: argparse.Action) -> str:
    """The name and, in the second column, the help; a long name has a line of its own."""
    name = ", ".join(action.option_strings) + ("" if action.nargs == 0 else f" {_value(action)}")
    help_lines = textwrap.wrap(action.help or "", _WIDTH - _COLUMN)
    first = f"  {name.strip()}"
    if len(first) < _COLUMN and help_lines:
        first = f"{first:{_COLUMN}}{help_lines.pop(0)}"
    return "\n".join([first, *(" " * _COLUMN + line for line in help_lines)])


def _usage(action: argparse.Action) -> str:
    words = [*action.option_strings[:1], *([] if action.nargs == 0 else [_value(action)])]
    return " ".join(words) + ("..." if action.nargs == "+" else "")


def _value(action: argparse.Action) -> str:
    if isinstance(action.metavar, tuple):
        return " ".join(action.metavar)
    return "|".join(map(str, action.choices)) if action.choices else str(action.metavar or action.dest)
