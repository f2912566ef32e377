"""TIFF in any depth, with its metadata; Pillow cannot write 16-bit or float colour. Format: TIFF 6.0 (Adobe, 1992).

Deflated strips, with horizontal differences for whole numbers. The directory itself is Pillow's.
"""

from __future__ import annotations

import zlib
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import IFDRational, ImageFileDirectory_v2

_STRIP_BYTES = 1 << 20
_LEVEL = 4
_LONG, _UNDEFINED = 4, 7  # TIFF's field types
_DEFLATE, _DIFFERENCES, _UNSIGNED, _FLOAT = 8, 2, 1, 3
_GRAY, _RGB, _INCH, _UNPREMULTIPLIED = 1, 2, 2, 2


def encode_tiff(
    samples: NDArray,
    *,
    icc: bytes | None = None,
    exif: bytes | None = None,
    dpi: tuple[float, float] | None = None,
) -> bytes:
    """A little-endian TIFF file.

    Args:
        samples: (height, width, channels) uint8, uint16 or float32; gray, gray-alpha, RGB or RGBA.
        icc: a profile to embed. exif: a block, with or without its leading "Exif". dpi: pixels per inch.
    """
    height, width, channels = samples.shape
    rows = max(1, _STRIP_BYTES // (width * channels * samples.itemsize))
    strips = [_packed(samples[top : top + rows]) for top in range(0, height, rows)]
    tags = ImageFileDirectory_v2(b"II*\0\x08\0\0\0")
    for tag, value in _exif_tags(exif).items():
        tags[tag] = value
    tags[256], tags[257] = width, height
    tags[258] = (samples.itemsize * 8,) * channels
    tags[259] = _DEFLATE
    tags[262] = _RGB if channels >= 3 else _GRAY
    tags[277], tags[278], tags[284] = channels, rows, 1
    tags[339] = (_FLOAT if samples.dtype == np.float32 else _UNSIGNED,) * channels
    if samples.dtype != np.float32:
        tags[317] = _DIFFERENCES
    if channels in (2, 4):
        tags[338] = (_UNPREMULTIPLIED,)
    if dpi:
        tags[282], tags[283], tags[296] = IFDRational(dpi[0]), IFDRational(dpi[1]), _INCH
    if icc:
        tags.tagtype[34675] = _UNDEFINED
        tags[34675] = icc
    return _assembled(tags, strips)


def _assembled(tags: ImageFileDirectory_v2, strips: list[bytes]) -> bytes:
    sizes = [len(strip) for strip in strips]
    tags.tagtype[273] = tags.tagtype[279] = _LONG
    tags[273] = tuple(int(offset) for offset in np.cumsum([0, *sizes[:-1]]))  # Pillow adds the directory's length
    tags[279] = tuple(sizes)
    stream = BytesIO()
    tags.save(stream)
    return b"".join([stream.getvalue(), *strips])


def _packed(strip: NDArray) -> bytes:
    if strip.dtype == np.float32:
        return zlib.compress(strip.astype("<f4").tobytes(), _LEVEL)
    differences = strip.copy()
    differences[:, 1:] -= strip[:, :-1]
    return zlib.compress(differences.astype(differences.dtype.newbyteorder("<")).tobytes(), _LEVEL)


def _exif_tags(block: bytes | None) -> dict[int, Any]:
    if not block:
        return {}
    exif = Image.Exif()
    exif.load(block)
    tags = {tag: exif[tag] for tag in exif if tag != ExifTags.IFD.Exif}
    details = exif.get_ifd(ExifTags.IFD.Exif)
    return {**tags, int(ExifTags.IFD.Exif): details} if details else tags
