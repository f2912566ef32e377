"""A decoded Pillow picture, whatever its mode, as colours and alpha apart.

Alpha is never multiplied into the colours. Gray stays one channel. Nothing is converted between colour spaces here,
except what Pillow's modes force (YCbCr to RGB).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops

from restoration.errors import ImageFileError
from restoration.images.depth import nominal_float, wide_integers

DEEP_GRAY = ("I;16", "I;16L", "I;16B", "I;16N", "I", "F")
_BAND_ROWS = 64  # compared at a time: a picture in colour shows in the first
_WHITE_IS_ZERO = 0  # TIFF's photometric interpretation
_UNSIGNED = 1  # TIFF's sample format


def separate(image: Image.Image) -> tuple[Image.Image, NDArray[np.uint8] | None]:
    """Colours and alpha of a loaded 8-bit picture.

    Returns:
        a picture of mode L, RGB, CMYK or LAB, and (height, width) uint8 alpha or None.

    Raises:
        ImageFileError: the mode is none that photographs come in.
    """
    mode, key = image.mode, image.info.get("transparency")
    if mode in ("P", "PA"):
        return _from_palette(image)
    if mode in ("LA", "RGBA"):
        return image.convert("L" if mode == "LA" else "RGB"), np.array(image.getchannel("A"))
    if mode in ("La", "RGBa"):
        return separate(image.convert(mode.upper()))
    if mode == "1":
        image, mode = image.convert("L"), "L"
    if mode in ("YCbCr", "RGBX", "HSV"):
        image, mode = image.convert("RGB"), "RGB"
    if mode == "CMYK":
        return _positive_cmyk(image), None
    if mode not in ("L", "RGB", "LAB"):
        raise ImageFileError(f"Pictures with pixels of the kind {mode!r} are not read.")
    return image, _keyed_alpha(np.asarray(image), key, 255) if key is not None else None


def is_colorless(color: NDArray) -> bool:
    """Whether the three channels of (height, width, 3) are equal everywhere."""
    bands = (color[top : top + _BAND_ROWS] for top in range(0, len(color), _BAND_ROWS))
    return color.shape[2] == 3 and all(bool((band == band[..., :1]).all()) for band in bands)


def deep_gray(image: Image.Image, tags: Mapping[int, Any]) -> tuple[NDArray, NDArray | None, int, tuple[str, ...]]:
    """A loaded picture of one of the modes DEEP_GRAY.

    Args:
        image: 16-bit, 32-bit or float gray.
        tags: the TIFF's tags, empty for other formats.

    Returns:
        color (height, width, 1) uint16 or float32; alpha (a PNG may name one transparent gray) or None; the bits
        per channel to remember (16 or 32); notes.

    Raises:
        ImageFileError: float values that are not finite.
    """
    values = np.array(image)
    bits, note = 16, None
    if image.mode == "F":
        bits = 32
        values, note = nominal_float(values)
    elif image.mode == "I":
        values, note = wide_integers(values, unsigned=_first(tags.get(339, 1)) == _UNSIGNED)
    else:
        values = values.astype(np.uint16)
        if _first(tags.get(258, 16)) == 12:
            values = ((values.astype(np.uint32) * 65535 + 2047) // 4095).astype(np.uint16)
    if _first(tags.get(262, 1)) == _WHITE_IS_ZERO:
        values = (65535 if values.dtype == np.uint16 else np.float32(1)) - values
    key = image.info.get("transparency")
    alpha = _keyed_alpha(values, key, 65535) if key is not None and values.dtype == np.uint16 else None
    return values[..., None], alpha, bits, (note,) if note else ()


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, tuple) and value else value


def _from_palette(image: Image.Image) -> tuple[Image.Image, NDArray[np.uint8] | None]:
    """Palettes become RGB, or gray when every entry in use is gray."""
    if image.palette is None:
        raise ImageFileError("The picture is damaged: its palette is missing.")
    if image.mode == "PA" or image.has_transparency_data:
        color, alpha = separate(image.convert("RGBA"))
    else:
        color, alpha = image.convert("RGB"), None
    used = np.flatnonzero(image.histogram()[:256])
    palette = np.array(image.getpalette("RGB") or [0, 0, 0]).reshape(-1, 3)
    entries = palette[used[used < len(palette)]]
    gray = bool((entries == entries[:, :1]).all())
    return (color.getchannel(0) if gray else color), alpha


def _keyed_alpha(values: NDArray, key: Any, peak: int) -> NDArray | None:
    """Alpha of a picture that names one colour as transparent; None when the key does not fit the picture."""
    wanted = np.atleast_1d(np.asarray(key)) if isinstance(key, int | tuple) else None
    if wanted is None or wanted.size != (1 if values.ndim == 2 else values.shape[2]):
        return None
    same = values == wanted if values.ndim == 2 else (values == wanted).all(axis=2)
    return np.where(same, 0, peak).astype(values.dtype)


def _positive_cmyk(image: Image.Image) -> Image.Image:
    """Pillow turns every CMYK JPEG over, as Adobe stores them; one without Adobe's marker was not turned."""
    return ImageChops.invert(image) if image.format == "JPEG" and "adobe" not in image.info else image
