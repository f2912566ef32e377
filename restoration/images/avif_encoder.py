"""AVIFs of 10 and 12 bits per channel, which Pillow cannot write: by OpenCV (libavif)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_SPEED = 6  # Pillow's default


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
    """
    import cv2

    peak = 2**bits - 1
    narrow = ((samples.astype(np.uint32) * peak + 32767) // 65535).astype(np.uint16)
    if narrow.shape[2] == 2:  # OpenCV knows no gray with alpha
        narrow = narrow[..., [0, 0, 0, 1]]
    elif narrow.shape[2] > 2:
        narrow = narrow[..., [2, 1, 0, 3][: narrow.shape[2]]]
    embedded = [(cv2.IMAGE_METADATA_ICCP, icc), (cv2.IMAGE_METADATA_EXIF, exif)]
    given = [(kind, np.frombuffer(data, np.uint8)) for kind, data in embedded if data]
    options = [cv2.IMWRITE_AVIF_DEPTH, bits, cv2.IMWRITE_AVIF_QUALITY, quality, cv2.IMWRITE_AVIF_SPEED, _SPEED]
    kinds, contents = [kind for kind, _ in given], [data for _, data in given]
    _, encoded = cv2.imencodeWithMetadata(".avif", np.ascontiguousarray(narrow), kinds, contents, options)
    return encoded.tobytes()
