"""Damages files of the corpus at random and reads them: each gives a picture or one sentence, in time.

    python -m tests.corpus.fuzz --minutes 60 [--seed 7] [--files FOLDER] [--out FOLDER]

It begins with the corpus and the files of a folder. Files that gave something else than a picture or a sentence are
written to FOLDER. A child process does the reading, so that a crash of a decoder, a hang or memory without end is seen,
and names the file. Damage that leads somewhere new is damaged further: new is a sentence, a set of notes, or a place
in the program that raised, which no file gave before.
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import random
import resource
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

from restoration.errors import ImageFileError
from restoration.images.limits import Limits
from restoration.images.reading import read_header, read_image
from tests.corpus.make import entries

LIMITS = Limits(megabytes=3, megapixels=2, frames=200)
HANG_SECONDS = 10.0
MEMORY_BYTES = 6_000_000_000  # of address space; two megapixels need far less, and thread stacks take some
LARGEST_SEED = 20_000  # bytes of a file to begin with: small files find more in the same time
INTERESTING = (
    b"\0",
    b"\xff",
    b"\x7f",
    b"\x80",
    b"\1",
    b"\0\0\0\0",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\x80\0",
)


@dataclass(slots=True)
class Finding:
    """What a file did that none may do."""

    what: str
    data: bytes


@dataclass(slots=True)
class Result:
    """tried: files read. traces: different outcomes seen. findings: one for each different failure."""

    tried: int = 0
    traces: set[str] = field(default_factory=set)
    findings: dict[str, Finding] = field(default_factory=dict)


def damaged(data: bytes, other: bytes, draw: random.Random) -> bytes:
    """Some bytes changed, left out, doubled, or taken from another file."""
    changed = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 4, 12))):
        at = draw.randrange(len(changed) + 1) if draw.random() < 0.5 else draw.randrange(min(len(changed), 200) + 1)
        length = draw.choice((1, 2, 4, 8, 60))
        action = draw.randrange(6)
        if action == 0 and at < len(changed):
            changed[at] ^= 1 << draw.randrange(8)
        elif action == 1 and at < len(changed):
            changed[at] = draw.randrange(256)
        elif action == 2:
            value = draw.choice(INTERESTING)
            changed[at : at + len(value)] = value
        elif action == 3:
            del changed[at : at + length]
        elif action == 4:
            changed[at:at] = changed[at : at + length]
        else:
            start = draw.randrange(len(other) + 1)
            changed[at : at + length] = other[start : start + length]
    return bytes(changed)


def outcome(data: bytes) -> str:
    """What reading gave, in one line; a line that begins with "!" is what may not be."""
    try:
        header = read_header(data, limits=LIMITS)
        document = read_image(data, limits=LIMITS)
    except ImageFileError as error:
        sentence = str(error)
        if not sentence.endswith(".") or "\n" in sentence or len(sentence) > 300:
            return f"! not one sentence: {sentence!r}"
        return "".join(c for c in sentence if not c.isdigit())[:60]
    except MemoryError:
        return "! memory without end"
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        return f"! {type(error).__name__} in {Path(last.filename).name}:{last.name}"
    if (header.height, header.width) != (document.height, document.width):
        return f"! the header of a {header.format} says another size than the picture has"
    kind = (header.format, document.color.dtype.name, document.color.shape[2], document.alpha is None)
    return f"{kind} {document.origin.notes}"


def _serve(connection: Connection) -> None:
    warnings.simplefilter("ignore")  # Pillow's, about damage
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    while True:
        connection.send(outcome(connection.recv_bytes()))


class Reader:
    """A child process that reads files one after the other, and is replaced when it dies or hangs."""

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("spawn")  # a fork would carry this process's threads
        self._start()

    def _start(self) -> None:
        self._connection, theirs = self._context.Pipe()
        self._process = self._context.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()

    def read(self, data: bytes, seconds: float = HANG_SECONDS) -> str:
        """As `outcome`; or what became of the process."""
        self._connection.send_bytes(data)
        try:
            if self._connection.poll(seconds):
                return self._connection.recv()
            what = f"! no answer in {seconds:g} s"
        except EOFError:
            self._process.join()
            what = f"! the process ended with {self._process.exitcode}"
        self.close()
        self._start()
        return what

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.join()
        self._connection.close()


def fuzz(
    seconds: float, seed: int, tell: Callable[[str], object] = lambda line: None, more: Iterable[bytes] = ()
) -> Result:
    """Damages and reads for that long; `more` are files to begin with beside the corpus."""
    draw, result, reader = random.Random(seed), Result(), Reader()
    pool = [data for data in (*(entry.data for entry in entries()), *more) if 0 < len(data) <= LARGEST_SEED]
    reader.read(pool[0], seconds=120)  # imports
    end = time.monotonic() + seconds
    try:
        while time.monotonic() < end:
            data = damaged(draw.choice(pool), draw.choice(pool), draw)
            trace = reader.read(data)
            result.tried += 1
            if trace in result.traces:
                continue
            result.traces.add(trace)
            if trace.startswith("!"):
                result.findings[trace] = Finding(trace, data)
                tell(trace)
            elif len(data) <= 2 * LARGEST_SEED:
                pool += [data] * 5  # this way on
    finally:
        reader.close()
    return result


def main() -> int:
    """The command; exit code 1 when something was found."""
    parser = argparse.ArgumentParser(description="Damages files of the corpus and reads them.")
    parser.add_argument("--minutes", type=float, default=0.5)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--files", type=Path, help="a folder of files to begin with, beside the corpus")
    parser.add_argument("--out", type=Path, default=Path("fuzz-findings"))
    args = parser.parse_args()
    print(f"seed {args.seed}")
    more = [path.read_bytes() for path in sorted(args.files.iterdir()) if path.is_file()] if args.files else []
    result = fuzz(args.minutes * 60, args.seed, print, more)
    print(f"{result.tried} files, {len(result.traces)} different outcomes, {len(result.findings)} findings")
    for finding in result.findings.values():
        args.out.mkdir(parents=True, exist_ok=True)
        path = args.out / f"{hashlib.sha256(finding.data).hexdigest()[:16]}.bin"
        path.write_bytes(finding.data)
        print(f"{path}: {finding.what}")
    return int(bool(result.findings))


if __name__ == "__main__":
    sys.exit(main())
