"""`tables`: writes the generated parts of a Markdown document, or checks that they are what they should be.

The command help is set by hand, not by argparse, whose layout changes from one Python to the next.
"""

from __future__ import annotations

import argparse
import textwrap
from pathlib import Path

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
        description="Rewrites what stands between <!-- models:start --> and <!-- models:end -->, and likewise for cli.",
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
    if args.check and fresh != text:
        raise DataError(f"{args.document} is stale: run 'python -m restoration tables {args.document}'.")
    if fresh != text:
        args.document.write_text(fresh, encoding="utf-8")
    return 0


def command_help(root: argparse.ArgumentParser) -> str:
    """Every command with its usage line and options, as plain text."""
    parts = []
    for action in root._actions:
        if isinstance(action, argparse._SubParsersAction):
            parts += [_describe(parser) for parser in action.choices.values()]
    return "\n\n".join(parts)


def _describe(parser: argparse.ArgumentParser) -> str:
    actions = [action for action in parser._actions if not isinstance(action, argparse._HelpAction)]
    exclusive = [group._group_actions for group in parser._mutually_exclusive_groups]
    usage, seen = [parser.prog], set()
    for action in actions:
        if id(action) in seen:
            continue
        group = next((group for group in exclusive if action in group), [action])
        seen |= {id(member) for member in group}
        required = action.required or any(action in members for members in exclusive)
        words = " | ".join(_usage(member) for member in group)
        usage.append((f"({words})" if len(group) > 1 else words) if required else f"[{words}]")
    joined = " ".join(word.replace(" ", _UNBROKEN) for word in usage)
    lines = textwrap.wrap(joined, _WIDTH, subsequent_indent="    ", break_on_hyphens=False)
    lines = [line.replace(_UNBROKEN, " ") for line in lines]
    for action in actions:
        name = ", ".join(action.option_strings) + ("" if action.nargs == 0 else f" {_value(action)}")
        first, *others = textwrap.wrap(action.help or "", _WIDTH - _COLUMN)
        lines += [f"  {name.strip():{_COLUMN - 2}}{first}", *(" " * _COLUMN + line for line in others)]
    return "\n".join(lines)


def _usage(action: argparse.Action) -> str:
    words = [*action.option_strings[:1], *([] if action.nargs == 0 else [_value(action)])]
    return " ".join(words) + ("..." if action.nargs == "+" else "")


def _value(action: argparse.Action) -> str:
    return "|".join(map(str, action.choices)) if action.choices else str(action.metavar or action.dest)
