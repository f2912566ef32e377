"""Files made in memory for the tests, most of them by hand, so that they do not depend on the code under test."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO

import numpy as np
from PIL import Image

P3 = [[0.51512, 0.29198, 0.15710], [0.24120, 0.69225, 0.06657], [-0.00105, 0.04189, 0.78407]]
ADOBE_RGB = [[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322], [0.01947, 0.06087, 0.74457]]
SRGB = [[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]]


def saved(picture: Image.Image, format: str, **options) -> bytes:
    """What Pillow writes."""
    stream = BytesIO()
    picture.save(stream, format=format, **options)
    return stream.getvalue()


def noise(shape: tuple[int, ...], dtype=np.uint8, seed: int = 0) -> np.ndarray:
    """Random samples over the whole range."""
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)


def smooth(height: int = 40, width: int = 56) -> np.ndarray:
    """A soft RGB picture, kind to lossy formats."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 255 / width, y * 255 / height, 128 + 100 * np.sin(x / 9) * np.cos(y / 7)], -1).astype(np.uint8)


def chunk(kind: bytes, data: bytes) -> bytes:
    """A PNG chunk."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_of(samples: np.ndarray, *extra: bytes) -> bytes:
    """A PNG of (h, w, channels) uint8 or uint16, unfiltered, with extra chunks before the pixels."""
    height, width, channels = samples.shape
    bits = samples.itemsize * 8
    big = samples.astype(f">u{samples.itemsize}")
    raw = b"".join(b"\0" + row.tobytes() for row in big)
    header = struct.pack(">IIBBBBB", width, height, bits, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(raw, 1))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(extra) + pixels + chunk(b"IEND", b"")


def png_claiming(width: int, height: int) -> bytes:
    """A PNG whose header promises pixels that are not there."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 9)) + chunk(b"IEND", b"")
    )


def exif_with(**tags: int) -> bytes:
    """An EXIF block with an orientation and everything that must and must not survive."""
    exif = Image.Exif()
    exif[0x0112] = tags.get("orientation", 1)
    exif[0x010F], exif[0x0110], exif[0x013B] = "Maker", "Model", "Ann Author"
    exif[0x8769] = {
        0x9003: "2024:05:06 07:08:09",
        0x829A: 0.005,
        0x8827: 200,
        0x927C: b"private maker block",
        0xA002: 4000,
        0xA003: 3000,
        0xA001: 65535,
    }
    exif[0x8825] = {1: "N", 2: (52.0, 30.0, 0.0), 3: "E", 4: (13.0, 24.0, 0.0)}
    return exif.tobytes()


def without_adobe(jpeg: bytes) -> bytes:
    """The same JPEG without its APP14 segment."""
    at = jpeg.index(b"\xff\xee")
    return jpeg[:at] + jpeg[at + 2 + struct.unpack(">H", jpeg[at + 2 : at + 4])[0] :]


def _fixed(*numbers: float) -> bytes:
    return struct.pack(f">{len(numbers)}i", *(round(number * 65536) for number in numbers))


def gamma_curve(gamma: float) -> bytes:
    """An ICC curve of one exponent."""
    return struct.pack(">4sIIH", b"curv", 0, 1, round(gamma * 256)) + b"\0\0"


def table_curve(values: np.ndarray) -> bytes:
    """An ICC curve of samples 0..1."""
    numbers = np.rint(np.asarray(values) * 65535).astype(">u2").tobytes()
    return struct.pack(">4sII", b"curv", 0, len(values)) + numbers + b"\0" * (len(numbers) % 4)


def srgb_curve() -> bytes:
    """The sRGB curve as an ICC parametric curve of type 3."""
    return parametric_curve(3, 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)


def parametric_curve(kind: int, *numbers: float) -> bytes:
    """An ICC parametric curve."""
    return struct.pack(">4sIHH", b"para", 0, kind, 0) + _fixed(*numbers)


def _description(text: str) -> bytes:
    raw = text.encode("ascii") + b"\0"
    body = struct.pack(">4sII", b"desc", 0, len(raw)) + raw + b"\0" * (8 + 3 + 67)
    return body + b"\0" * (-len(body) % 4)


def icc_profile(space: bytes, pcs: bytes, tags: dict[bytes, bytes], title: str, kind: bytes = b"mntr") -> bytes:
    """An ICC profile out of its tags."""
    white = struct.pack(">4sI", b"XYZ ", 0) + _fixed(0.9642, 1.0, 0.8249)
    tags = {b"desc": _description(title), b"wtpt": white, b"cprt": b"text\0\0\0\0none\0\0\0\0", **tags}
    table, body = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        table += struct.pack(">4sII", name, start + len(body), len(data))
        body += data
    size = start + len(body)
    header = struct.pack(">I4sI4s4s4s12s4s", size, b"\0" * 4, 0x04200000, kind, space, pcs, b"\0" * 12, b"acsp")
    header += b"\0" * (64 - len(header)) + b"\0" * 4 + _fixed(0.9642, 1.0, 0.8249)
    return header.ljust(128, b"\0") + table + body


def matrix_icc(matrix: list[list[float]], *curves: bytes, title: str) -> bytes:
    """An RGB profile of one curve for all channels, or three."""
    red, green, blue = curves if len(curves) == 3 else curves * 3
    columns = [struct.pack(">4sI", b"XYZ ", 0) + _fixed(*(row[c] for row in matrix)) for c in range(3)]
    names = (b"rXYZ", b"gXYZ", b"bXYZ")
    tags = dict(zip(names, columns, strict=True)) | {b"rTRC": red, b"gTRC": green, b"bTRC": blue}
    return icc_profile(b"RGB ", b"XYZ ", tags, title)


def display_p3() -> bytes:
    """Display P3."""
    return matrix_icc(P3, srgb_curve(), title="Display P3")


def gray_icc(gamma: float = 1.8) -> bytes:
    """A gray profile."""
    return icc_profile(b"GRAY", b"XYZ ", {b"kTRC": gamma_curve(gamma)}, "Dot gain")


def cmyk_icc() -> bytes:
    """A CMYK profile of a 2-point lookup table: L = 100 (1 - k) (1 - mean(c, m, y) / 2), no colour."""
    corners = []
    for index in range(16):
        c, m, y, k = (index >> shift & 1 for shift in (3, 2, 1, 0))
        lightness = 100 * (1 - k) * (1 - (c + m + y) / 6)
        corners += [round(lightness * 2.55), 128, 128]
    lut = struct.pack(">4sIBBBB", b"mft1", 0, 4, 3, 2, 0) + _fixed(1, 0, 0, 0, 1, 0, 0, 0, 1)
    lut += bytes(range(256)) * 4 + bytes(corners) + bytes(range(256)) * 3
    lut += b"\0" * (-len(lut) % 4)
    return icc_profile(b"CMYK", b"Lab ", {b"A2B0": lut, b"A2B1": lut}, "Grey Ink", kind=b"prtr")


def rgb_table_icc() -> bytes:
    """An RGB profile with a lookup table instead of a matrix (green and red swapped, roughly)."""
    corners = []
    for index in range(8):
        r, g, b = (index >> shift & 1 for shift in (2, 1, 0))
        corners += [round(255 * (0.7 * r + 0.2 * g + 0.1 * b)), 128 + 60 * (g - r), 128 + 50 * (r - b)]
    lut = struct.pack(">4sIBBBB", b"mft1", 0, 3, 3, 2, 0) + _fixed(1, 0, 0, 0, 1, 0, 0, 0, 1)
    lut += bytes(range(256)) * 3 + bytes(corners) + bytes(range(256)) * 3
    lut += b"\0" * (-len(lut) % 4)
    return icc_profile(b"RGB ", b"Lab ", {b"A2B0": lut}, "Table Space")
