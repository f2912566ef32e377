"""A face's square: which part of the photo it is, as the network takes it, and the network's change blended back in.

What is blended in is the network's *change* (its result minus its input, at 256 x 256), resampled to the face's size
and added to the photo's own pixels. A face larger than 256 pixels thereby keeps the detail that the network never
saw (and its finest noise with it); for a smaller face it is the same as pasting the result, without the loss of a trip
up to 256 and back. A network that changes nothing leaves every pixel as it was, at any size.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from restoration.images.document import ImageDocument, Samples
from restoration.pipelines.detection import Face

NETWORK_SIDE = 256
# The square around YuNet's box, as the training faces were cut. In the 200 training portraits that had room on all
# sides (the others stop at their picture's border and are tighter) the box's larger side is 167 of 256 pixels, so
# the square is 1.53 times as large, and its centre lies 4.2 pixels above the box's, 2.5 % of the box.
# sqrt(width * height) would give 1.78 and does not fit.
SQUARE_PER_BOX = 1.5
RAISED_PER_BOX = 0.03
FEATHER_FROM = 0.72  # of the way from the centre to the border: the face's box lies within, hair and neck fade out
BAND_PIXELS = 1_000_000  # how much of a face is blended at a time, so that a huge face needs no huge float copy


@dataclass(frozen=True, slots=True)
class Square:
    """A square of the picture in whole pixels; may reach out of the picture."""

    left: int
    top: int
    side: int


def face_square(face: Face) -> Square:
    """The square that is restored around a detected face."""
    side = max(2, round(SQUARE_PER_BOX * face.size))
    x = face.left + face.width / 2
    y = face.top + face.height / 2 - RAISED_PER_BOX * face.size
    return Square(round(x - side / 2), round(y - side / 2), side)


def cut(document: ImageDocument, square: Square) -> NDArray[np.float32]:
    """The square as the network takes it: (256, 256, 3), 0..1. Beyond its border the picture is mirrored."""
    return network_input(taken(document, square), document.peak)


def taken(document: ImageDocument, square: Square) -> Samples:
    """A copy of the square: (side, side, channels). Beyond its border the picture is mirrored."""
    rows = _mirrored(square.top, square.side, document.height)
    columns = _mirrored(square.left, square.side, document.width)
    return document.color[rows[:, None], columns]


def network_input(samples: Samples, peak: float) -> NDArray[np.float32]:
    """(side, side, channels) in 0..peak -> (256, 256, 3) in 0..1.

    Bicubic; antialiased when the square is larger than 256. Gray is repeated three times.
    """
    channels = [
        _resized(_unit(samples[..., channel], peak), (NETWORK_SIDE, NETWORK_SIDE))
        for channel in range(samples.shape[2])
    ]
    return np.clip(np.stack(channels * (3 // len(channels)), axis=-1), 0, 1)


def blend(
    result: Samples, document: ImageDocument, square: Square, change: NDArray[np.float32], strength: float = 1.0
) -> None:
    """Blends the changed face over `result`, in place, under a mask that fades to 0 at the square's border.

    Where an earlier face already changed `result`, this one is laid over it: no change is added twice.

    Args:
        result: (height, width, channels), the document's dtype.
        document: the photo as it came.
        square: which part; its pixels inside the picture are written, in bands of rows.
        change: (256, 256, channels), restored minus input, in 0..1 units.
        strength: 0..1, multiplies the mask.
    """
    left, right = max(0, square.left), min(document.width, square.left + square.side)
    first, last = max(0, square.top), min(document.height, square.top + square.side)
    columns = slice(left - square.left, right - square.left)
    whole_numbers, peak = document.color.dtype.kind == "u", np.float32(document.peak)
    step = max(1, BAND_PIXELS // square.side)
    for top in range(first, last, step):
        band = slice(top, min(top + step, last))
        rows = slice(band.start - square.top, band.stop - square.top)
        weight = np.float32(strength) * face_mask(square.side, rows)[:, columns, None]
        own, area = document.color[band, left:right], result[band, left:right]
        restored = own + peak * _resampled(change, square.side, rows)[:, columns]
        restored = np.clip(restored, np.minimum(own, 0), np.maximum(own, peak))  # float files may hold more than 0..1
        mixed = area + weight * (restored - area)
        area[...] = np.rint(mixed) if whole_numbers else mixed


def face_mask(side: int, rows: slice) -> NDArray[np.float32]:
    """Rows of the (side, side) mask: 1 over the face, a smooth fall, exactly 0 at the border. side >= 2.

    A rounded square (|u|^4 + |v|^4 = 1), smoothstep from `FEATHER_FROM` to 1 of its radius.
    """
    across = (2 * np.arange(side, dtype=np.float32) + 1 - side) / (side - 1)
    radius = (across[rows, None] ** 4 + across**4) ** 0.25
    inside = np.clip((1 - radius) / (1 - FEATHER_FROM), 0, 1)
    return (inside * inside * (3 - 2 * inside)).astype(np.float32, copy=False)


def _mirrored(start: int, length: int, size: int) -> NDArray[np.intp]:
    """Indices start .. start + length - 1, reflected at the borders of 0 .. size - 1 as often as needed."""
    period = max(1, 2 * (size - 1))
    folded = np.arange(start, start + length) % period
    return np.minimum(folded, period - folded)


def _unit(values: Samples, peak: float) -> NDArray[np.float32]:
    """Samples as float32 0..1; what a float file may hold beyond is brought into the range."""
    return np.clip(values.astype(np.float32) / np.float32(peak), 0, 1)


def _resized(
    values: NDArray[np.float32], size: tuple[int, int], box: tuple[float, float, float, float] | None = None
) -> NDArray[np.float32]:
    """One channel to (height, width), bicubic, antialiased when it shrinks; `box` is (left, top, right, bottom)."""
    image = Image.fromarray(np.ascontiguousarray(values))
    return np.asarray(image.resize((size[1], size[0]), Image.Resampling.BICUBIC, box=box), dtype=np.float32)


def _resampled(change: NDArray[np.float32], side: int, rows: slice) -> NDArray[np.float32]:
    """Some rows of `change` resampled to (side, side): (rows, side, channels)."""
    scale = change.shape[0] / side
    box = (0, rows.start * scale, change.shape[1], rows.stop * scale)
    size = (rows.stop - rows.start, side)
    return np.stack([_resized(change[..., channel], size, box) for channel in range(change.shape[2])], axis=-1)
