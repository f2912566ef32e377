"""One file of the corpus, before and after it is written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Expectation = Literal["result", "refusal"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A file to be.

    kind: what it stands for, one of `corpus.KINDS`.
    name: its file name, unlike all others.
    data: its bytes.
    expect: whether a picture comes out of it, or one sentence.
    word: stands in that sentence (any case), or in one of the notes of the picture.
    size: (height, width) of the upright picture, pixels; None where it does not matter.
    """

    kind: str
    name: str
    data: bytes
    expect: Expectation = "result"
    word: str = ""
    size: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusFile:
    """A file that is there: an `Entry` at its path."""

    name: str
    path: Path
    kind: str
    expect: Expectation
    word: str = ""
    size: tuple[int, int] | None = None
