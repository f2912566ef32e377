"""ICC profiles made of three tone curves and a matrix, applied in numpy to 16-bit and float pictures.

Little CMS, through Pillow, works on 8 bits only. Formulas: ICC.1:2022, section 8.3.3 (three-component
matrix-based profiles) and 10.6, 10.18 (curve types); sRGB from IEC 61966-2-1, adapted to D50 as in its ICC profile.
Profiles with lookup tables (A2B0) are not handled here: `parse` answers None.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Curve = Callable[[NDArray], NDArray]

# columns: the D50-adapted XYZ of sRGB's red, green and blue
SRGB_TO_XYZ = np.array(
    [[0.4360747, 0.3850649, 0.1430804], [0.2225045, 0.7168786, 0.0606169], [0.0139322, 0.0971045, 0.7141733]]
)
_BAND_PIXELS = 1 << 20
_TABLE_TAGS = (b"A2B0", b"A2B1", b"A2B2", b"D2B0", b"D2B1")
_PARAMETERS = {0: 1, 1: 3, 2: 4, 3: 5, 4: 7}  # of a parametric curve, by its function type


@dataclass(frozen=True, slots=True)
class MatrixProfile:
    """curves: encoded value 0..1 -> linear light, for red, green, blue. matrix: (3, 3), linear RGB -> XYZ (D50)."""

    curves: tuple[Curve, Curve, Curve]
    matrix: NDArray[np.float64]

    def to_srgb(self, color: NDArray) -> NDArray:
        """(height, width, 3) in this profile -> the same shape and dtype in sRGB.

        Colours outside sRGB are held to 0..65535 in uint16 and may leave 0..1 in float32.
        """
        flat = np.ascontiguousarray(color).reshape(-1, 3)
        out = np.empty_like(flat)
        matrix = (np.linalg.inv(SRGB_TO_XYZ) @ self.matrix).astype(np.float32)
        black = self._black()
        linearise = self._linearisers(color.dtype)
        for start in range(0, len(flat), _BAND_PIXELS):
            band = flat[start : start + _BAND_PIXELS]
            linear = np.stack([linearise[c](band[:, c]) for c in range(3)], axis=1)
            encoded = _srgb_encode((linear @ matrix.T - black) / (1 - black))  # black point compensation
            if color.dtype == np.uint16:
                encoded = np.rint(np.clip(encoded, 0, 1) * 65535.0)
            out[start : start + _BAND_PIXELS] = encoded.astype(color.dtype)
        return out.reshape(color.shape)

    def _black(self) -> float:
        """The luminance of the profile's black, at most that of L* = 50; 0 for nearly every profile."""
        darkest = np.array([float(curve(np.zeros(1))[0]) for curve in self.curves])
        return float(np.clip(self.matrix[1] @ darkest, 0.0, 0.184))

    def _linearisers(self, dtype: np.dtype) -> list[Curve]:
        if dtype != np.uint16:
            return [lambda v, curve=curve: curve(v).astype(np.float32) for curve in self.curves]
        ramp = np.arange(65536) / 65535.0
        tables = [curve(ramp).astype(np.float32) for curve in self.curves]
        return [lambda v, table=table: table[v] for table in tables]


def parse(icc: bytes) -> MatrixProfile | None:
    """The curves and the matrix of an RGB profile; None when it has another structure or is damaged."""
    if len(icc) < 132 or icc[16:20] != b"RGB " or icc[20:24] != b"XYZ ":
        return None
    tags = _tags(icc)
    if any(tag in tags for tag in _TABLE_TAGS):
        return None
    try:
        columns = [_xyz(tags[name]) for name in (b"rXYZ", b"gXYZ", b"bXYZ")]
        red, green, blue = (_curve(tags[name]) for name in (b"rTRC", b"gTRC", b"bTRC"))
    except (KeyError, struct.error, ValueError):
        return None
    return MatrixProfile((red, green, blue), np.array(columns).T)


def _tags(icc: bytes) -> dict[bytes, bytes]:
    (count,) = struct.unpack_from(">I", icc, 128)
    found = {}
    for at in range(132, min(132 + 12 * min(count, 200), len(icc) - 11), 12):
        name, offset, size = struct.unpack_from(">4sII", icc, at)
        found[name] = icc[offset : offset + size]
    return found


def _fixed(data: bytes, count: int, start: int) -> list[float]:
    """`count` numbers of type s15Fixed16."""
    return [value / 65536 for value in struct.unpack_from(f">{count}i", data, start)]


def _xyz(tag: bytes) -> list[float]:
    if tag[:4] != b"XYZ ":
        raise ValueError("not an XYZ tag")
    return _fixed(tag, 3, 8)


def _curve(tag: bytes) -> Curve:
    if tag[:4] == b"curv":
        return _sampled_curve(tag)
    if tag[:4] != b"para":
        raise ValueError("not a curve tag")
    (kind,) = struct.unpack_from(">H", tag, 8)
    if kind not in _PARAMETERS:
        raise ValueError("an unknown kind of parametric curve")
    return _parametric_curve(kind, _fixed(tag, _PARAMETERS[kind], 12))


def _sampled_curve(tag: bytes) -> Curve:
    (count,) = struct.unpack_from(">I", tag, 8)
    if count == 0:
        return lambda v: np.asarray(v, np.float64)
    values = struct.unpack_from(f">{count}H", tag, 12)
    if count == 1:
        gamma = values[0] / 256
        return lambda v: np.maximum(v, 0.0) ** gamma
    table = np.array(values) / 65535.0
    positions = np.linspace(0.0, 1.0, count)
    return lambda v: np.interp(v, positions, table)


def _parametric_curve(kind: int, numbers: list[float]) -> Curve:
    """Types 0 to 4 as the one general form: (a v + b)^g + e where v >= d, else c v + f."""
    g = numbers[0]
    a, b = numbers[1:3] if kind >= 1 else (1.0, 0.0)
    c = d = e = f = 0.0
    if kind in (1, 2):
        if a == 0:
            raise ValueError("a curve that divides by zero")
        d = -b / a
        e = f = numbers[3] if kind == 2 else 0.0
    elif kind >= 3:
        c, d = numbers[3:5]
        e, f = numbers[5:7] if kind == 4 else (0.0, 0.0)

    def curve(v: NDArray) -> NDArray:
        v = np.asarray(v, np.float64)
        return np.where(v >= d, np.maximum(a * v + b, 0.0) ** g + e, c * v + f)

    return curve


def _srgb_encode(linear: NDArray) -> NDArray:
    """IEC 61966-2-1; values below 0 and above 1 continue on the same two branches."""
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 0.0031308) ** (1 / 2.4) - 0.055)
