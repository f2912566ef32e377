"""Pictures as arrays: rounding, linear light, and the resizes everything else is made of.

A picture is uint8 (height, width, 3) sRGB. Values are float32 (height, width, 3), nominally 0..1, either sRGB values or
linear light; the function that takes them says which.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Picture = NDArray[np.uint8]
Values = NDArray[np.float32]

FILTERS = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS, Image.Resampling.BOX)


def to_picture(values: NDArray[np.floating]) -> Picture:
    """Values in 0..255 -> uint8, rounded and clipped."""
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def reduce_bicubic(picture: Picture, scale: int) -> Picture:
    """Antialiased bicubic reduction (Pillow's filter, like MATLAB's imresize); sides are multiples of `scale`."""
    height, width = picture.shape[:2]
    image = Image.fromarray(picture).resize((width // scale, height // scale), Image.Resampling.BICUBIC)
    return np.asarray(image)


def resize(picture: Picture, size: tuple[int, int], resampling: Image.Resampling = Image.Resampling.BICUBIC) -> Picture:
    """To (height, width) with one of Pillow's filters."""
    return np.asarray(Image.fromarray(picture).resize((size[1], size[0]), resampling))


def to_values(picture: Picture) -> Values:
    """sRGB bytes -> sRGB values in 0..1."""
    return picture.astype(np.float32) / np.float32(255)


def to_light(picture: Picture, gamma: float | None = None) -> Values:
    """sRGB bytes -> linear light in 0..1.

    gamma: None = the curve of IEC 61966-2-1; a number = that power, as cameras and data sets often have it (2.2).
    """
    codes = np.arange(256) / 255
    if gamma is None:
        table = np.where(codes <= 0.04045, codes / 12.92, ((codes + 0.055) / 1.055) ** 2.4)
    else:
        table = codes**gamma
    return table.astype(np.float32)[picture]


def from_light(light: Values, gamma: float | None = None) -> Values:
    """Linear light -> sRGB values in 0..1; what is beyond 0..1 is clipped first, as a sensor does."""
    light = np.clip(light, np.float32(0), np.float32(1))
    if gamma is not None:
        return light ** np.float32(1 / gamma)
    bright = np.float32(1.055) * light ** np.float32(1 / 2.4) - np.float32(0.055)
    return np.where(light <= np.float32(0.0031308), np.float32(12.92) * light, bright)
