"""What travels beside the pixels: orientation, EXIF and resolution.

Kept from EXIF: who, when, with what camera and settings. Left out: orientation (already applied), the place
(GPS), the thumbnail, the maker's private block, interoperability, and the pixel sizes of the original. XMP is left
out whole, because it repeats the place and the orientation in text.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

DAMAGED_EXIF = "The EXIF data in the file is damaged and was left out."

# what Pillow's EXIF reader and writer raise over bytes that make no sense
EXIF_ERRORS = (SyntaxError, ValueError, TypeError, KeyError, IndexError, AttributeError, ArithmeticError, OSError)
EXIF_ERRORS += (EOFError, struct.error, AssertionError, RecursionError)

LARGEST_EXIF = 65_000  # bytes; a JPEG segment holds 65,533

_ORIENTATION = int(ExifTags.Base.Orientation)
_COLOR_SPACE = int(ExifTags.Base.ColorSpace)
_EXIF_IFD = int(ExifTags.IFD.Exif)

# document name, description, make, model, software, date, artist, host computer, two ratings, copyright,
# and the five that Windows adds
_KEPT = frozenset((269, 270, 271, 272, 305, 306, 315, 316, 18246, 18249, 33432, 40091, 40092, 40093, 40094, 40095))
# maker note, interoperability, width, height
_LEFT_OUT = frozenset((0x927C, 0xA005, 0xA002, 0xA003))


def orientation(exif: Mapping[int, Any]) -> int:
    """The EXIF orientation 1..8; 1 when it is missing or makes no sense."""
    value = exif.get(_ORIENTATION, 1)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def upright(plane: NDArray, orientation: int) -> NDArray:
    """(height, width, ...) as the camera stored it -> the same picture standing upright, C-contiguous."""
    turned = {
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: a[::-1].swapaxes(0, 1),
        7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
        8: lambda a: a[:, ::-1].swapaxes(0, 1),
    }.get(orientation, lambda a: a)(plane)
    return np.ascontiguousarray(turned)


def exif_block(exif: Image.Exif, *, converted: bool = False) -> bytes | None:
    """A fresh EXIF block with the tags worth keeping, beginning with "Exif"; None when none is there.

    Args:
        exif: as Pillow read it.
        converted: the colours were converted to sRGB, so the colour space tag must say sRGB.

    Raises:
        one of EXIF_ERRORS: the data makes no sense.
    """
    kept = Image.Exif()
    for tag in _KEPT & set(exif):
        kept[tag] = exif[tag]
    details = {tag: value for tag, value in exif.get_ifd(_EXIF_IFD).items() if tag not in _LEFT_OUT}
    if converted and _COLOR_SPACE in details:
        details[_COLOR_SPACE] = 1
    if details:
        kept[_EXIF_IFD] = details
    if not len(kept):
        return None
    block = kept.tobytes()
    if len(block) > LARGEST_EXIF:
        raise ValueError("more EXIF than fits in a JPEG")
    return block


def resolution(info: Mapping[Any, Any]) -> tuple[float, float] | None:
    """(horizontal, vertical) pixels per inch out of Pillow's `info`; None when missing or absurd."""
    try:
        horizontal, vertical = (float(value) for value in info.get("dpi", ()))
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    if not all(math.isfinite(value) and 1 < value <= 65535 for value in (horizontal, vertical)):  # 1: Pillow's "unset"
        return None
    return horizontal, vertical
