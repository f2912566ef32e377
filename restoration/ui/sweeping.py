"""The folder of uploads and results, kept small: what is old goes, and the oldest when there is too much.

It goes by the files alone, not by what this process remembers, so that what a killed process left behind goes too.
"""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from restoration.images.writing import PART, locked

LOG = logging.getLogger(__name__)
YOUNGEST_SECONDS = 120.0
"""What is younger is in use: it stays even where there is too much."""

_JUST_CLOSED_SECONDS = 2.0  # between the end of writing and the file's own name


@dataclass(frozen=True, slots=True)
class _Entry:
    path: Path
    age: float
    size: int


class Sweeper:
    """Deletes photos and results, but not the files the page itself is made of.

    Args:
        folder: of uploads and results, each in a folder of its own.
        keep_seconds: how long they stay.
        megabytes: how much they may take together.
        kept: files inside that belong to the page; they are put back when somebody else deleted them.
    """

    def __init__(self, folder: Path, *, keep_seconds: float, megabytes: float, kept: Iterable[Path] = ()) -> None:
        self.folder = folder
        self._keep_seconds, self._bytes = keep_seconds, int(megabytes * 1e6)
        self._kept = {path: path.read_bytes() for path in kept if path.is_file()}

    def sweep(self, now: float | None = None) -> int:
        """One round; returns how many entries went.

        Args:
            now: seconds since the epoch; None for the time it is.
        """
        for path, content in self._kept.items():
            if not path.is_file():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
        entries = sorted(self._entries(time.time() if now is None else now), key=lambda entry: -entry.age)
        total, gone = sum(entry.size for entry in entries), 0
        for entry in entries:
            crowded = total > self._bytes and entry.age > YOUNGEST_SECONDS
            if entry.age > self._keep_seconds or crowded:
                _remove(entry.path)
                total -= entry.size
                gone += 1
        for part in self.folder.rglob(f"*{PART}"):
            _remove_abandoned(part)
        return gone

    def start(self, every_seconds: float) -> None:
        """Sweeps now, and again and again in the background."""

        def run() -> None:
            while True:
                try:
                    self.sweep()
                except OSError:
                    LOG.exception("the folder of uploads could not be swept")
                time.sleep(every_seconds)

        threading.Thread(target=run, name="sweeper", daemon=True).start()

    def _entries(self, now: float) -> list[_Entry]:
        own = {path.parent for path in self._kept}
        found = []
        for path in self.folder.iterdir() if self.folder.is_dir() else ():
            if path in own:
                continue
            stats = [each.lstat() for each in (path, *_below(path)) if each.exists()]
            if stats:
                age = now - max(stat.st_mtime for stat in stats)
                found.append(_Entry(path, age, sum(stat.st_size for stat in stats)))
        return found


def _below(path: Path) -> list[Path]:
    return list(path.rglob("*")) if path.is_dir() and not path.is_symlink() else []


def _remove_abandoned(part: Path) -> None:
    """Removes a half-written file at once when the process that wrote it is dead: its lock went with it."""
    try:
        if time.time() - part.stat().st_mtime < _JUST_CLOSED_SECONDS:
            return
        with part.open("rb") as handle:
            if locked(handle):
                part.unlink()
    except FileNotFoundError:
        return  # it has its own name by now
    except OSError:
        LOG.exception("a half-written file could not be removed")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
