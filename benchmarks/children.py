"""Measurements in a process of their own: a module of this folder is run, and prints a JSON value a line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


class ChildFailed(Exception):
    """The process ended with an error or did not end; the message says why, without a full stop.

    values: what it printed before.
    """

    def __init__(self, reason: str, values: list[Any]) -> None:
        super().__init__(reason)
        self.values = values


def run(module: str, *words: object, seconds: float) -> list[Any]:
    """Runs `benchmarks.MODULE` with some words; returns what it printed.

    Raises:
        ChildFailed: it ended with an error, or not within so many seconds.
    """
    command = [sys.executable, "-m", f"benchmarks.{module}", *map(str, words)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        printed, said = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        printed, _ = process.communicate()
        raise ChildFailed(f"it took more than {seconds:.0f} seconds", _values(printed)) from None
    if process.returncode:
        last = (said.strip().splitlines() or [f"it ended with code {process.returncode}"])[-1]
        raise ChildFailed(last.rstrip("."), _values(printed))
    return _values(printed)


def _values(printed: str) -> list[Any]:
    """The lines that are JSON; libraries print others."""
    found = []
    for line in printed.splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found
