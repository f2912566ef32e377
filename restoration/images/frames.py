"""How many pictures a file holds, counted without decoding any and never much further than is allowed."""

from __future__ import annotations

from collections.abc import Iterator

from PIL import ImageFile


def count_frames(image: ImageFile.ImageFile, data: bytes, most: int) -> int:
    """The pictures in an opened file; of a GIF at most `most` + 1 are counted. TIFFs and JPEGs of several
    pictures are counted elsewhere.

    Raises:
        what Pillow raises over a damaged file.
    """
    if image.format == "GIF":
        return sum(1 for _, _ in zip(_gif_pictures(data), range(most + 1), strict=False))
    return int(getattr(image, "n_frames", 1))


def _gif_pictures(data: bytes) -> Iterator[int]:
    """Where each picture of a GIF begins (GIF89a, sections 18 to 26); ends where the file does or makes no sense."""
    at = 13 + _table_bytes(data[10:11])
    while at < len(data):
        kind = data[at]
        if kind == 0x2C:
            yield at
            at += 11 + _table_bytes(data[at + 9 : at + 10])
        elif kind == 0x21:
            at += 2
        else:
            return
        while at < len(data) and data[at]:
            at += data[at] + 1
        at += 1


def _table_bytes(flags: bytes) -> int:
    return 3 << (flags[0] % 8 + 1) if flags and flags[0] & 0x80 else 0
