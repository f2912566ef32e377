"""Colours that a file tells in numbers instead of a profile, and the ICC profile that says the same.

PNG's `cICP`, and the `colr` box of AVIF and HEIC, name primaries and transfer by code points (ITU-T H.273); PNG's
`gAMA` and `cHRM` give the numbers themselves. Most such files mean sRGB and need no profile. The samples of the others
stay as they are, as those of a gray profile do, and the result gets the profile, so that it looks like the photo.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

HDR = "The picture is HDR ({}); its colours were left as they are stored, so it may look pale."

Chromaticities = tuple[float, ...]  # x and y of red, green, blue and white

_D65, _C, _DCI = (0.3127, 0.3290), (0.310, 0.316), (0.314, 0.351)
_SRGB_POINTS: Chromaticities = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, *_D65)
# H.273, table 2, and what people call them
_PRIMARIES: dict[int, tuple[str, Chromaticities]] = {
    1: ("BT.709", _SRGB_POINTS),
    4: ("BT.470 M", (0.67, 0.33, 0.21, 0.71, 0.14, 0.08, *_C)),
    5: ("BT.470 BG", (0.64, 0.33, 0.29, 0.60, 0.15, 0.06, *_D65)),
    6: ("BT.601", (0.630, 0.340, 0.310, 0.595, 0.155, 0.070, *_D65)),
    7: ("BT.601", (0.630, 0.340, 0.310, 0.595, 0.155, 0.070, *_D65)),
    9: ("BT.2020", (0.708, 0.292, 0.170, 0.797, 0.131, 0.046, *_D65)),
    11: ("DCI-P3", (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, *_DCI)),
    12: ("Display P3", (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, *_D65)),
}
_GAMMAS = {4: 2.2, 5: 2.8, 8: 1.0}  # table 3
UNSPECIFIED = 2
"""The code point of primaries, and of a transfer, that are left open."""
_LIKE_SRGB = (1, UNSPECIFIED, 6, 13, 14, 15)  # what is shown with sRGB's curve, by custom
_HDR = {16: "PQ", 18: "HLG"}

_SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
_GAMMAS_OF_SRGB = (1 / 2.3, 1 / 2.1)  # gAMA between these is what encoders write for sRGB
_SANE_GAMMAS = (0.1, 2.0)
_SAME = 0.005  # by which x and y of the primaries may differ and be called the same
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_D50 = np.array([0.9642, 1.0, 0.8249])


@dataclass(frozen=True, slots=True)
class CodedColors:
    """What numbers say of a file's colours.

    points: the primaries and white. gamma: the exponent; 0 stands for sRGB's curve. title: what people call them.
    note: what could not be taken over.
    """

    points: Chromaticities = _SRGB_POINTS
    gamma: float = 0.0
    title: str = ""
    note: str = ""

    def profile(self, *, gray: bool) -> bytes | None:
        """An ICC profile for pictures in colour or gray; None where sRGB's says the same."""
        if not self.gamma and (gray or np.abs(np.subtract(self.points, _SRGB_POINTS)).max() < _SAME):
            return None
        return _gray_profile(self) if gray else _color_profile(self)


SRGB = CodedColors()
"""Or nothing that is known."""


def from_code_points(primaries: int, transfer: int) -> CodedColors | None:
    """What the code points of H.273 say; None when they leave open or name otherwise what is not known here.

    Of HDR the transfer alone has to be known: a note is all that comes of it.
    """
    title, points = _PRIMARIES.get(primaries, ("", ()))
    if transfer in _HDR:
        return CodedColors(note=HDR.format(", ".join(filter(None, (_HDR[transfer], title)))))
    gamma = _GAMMAS.get(transfer, 0.0)
    if not title or (not gamma and transfer not in _LIKE_SRGB):
        return None
    return CodedColors(points, gamma, f"{title} of gamma {gamma:g}" if gamma else title)


def from_png_numbers(gamma: int | None, chromaticities: tuple[int, ...] | None) -> CodedColors:
    """What `gAMA` and `cHRM` say, each 100,000 times the number; white stands first in `cHRM`. Nonsense says sRGB."""
    points = _checked(chromaticities)
    exponent = 0.0
    if gamma is not None and _SANE_GAMMAS[0] <= gamma / 1e5 <= _SANE_GAMMAS[1]:
        like_srgb = _GAMMAS_OF_SRGB[0] <= gamma / 1e5 <= _GAMMAS_OF_SRGB[1]
        exponent = 0.0 if like_srgb else 1e5 / gamma
    if gamma is None:
        return SRGB  # primaries without a curve are not used by others either
    return CodedColors(points, exponent, f"the file's own RGB of gamma {exponent or 2.2:.3g}")


def _checked(chromaticities: tuple[int, ...] | None) -> Chromaticities:
    if chromaticities is None:
        return _SRGB_POINTS
    white, colors = chromaticities[:2], chromaticities[2:]
    points = tuple(number / 1e5 for number in (*colors, *white))
    try:
        matrix = _to_xyz(points)
    except (np.linalg.LinAlgError, ZeroDivisionError):
        return _SRGB_POINTS
    sane = np.isfinite(matrix).all() and np.abs(matrix).max() < 2 and matrix[1].min() >= 0
    return points if sane else _SRGB_POINTS


def _to_xyz(points: Chromaticities) -> NDArray[np.float64]:
    """(3, 3), linear RGB -> XYZ, adapted to D50 by Bradford's matrix (ICC.1:2022, annex E)."""
    columns = [np.array([x / y, 1.0, (1 - x - y) / y]) for x, y in zip(points[::2], points[1::2], strict=True)]
    red_green_blue, white = np.stack(columns[:3], axis=1), columns[3]
    scaled = red_green_blue * np.linalg.solve(red_green_blue, white)
    cones = _BRADFORD @ _D50 / (_BRADFORD @ white)
    return np.linalg.inv(_BRADFORD) @ np.diag(cones) @ _BRADFORD @ scaled


def _color_profile(colors: CodedColors) -> bytes:
    tags = {b"wtpt": _xyz(_D50)}
    for name, column in zip((b"r", b"g", b"b"), _to_xyz(colors.points).T, strict=True):
        tags |= {name + b"XYZ": _xyz(column), name + b"TRC": _curve(colors.gamma)}
    return _profile(b"RGB ", colors.title, tags)


def _gray_profile(colors: CodedColors) -> bytes:
    return _profile(b"GRAY", f"Gray of gamma {colors.gamma:g}", {b"wtpt": _xyz(_D50), b"kTRC": _curve(colors.gamma)})


def _profile(space: bytes, title: str, tags: dict[bytes, bytes]) -> bytes:
    """Of version 4 (ICC.1:2022)."""
    tags = {b"desc": _text(title), b"cprt": _text("none"), **tags}
    table, body = struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        table += struct.pack(">4sII", name, 132 + 12 * len(tags) + len(body), len(data))
        body += data + b"\0" * (-len(data) % 4)
    size = 128 + len(table) + len(body)
    head = struct.pack(">I4xI4s4s4s12x4s", size, 0x04300000, b"mntr", space, b"XYZ ", b"acsp")
    return (head.ljust(68, b"\0") + _fixed(*_D50)).ljust(128, b"\0") + table + body


def _curve(gamma: float) -> bytes:
    """sRGB's for 0."""
    numbers = (gamma,) if gamma else _SRGB_CURVE
    return struct.pack(">4sIHH", b"para", 0, 0 if gamma else 3, 0) + _fixed(*numbers)


def _text(words: str) -> bytes:
    encoded = words.encode("utf-16-be")
    return struct.pack(">4sIII4sII", b"mluc", 0, 1, 12, b"enUS", len(encoded), 28) + encoded


def _xyz(column: NDArray[np.float64]) -> bytes:
    return struct.pack(">4sI", b"XYZ ", 0) + _fixed(*column)


def _fixed(*numbers: float) -> bytes:
    return struct.pack(f">{len(numbers)}i", *(round(float(number) * 65536) for number in numbers))
