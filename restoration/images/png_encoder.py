"""PNG with 16 bits per channel, which Pillow writes for gray only. Format: PNG, third edition (W3C, 2025).

Rows are filtered with Sub or Up, whichever leaves the smaller numbers, and deflated at a middle level.
"""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

_COLOR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}  # channels -> gray, gray-alpha, RGB, RGBA
_BAND_ROWS = 256
_LEVEL = 4
_INCH = 0.0254  # metres


def encode_png16(
    samples: NDArray[np.uint16],
    *,
    icc: bytes | None = None,
    exif: bytes | None = None,
    dpi: tuple[float, float] | None = None,
) -> bytes:
    """A PNG file.

    Args:
        samples: (height, width, channels) uint16; gray, gray-alpha, RGB or RGBA.
        icc: a profile to embed. exif: a block, with or without its leading "Exif". dpi: pixels per inch.
    """
    height, width, channels = samples.shape
    header = struct.pack(">IIBBBBB", width, height, 16, _COLOR_TYPES[channels], 0, 0, 0)
    chunks = [b"\x89PNG\r\n\x1a\n", _chunk(b"IHDR", header)]
    if icc:
        chunks.append(_chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(icc)))
    if dpi:
        chunks.append(_chunk(b"pHYs", struct.pack(">IIB", *(round(value / _INCH) for value in dpi), 1)))
    if exif:
        chunks.append(_chunk(b"eXIf", exif.removeprefix(b"Exif\0\0")))
    return b"".join([*chunks, *_pixel_chunks(samples), _chunk(b"IEND", b"")])


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(kind)))


def _pixel_chunks(samples: NDArray[np.uint16]) -> list[bytes]:
    height, width, channels = samples.shape
    packer = zlib.compressobj(_LEVEL)
    above = np.zeros((1, width * channels * 2), np.uint8)
    chunks = []
    for top in range(0, height, _BAND_ROWS):
        band = samples[top : top + _BAND_ROWS]
        rows = np.ascontiguousarray(band.astype(">u2")).view(np.uint8).reshape(len(band), -1)
        packed = packer.compress(_filtered(rows, above, channels * 2).tobytes())
        above = rows[-1:]
        if packed:
            chunks.append(_chunk(b"IDAT", packed))
    return [*chunks, _chunk(b"IDAT", packer.flush())]


def _filtered(rows: NDArray[np.uint8], above: NDArray[np.uint8], pixel: int) -> NDArray[np.uint8]:
    """(rows, bytes) -> (rows, 1 + bytes): each row's filter number, then its differences modulo 256."""
    sub = rows.copy()
    sub[:, pixel:] -= rows[:, :-pixel]
    up = rows - np.concatenate([above, rows[:-1]])
    cost = [np.minimum(difference, -difference).sum(axis=1, dtype=np.int64) for difference in (sub, up)]
    use_up = cost[1] < cost[0]
    out = np.empty((len(rows), rows.shape[1] + 1), np.uint8)
    out[:, 0] = np.where(use_up, 2, 1)
    out[:, 1:] = np.where(use_up[:, None], up, sub)
    return out
