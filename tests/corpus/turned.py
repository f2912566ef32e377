"""HEIC files that turn themselves by their own boxes (`irot`, `imir`), by EXIF, or by both.

The boxes decide (ISO/IEC 23000-22, 7.3.6.7); EXIF may repeat them, as phones do, and must not be applied on top.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from tests.corpus.pictures import SIZE, heic
from tests.images.made_files import exif_with

_ORIENTATION_TAG = b"\x01\x12\x00\x03\x00\x00\x00\x01"  # one number, most significant byte first


def turned_heics(orientation: int) -> Iterator[tuple[str, bytes, tuple[int, int]]]:
    """Name, bytes and upright size for the boxes of one EXIF orientation, and for that orientation in EXIF alone."""
    boxes, plain = heic(exif=exif_with(orientation=orientation)), heic(exif=exif_with(orientation=1))
    upright = SIZE if orientation < 5 else SIZE[::-1]
    yield f"boxes-{orientation}.heic", _said(boxes, 1), upright
    yield f"boxes-and-exif-{orientation}.heic", _said(boxes, orientation), upright
    yield f"exif-alone-{orientation}.heic", _said(plain, orientation), SIZE


def _said(data: bytes, orientation: int) -> bytes:
    """The same file with another orientation in its EXIF."""
    at = data.index(_ORIENTATION_TAG) + len(_ORIENTATION_TAG)
    return data[:at] + struct.pack(">H", orientation) + data[at + 2 :]
