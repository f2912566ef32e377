"""AVIFs of 10 and 12 bits per channel, which Pillow cannot write: by OpenCV (libavif).

OpenCV's only choices are depth, quality and speed. Below quality 100 it keeps colour at half the resolution (4:2:0),
at 100 it loses nothing (4:4:4, no conversion). pillow-heif has no AVIF encoder, and Pillow's writes 8 bits.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from restoration.errors import OptionError
from restoration.images.depth import narrowing

LOSSLESS = 100
"""The quality from which on nothing is lost, neither colour nor detail."""
_SPEED = 6  # Pillow's default
_BAND_ROWS = 64
_REFUSED = "This picture cannot be written as AVIF here; choose PNG or TIFF."


def is_deep_avif_writable() -> bool:
    """Whether OpenCV is here and can write such files with their metadata."""
    try:
        import cv2
    except ImportError:
        return False
    return hasattr(cv2, "imencodeWithMetadata")


def encode_deep_avif(
    samples: NDArray[np.uint16], bits: int, quality: int, *, icc: bytes | None = None, exif: bytes | None = None
) -> bytes:
    """The file.

    Args:
        samples: (height, width, 1 to 4), gray or RGB, alpha last; 0..65535.
        bits: 10 or 12. quality: 1 to 100, as Pillow's. icc, exif: embedded.

    Raises:
        OptionError: OpenCV cannot write this picture.
    """
    import cv2

    embedded = [(cv2.IMAGE_METADATA_ICCP, icc), (cv2.IMAGE_METADATA_EXIF, exif)]
    given = [(kind, np.frombuffer(data, np.uint8)) for kind, data in embedded if data]
    options = [cv2.IMWRITE_AVIF_DEPTH, bits, cv2.IMWRITE_AVIF_QUALITY, quality, cv2.IMWRITE_AVIF_SPEED, _SPEED]
    kinds, contents = [kind for kind, _ in given], [data for _, data in given]
    try:
        written, encoded = cv2.imencodeWithMetadata(".avif", _narrowed(samples, bits), kinds, contents, options)
    except cv2.error as error:
        raise OptionError(_REFUSED) from error
    if not written:
        raise OptionError(_REFUSED)
    return encoded.tobytes()


def _narrowed(samples: NDArray[np.uint16], bits: int) -> NDArray[np.uint16]:
    """In `bits` bits and OpenCV's order of channels; it knows no gray with alpha."""
    order = {1: [0], 2: [0, 0, 0, 1], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[samples.shape[2]]
    table, narrow = narrowing(bits), np.empty((*samples.shape[:2], len(order)), np.uint16)
    for top in range(0, len(samples), _BAND_ROWS):
        narrow[top : top + _BAND_ROWS] = table[samples[top : top + _BAND_ROWS]][..., order]
    return narrow
