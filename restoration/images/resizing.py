"""Bicubic resizing, antialiased, as Pillow does it, in the document's own depth.

8-bit results are Pillow's to the bit; deeper ones run through Pillow's float mode, one channel at a time.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from restoration.images.document import ImageDocument, Samples


def resize_color(document: ImageDocument, size: tuple[int, int]) -> Samples:
    """The colours at another size.

    Args:
        document: any depth.
        size: (height, width) wanted, pixels.

    Returns:
        a new (height, width, channels) array of the same dtype; uint16 rounded and held to its range, float32 with
        the overshoot bicubic makes at edges.
    """
    planes = document.color
    if planes.dtype == np.uint8 and planes.shape[2] == 3:
        return _resized(planes, size)
    return np.stack([_plane(planes[..., channel], size) for channel in range(planes.shape[2])], axis=2)


def resize_alpha(document: ImageDocument, size: tuple[int, int]) -> Samples | None:
    """The alpha at another (height, width), apart from the colours and as they are resized; None without alpha.

    float32 alpha is held to 0..1.
    """
    if document.alpha is None:
        return None
    resized = _plane(document.alpha, size)
    return np.clip(resized, 0.0, 1.0) if resized.dtype == np.float32 else resized


def _plane(plane: NDArray, size: tuple[int, int]) -> NDArray:
    if plane.dtype == np.uint16:
        wide = _resized(plane.astype(np.float32), size)
        return np.rint(np.clip(wide, 0, 65535)).astype(np.uint16)
    return _resized(plane, size)


def _resized(samples: NDArray, size: tuple[int, int]) -> NDArray:
    picture = Image.fromarray(np.ascontiguousarray(samples))
    return np.array(picture.resize((size[1], size[0]), Image.Resampling.BICUBIC))
