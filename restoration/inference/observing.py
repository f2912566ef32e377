"""Which part of a picture a network should observe: the window that tells most about its blur.

Pure numpy; knows nothing of networks.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from restoration.images.document import Samples
from restoration.inference.tiling import Box

_STEP = 4  # pixels: structure is measured on every fourth row and column
_BAND_ROWS = 256  # of those fourth rows, worked on at a time: a large picture's would take more memory than it does
_CANDIDATES = 8  # positions along each side, at most


def observed_window(color: Samples, side: int) -> Box:
    """The square of at most `side` pixels with edges of all directions and the fewest clipped lights.

    A window is worth the smaller eigenvalue of its structure tensor: edges of one direction alone tell nothing about
    blur along them.

    Args:
        color: (height, width, channels) samples of any depth.
        side: pixels; a shorter side of the picture is taken whole.
    """
    height, width = color.shape[:2]
    tall, wide = min(side, height), min(side, width)
    if (tall, wide) == (height, width):
        return Box(0, 0, height, width)
    tensor = _structure(color)
    best, place = -1.0, (0, 0)
    for top in _starts(height, tall):
        for left in _starts(width, wide):
            rows, columns = slice(top // _STEP, (top + tall) // _STEP), slice(left // _STEP, (left + wide) // _STEP)
            xx, yy, xy = tensor[:, rows, columns].sum((1, 2))
            worth = float((xx + yy) / 2 - np.hypot((xx - yy) / 2, xy))
            if worth > best:
                best, place = worth, (top, left)
    return Box(*place, place[0] + tall, place[1] + wide)


def _starts(length: int, side: int) -> list[int]:
    """Evenly spaced places for a window along one side of a picture, half a window apart or more."""
    count = min(_CANDIDATES, 1 + -(-2 * (length - side) // side))
    return sorted({round(place) for place in np.linspace(0, length - side, count)})


def _structure(color: Samples) -> NDArray[np.float32]:
    """(3, rows, columns): the products of the gradients gx gx, gy gy, gx gy, 0 where a neighbour is clipped."""
    white = {"uint8": 255, "uint16": 65535}.get(color.dtype.name, 1)
    middle = color.shape[2] // 2  # green, or gray
    gray = color[: color.shape[0] // _STEP * _STEP, : color.shape[1] // _STEP * _STEP, middle]
    tensor = np.empty((3, len(gray) // _STEP, gray.shape[1] // _STEP), np.float32)
    for top in range(0, tensor.shape[1], _BAND_ROWS):
        band = gray[top * _STEP : (top + _BAND_ROWS) * _STEP]
        here = band[::_STEP, ::_STEP].astype(np.float32) / np.float32(white)
        right = band[::_STEP, 1::_STEP].astype(np.float32) / np.float32(white)
        below = band[1::_STEP, ::_STEP].astype(np.float32) / np.float32(white)
        lit = (here < 0.98) & (right < 0.98) & (below < 0.98)
        across, down = (right - here) * lit, (below - here) * lit
        tensor[:, top : top + len(here)] = across * across, down * down, across * down
    return tensor
