"""Between 8 bits, 16 bits and floating point, rounded to nearest; and float files brought to 0..1."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np
from numpy.typing import NDArray

from restoration.errors import ImageFileError
from restoration.images.document import Samples

_BAND = 1 << 22  # samples converted at a time, so that no second full-size array of wide numbers is needed

FLOAT_LOW, FLOAT_HIGH = -0.25, 2.0
"""A float file between these is taken as 0..1 with some overshoot and left as it is."""


def to_uint8(samples: Samples) -> NDArray[np.uint8]:
    """uint8 as is; uint16 v -> round(v / 257); float32 v -> round(255 v), held to 0..255. Same shape."""
    if samples.dtype == np.uint8:
        return cast(NDArray[np.uint8], samples)
    if samples.dtype == np.uint16:
        table = ((np.arange(65536, dtype=np.uint32) + 128) // 257).astype(np.uint8)
        return by_bands(samples, lambda band: table[band], np.uint8)
    return _quantised(samples, np.uint8, 255.0)


def to_uint16(samples: Samples) -> NDArray[np.uint16]:
    """uint16 as is; uint8 v -> 257 v; float32 v -> round(65535 v), held to 0..65535. Same shape."""
    if samples.dtype == np.uint16:
        return cast(NDArray[np.uint16], samples)
    if samples.dtype == np.uint8:
        return samples.astype(np.uint16) * np.uint16(257)
    return _quantised(samples, np.uint16, 65535.0)


def _quantised(samples: Samples, dtype: type[np.generic], peak: float) -> NDArray:
    return by_bands(samples, lambda band: np.rint(np.clip(band.astype(np.float64), 0.0, 1.0) * peak), dtype)


def nominal_float(values: NDArray) -> tuple[NDArray[np.float32], str | None]:
    """The values of a float file as float32, nominally 0..1, and a sentence when they had to be scaled.

    Between -0.25 and 2 they stay as they are (0..1 with overshoot). Non-negative values are divided by 255 when
    the largest is at most 255, by 65535 when it is at most 65535; anything else is stretched from its smallest
    (0) to its largest (1) value. Nothing is clipped.

    Raises:
        ImageFileError: a value is not a finite number.
    """
    low, high = float(values.min()), float(values.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ImageFileError("The picture has values that are not finite numbers (NaN or infinity).")
    if low >= FLOAT_LOW and high <= FLOAT_HIGH:
        return values.astype(np.float32), None
    black = 0.0 if low >= 0 else low
    white = next((peak for peak in (255.0, 65535.0) if black == 0.0 and high <= peak), high)
    span = (white - black) or 1.0
    scaled = by_bands(values, lambda band: (band.astype(np.float64) - black) / span, np.float32)
    return scaled, f"The picture's floating-point values were scaled so that {black:g} is black and {white:g} is white."


def wide_integers(values: NDArray, *, unsigned: bool) -> tuple[NDArray[np.uint16], str | None]:
    """The values of a 32-bit integer file as uint16, and a sentence when they had to be scaled.

    Args:
        values: (height, width) int32, as Pillow gives them.
        unsigned: the file held unsigned numbers, which Pillow shows as negative from 2**31 on.

    As `scaled_integers`.
    """
    if unsigned:
        return scaled_integers(np.ascontiguousarray(values, np.int32).view(np.uint32), 2**32 - 1)
    return scaled_integers(values, 2**31 - 1)


def scaled_integers(values: NDArray, largest: int) -> tuple[NDArray[np.uint16], str | None]:
    """Whole numbers of any shape as uint16, and a sentence when they are not what they were.

    Args:
        values: whole numbers of any type but uint64. largest: the largest number that the file's type can hold.

    As they are when they fit in 0..65535; over the type's whole range when they use its upper four bits; otherwise
    stretched from the smallest (0) to the largest (65535).
    """
    low, high = int(values.min()), int(values.max())
    if low >= 0 and high <= 65535:
        return values.astype(np.uint16), None
    if low >= 0 and high > largest // 16:
        rounded = by_bands(values, lambda band: np.rint(band * (65535.0 / largest)), np.uint16)
        return rounded, "The picture's 32-bit whole numbers were rounded to 16 bits."
    factor = 65535.0 / max(1, high - low)
    stretched = by_bands(values, lambda band: np.rint((band.astype(np.int64) - low) * factor), np.uint16)
    return stretched, f"The picture's whole numbers from {low:,} to {high:,} were scaled to 16 bits."


def by_bands(values: NDArray, convert: Callable[[NDArray], NDArray], dtype: type[np.generic]) -> NDArray:
    """convert(values) of the same shape, a band of rows at a time.

    Args:
        values: (height, ...). convert: works sample by sample. dtype: of what is given back.
    """
    out = np.empty(values.shape, dtype)
    rows = max(1, _BAND // max(1, values[:1].size))
    for top in range(0, len(values), rows):
        out[top : top + rows] = convert(values[top : top + rows])
    return out


def widening(bits: int) -> NDArray[np.uint16]:
    """The table from samples of `bits` bits, 8 to 16, to 16: v -> round(65535 v / peak); 65,536 entries."""
    peak = 2**bits - 1
    return ((np.minimum(np.arange(65536), peak) * 65535 + peak // 2) // peak).astype(np.uint16)


def narrowing(bits: int) -> NDArray[np.uint16]:
    """The table from 16 bits to samples of `bits` bits: v -> round(peak v / 65535); 65,536 entries."""
    return ((np.arange(65536) * (2**bits - 1) + 32767) // 65535).astype(np.uint16)
