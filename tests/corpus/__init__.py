"""A corpus of files, valid, odd and hostile, made by a script: `make(folder)` writes every one of them.

    for file in corpus.make(folder):
        file.path, file.kind, file.expect     # "result" or "refusal"

The same bytes come out every time. `KINDS` says what each kind stands for. Read the files with `LIMITS`, or serve
with the variables of `ENVIRONMENT`: files of the kind "over-bytes" are over
the limit on megabytes set there, and only there.
"""

from __future__ import annotations

from tests.corpus.entry import CorpusFile, Entry
from tests.corpus.kinds import KINDS
from tests.corpus.make import ENVIRONMENT, LIMITS, entries, make

__all__ = ["ENVIRONMENT", "KINDS", "LIMITS", "CorpusFile", "Entry", "entries", "make"]
