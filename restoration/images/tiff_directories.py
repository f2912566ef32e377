"""The directories of a TIFF, read only as far as is needed to know what the file is. TIFF 6.0 (Adobe, 1992), BigTIFF.

Camera raw files are TIFFs that begin with a stamp-sized preview and keep the photograph below it, as the sensor saw
it: they must not pass for a small picture. And a file may chain directories by the million: the count stops early.
Knows nothing of pixels.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

_PHOTOMETRIC, _BELOW, _DNG_VERSION = 262, 330, 50706
_SENSOR = (32803, 34892)  # photometric interpretations: colour filter array, linear raw
_MOST_BELOW = 16  # directories looked at below one page
_MOST_TAGS = 4096  # looked at in one directory
_LOOKED_INTO = 4  # pages searched for a sensor's data; raw files keep it in the first or below it
_SIZES = {1: 1, 3: 2, 4: 4, 13: 4, 16: 8, 18: 8}  # of the types of numbers that matter here, bytes
_CODES = {1: "B", 2: "H", 4: "I", 8: "Q"}


@dataclass(frozen=True, slots=True)
class Directories:
    """pages: directories in the chain, counted up to one more than asked for. raw: a camera's raw data are there."""

    pages: int
    raw: bool


@dataclass(frozen=True, slots=True)
class _Layout:
    """How numbers stand in this file."""

    data: bytes
    order: str
    big: bool

    def number(self, at: int, size: int) -> int:
        return struct.unpack_from(self.order + _CODES[size], self.data, at)[0]


def survey(data: bytes, most_pages: int) -> Directories:
    """Follows the chain of directories of a whole file.

    Args:
        data: a file that begins like a TIFF. most_pages: the count ends at one more.

    A chain that is broken or leads back ends there; whoever reads the pixels will say what is wrong.
    """
    layout = _Layout(data, "<" if data[:2] == b"II" else ">", data[2:4] in (b"+\0", b"\0+"))
    pages, raw = 0, False
    for at in _chain(layout, most_pages):
        pages += 1
        if pages <= _LOOKED_INTO and not raw:
            raw = _is_raw(layout, at, below=True)
    return Directories(pages, raw)


def _chain(layout: _Layout, most_pages: int) -> Iterator[int]:
    head, entry, word = (8, 20, 8) if layout.big else (2, 12, 4)
    seen: set[int] = set()
    try:
        at = layout.number(8 if layout.big else 4, word)
        while at and at not in seen and len(seen) <= most_pages:
            seen.add(at)
            count = layout.number(at, head)
            yield at
            at = layout.number(at + head + count * entry, word)
    except struct.error:
        return


def _is_raw(layout: _Layout, at: int, *, below: bool) -> bool:
    try:
        tags = _tags(layout, at)
    except struct.error:
        return False
    if _DNG_VERSION in tags or any(value in _SENSOR for value in tags.get(_PHOTOMETRIC, ())):
        return True
    return below and any(_is_raw(layout, offset, below=False) for offset in tags.get(_BELOW, ()))


def _tags(layout: _Layout, at: int) -> dict[int, tuple[int, ...]]:
    """The first values of the tags that tell raw files from others."""
    head, entry, word = (8, 20, 8) if layout.big else (2, 12, 4)
    found = {}
    for start in range(at + head, at + head + min(layout.number(at, head), _MOST_TAGS) * entry, entry):
        tag, kind = layout.number(start, 2), layout.number(start + 2, 2)
        if tag not in (_PHOTOMETRIC, _BELOW, _DNG_VERSION) or kind not in _SIZES:
            continue
        size, count = _SIZES[kind], min(layout.number(start + 4, word), _MOST_BELOW)
        place = start + 4 + word
        if size * count > word:
            place = layout.number(place, word)
        found[tag] = tuple(layout.number(place + index * size, size) for index in range(count))
    return found
