"""Writes the corpus into a folder."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from restoration.images.limits import Limits
from tests.corpus import hostile, odd, refused, valid
from tests.corpus.entry import CorpusFile, Entry

ENVIRONMENT = {"RESTORATION_MAX_MEGABYTES": "3"}
LIMITS = Limits.from_environment(ENVIRONMENT)


@lru_cache(maxsize=1)
def entries() -> tuple[Entry, ...]:
    """Every file of the corpus, in memory."""
    return tuple(_all())


def _all() -> Iterator[Entry]:
    for module in (valid, odd, refused, hostile):
        yield from module.entries()


def make(folder: Path) -> list[CorpusFile]:
    """Writes every file into `folder`, which is made when it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for entry in entries():
        path = folder / entry.name
        path.write_bytes(entry.data)
        made.append(
            CorpusFile(
                name=entry.name, path=path, kind=entry.kind, expect=entry.expect, word=entry.word, size=entry.size
            )
        )
    return made
