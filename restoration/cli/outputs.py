"""Which files go in and where results come out: expanding folders, and names that overwrite nothing they should not."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from restoration.errors import ImageFileError, OptionError
from restoration.evaluation.protocols import natural_key
from restoration.images.document import ImageDocument
from restoration.images.writing import write_image

PICTURES = {".png", ".jpg", ".jpeg", ".jfif", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".heic", ".heif", ".avif"}
WRITABLE = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp", ".tif": "tiff", ".tiff": "tiff"}


@dataclass(frozen=True, slots=True)
class Source:
    """One thing to restore, or the sentence why it cannot be."""

    path: Path
    problem: str = ""


def find_sources(paths: Sequence[Path]) -> list[Source]:
    """Files as they are named; of a folder the pictures directly in it, in natural order; every file once."""
    sources: dict[Path, Source] = {}
    for path in paths:
        for source in _found(path):
            sources.setdefault(_resolved(source.path), source)
    return list(sources.values())


def _found(path: Path) -> list[Source]:
    try:
        if not path.is_dir():
            return [Source(path, "" if path.exists() else "There is no such file.")]
        inside = [entry for entry in path.iterdir() if entry.suffix.lower() in PICTURES and entry.is_file()]
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        return [Source(path, f"It cannot be opened ({getattr(error, 'strerror', None) or 'no name for a file'}).")]
    ordered = sorted(inside, key=lambda entry: natural_key(entry.name))
    return [Source(entry) for entry in ordered] or [Source(path, "The folder holds no picture.")]


class Destination:
    """Where results go.

    A folder is made when it is not there. In it, a file left by an earlier run is replaced; an input of this run never
    is, and neither is a result of this run: those names get "-2", "-3" and so on.

    Args:
        out: a folder; or a file to write, when it has a picture's ending and is no folder.
        paths: the inputs as the command names them.
        sources: the files that will be read.
        format: one of `writing.FORMATS`, or None: the ending of a file decides, else the input's own format is kept.

    Raises:
        OptionError: the inputs, `out` and the format contradict each other.
    """

    def __init__(self, out: Path, paths: Sequence[Path], sources: Sequence[Source], format: str | None) -> None:
        suffix = out.suffix.lower()
        self.file = out if suffix in PICTURES and not out.is_dir() else None
        self.folder = out.parent if self.file else out
        self.format = format or "same"
        self._taken = {_key(source.path) for source in sources}
        if self.file:
            self._check_file(out, paths, suffix)
        elif out.exists() and not out.is_dir():
            raise OptionError(f"{out} is a file: give a folder, or a name with a picture's ending.")

    def _check_file(self, out: Path, paths: Sequence[Path], suffix: str) -> None:
        if suffix not in WRITABLE:
            raise OptionError(f"Results are written as PNG, JPEG, WebP or TIFF, not as {suffix}.")
        if len(paths) != 1 or paths[0].is_dir():
            raise OptionError(f"{out} is one file, but there may be several results: give a folder.")
        if self.format not in ("same", WRITABLE[suffix]):
            raise OptionError(f"The format {self.format} contradicts the name {out.name}.")
        if _key(out) in self._taken:
            raise OptionError(f"{out} is the input itself, which is never overwritten.")
        self.format = WRITABLE[suffix]

    def prepare(self) -> None:
        """Makes the folder, so that a wrong place is found before anything is computed.

        Raises:
            OptionError: it cannot be made or written to.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".restoration-", dir=self.folder):
                pass
        except OSError as error:
            raise OptionError(f"{self.folder} cannot be written to: {error.strerror or error}.") from error

    def write(self, document: ImageDocument, stem: str, quality: int | None) -> Path:
        """Writes a result completely or not at all, and returns its path.

        Args:
            document: what to write.
            stem: the name without its ending, for a folder.
            quality: of JPEG, WebP and AVIF, 1..100; None as `write_image` takes it.

        Raises:
            ImageFileError: the file cannot be written.
        """
        try:
            with tempfile.TemporaryDirectory(prefix=".restoration-", dir=self.folder) as scratch:
                written = write_image(document, Path(scratch) / "result.png", format=self.format, quality=quality)
                target = self.file or self._free(stem, written.suffix)
                os.replace(written, target)
        except OSError as error:
            raise ImageFileError(f"The result cannot be written: {error.strerror or error}.") from error
        self._taken.add(_key(target))
        return target

    def _free(self, stem: str, suffix: str) -> Path:
        number, target = 1, self.folder / f"{stem}{suffix}"
        while _key(target) in self._taken:
            number += 1
            target = self.folder / f"{stem}-{number}{suffix}"
        return target


def _key(path: Path) -> str:
    """Equal for names that are one file on file systems that ignore case."""
    return str(_resolved(path)).casefold()


def _resolved(path: Path) -> Path:
    """Where a path leads; itself when it leads nowhere (links in a circle, a zero byte)."""
    try:
        return path.resolve()
    except (OSError, RuntimeError, ValueError):
        return path.absolute()
