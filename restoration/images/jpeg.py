"""JPEG from and to arrays, for which Pillow needs a copy of its own with four bytes a pixel.

simplejpeg and OpenCV carry the codec that Pillow does, and the tests hold them to Pillow's very pixels and bytes:
simplejpeg reads (OpenCV needs a second copy for it), OpenCV writes (simplejpeg rounds more coarsely). They are imported
on first use; without them, and for what they do not do alike, the answer is None and the caller stays with Pillow.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

_READ_SPACES = {"L": "GRAY", "RGB": "RGB"}  # by Pillow's mode
_BAND_ROWS = 256  # turned from RGB to BGR at a time
_FIRST_SEGMENT = 2  # behind the start of the image
_APPLICATION = range(0xE0, 0xF0)  # segments of metadata: resolution, EXIF, profile


def decode(image: ImageFile.ImageFile, data: bytes) -> NDArray[np.uint8] | None:
    """(height, width, 1 or 3) gray or RGB as stored, not turned.

    Args:
        image: opened, not decoded.
        data: its file.

    Returns: None when this is no 8-bit JPEG in gray or colour, or is damaged in any way: Pillow knows what to forgive.
    """
    if image.format != "JPEG" or image.mode not in _READ_SPACES:
        return None
    try:
        import simplejpeg
    except ImportError:
        return None
    try:
        samples: NDArray[np.uint8] = simplejpeg.decode_jpeg(data, _READ_SPACES[image.mode])
    except ValueError:
        return None
    return samples if samples.shape[:2] == (image.height, image.width) else None


def encode(samples: NDArray[np.uint8], options: dict[str, Any], *, reuse: bool = False) -> bytes | None:
    """The file that Pillow would write.

    Args:
        samples: (height, width, 1 or 3), gray or RGB.
        options: Pillow's: "quality", "subsampling" (0 for 4:4:4, 2 for 4:2:0), and metadata.
        reuse: the samples may be overwritten.

    Returns: None for gray, of which Pillow's copy is no larger, and where OpenCV cannot.
    """
    try:
        import cv2
    except ImportError:
        return None
    if samples.shape[2] == 1:
        return None
    factor = cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420 if options["subsampling"] else cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444
    wanted = [cv2.IMWRITE_JPEG_QUALITY, options["quality"], cv2.IMWRITE_JPEG_SAMPLING_FACTOR, factor]
    turned = _bgr(samples, reuse)
    try:
        written, encoded = cv2.imencode(".jpg", turned, wanted)
    except cv2.error:
        written, encoded = False, None
    if not written or encoded is None:
        if turned is samples:
            _bgr(samples, reuse)  # back again: Pillow writes them now
        return None
    small = BytesIO()
    Image.new("RGB", (8, 8)).save(small, format="JPEG", **options)
    head, body = small.getvalue(), encoded.data
    return b"".join((head[: _after_metadata(head)], body[_after_metadata(body) :]))


def _after_metadata(file: bytes | memoryview) -> int:
    """Where the segments that describe the picture itself begin."""
    at = _FIRST_SEGMENT
    while file[at] == 0xFF and file[at + 1] in _APPLICATION:
        at += 2 + int.from_bytes(file[at + 2 : at + 4], "big")
    return at


def _bgr(samples: NDArray[np.uint8], reuse: bool) -> NDArray[np.uint8]:
    """The channels the other way round, in the same memory where that may be."""
    if not (reuse and samples.flags.writeable):
        return np.ascontiguousarray(samples[..., ::-1])
    for top in range(0, len(samples), _BAND_ROWS):
        rows = samples[top : top + _BAND_ROWS]
        rows[...] = rows[..., ::-1]  # by a copy of the band
    return samples
