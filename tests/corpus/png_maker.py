"""PNG and BMP files written by hand, in every depth and layout their headers can name."""

from __future__ import annotations

import struct
import zlib

import numpy as np

from tests.images.made_files import chunk

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GRAY, RGB, PALETTE, GRAY_ALPHA, RGBA = 0, 2, 3, 4, 6
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def ihdr(width: int, height: int, bits: int = 8, kind: int = RGB, interlaced: bool = False) -> bytes:
    """The header chunk."""
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, int(interlaced)))


def png(samples: np.ndarray, bits: int, kind: int, *extra: bytes, interlaced: bool = False) -> bytes:
    """(height, width, channels) of whole numbers of `bits` bits; extra chunks stand before the pixels."""
    height, width = samples.shape[:2]
    passes = _PASSES if interlaced else ((0, 0, 1, 1),)
    raw = b"".join(_rows(samples[y::dy, x::dx], bits) for x, y, dx, dy in passes)
    pixels = chunk(b"IDAT", zlib.compress(raw))
    return SIGNATURE + ihdr(width, height, bits, kind, interlaced) + b"".join(extra) + pixels + chunk(b"IEND", b"")


def _rows(samples: np.ndarray, bits: int) -> bytes:
    if not samples.size:
        return b""
    flat = samples.reshape(len(samples), -1)
    if bits >= 8:
        return b"".join(b"\0" + row.astype(f">u{bits // 8}").tobytes() for row in flat)
    unpacked = (flat[..., None] >> np.arange(bits - 1, -1, -1)) & 1
    return b"".join(b"\0" + np.packbits(row.reshape(-1).astype(np.uint8)).tobytes() for row in unpacked)


def claiming(
    width: int, height: int, *extra: bytes, bits: int = 8, kind: int = RGB, payload: bytes = b"\0" * 9
) -> bytes:
    """A PNG whose header promises what the pixels do not hold."""
    return b"".join(
        (
            SIGNATURE,
            ihdr(width, height, bits, kind),
            *extra,
            chunk(b"IDAT", zlib.compress(payload)),
            chunk(b"IEND", b""),
        )
    )


def bmp(body: bytes, width: int, height: int, bits: int, *, compression: int = 0, between: bytes = b"") -> bytes:
    """A Windows bitmap: `between` holds the masks or the palette; a negative height means top row first."""
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, len(body), 11811, 11811, 0, 0)
    start = 14 + len(header) + len(between)
    return struct.pack("<2sIHHI", b"BM", start + len(body), 0, 0, start) + header + between + body


def bmp_rows(samples: np.ndarray) -> bytes:
    """(height, width, ...) as rows padded to 4 bytes, in the order given."""
    rows = [row.tobytes() for row in samples]
    return b"".join(row + b"\0" * (-len(row) % 4) for row in rows)
