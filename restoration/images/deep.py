"""Colour pictures of more than 8 bits, which Pillow shows as 8 or not at all: read with OpenCV.

OpenCV gives BGR, applies a TIFF's orientation and no PNG's, and applies no gamma; the tests hold it to that. It is
imported on first use; without it `read` answers None and the caller stays with Pillow's 8 bits.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from restoration.errors import ImageFileError
from restoration.images.iso_media import bits_per_channel
from restoration.images.metadata import EXIF_ERRORS, exif_block
from restoration.images.odd_tiff import divided

REDUCED = "The picture has more than 8 bits per channel; it was read with 8."

_PNG_COLOR_TYPES = (2, 4, 6)  # RGB, gray with alpha, RGB with alpha
_PNG_GRAY_ALPHA = 4
_RGB = 2  # TIFF's photometric interpretation
_PREMULTIPLIED, _UNPREMULTIPLIED = 1, 2  # TIFF's extra samples


class FloatColorTiff(ImageFile.ImageFile):
    """The header of a float RGB(A) TIFF, which Pillow's own reader refuses; its pixels come from `read`."""

    format = "TIFF"
    format_description = "floating-point RGB TIFF"

    def _open(self) -> None:
        if self.fp is None:
            raise SyntaxError("no file")
        data = self.fp.read()
        if data[2:4] not in (b"*\0", b"\0*"):
            raise SyntaxError("not a classic TIFF")
        tags = ImageFileDirectory_v2(data[:8])
        stream = BytesIO(data)
        stream.seek(tags.next)
        tags.load(stream)
        bits = tags.get(258, (1,))
        if set(tags.get(339, (1,))) != {3} or not _is_rgb(tags) or not set(bits) <= {32, 64}:
            raise SyntaxError("not a float RGB TIFF")
        width, height = tags[256], tags[257]
        self._size = (height, width) if tags.get(274, 1) in (5, 6, 7, 8) else (width, height)
        self._mode = "RGB"
        self.tag_v2 = tags
        self.info = _float_tiff_info(tags, data)


def _float_tiff_info(tags: ImageFileDirectory_v2, data: bytes) -> dict[str | tuple[int, int], Any]:
    info: dict[str | tuple[int, int], Any] = {}
    if 34675 in tags:
        info["icc_profile"] = tags[34675]
    if 282 in tags and 283 in tags and tags.get(296, 2) in (2, 3):
        inch = 2.54 if tags.get(296, 2) == 3 else 1.0
        info["dpi"] = (float(tags[282]) * inch, float(tags[283]) * inch)
    exif = Image.Exif()
    try:
        exif.load(data)  # a TIFF's first directory is laid out like an EXIF block
        block = exif_block(exif)
    except EXIF_ERRORS:
        block = None
    if block:
        info["exif"] = block
    return info


def is_deep(image: ImageFile.ImageFile, data: bytes) -> bool:
    """Whether the file holds more than 8 bits in more than one channel, of a kind `read` knows."""
    if image.format == "PNG":
        return data[24] == 16 and data[25] in _PNG_COLOR_TYPES  # the IHDR chunk is always first
    if isinstance(image, FloatColorTiff):
        return True
    tags = _tags(image)
    return image.format == "TIFF" and _is_rgb(tags) and set(tags.get(258, (8,))) == {16}


def is_garbled(image: ImageFile.ImageFile) -> bool:
    """A TIFF whose pixels Pillow mixes up or cannot read.

    That is more than 8 bits, gray with alpha or multiplied alpha in separate planes, or packed big-endian 32-bit
    numbers.

    (libtiff turns the bytes of packed numbers round, and Pillow turns them once more.)
    """
    tags = _tags(image)
    if tags.get(284, 1) == 2 and (
        max(tags.get(258, (8,))) > 8 or image.mode == "LA" or _PREMULTIPLIED in tags.get(338, ())
    ):
        return True
    return image.mode in ("F", "I") and getattr(tags, "prefix", b"II") == b"MM" and tags.get(259, 1) != 1


def hides_bits(image: ImageFile.ImageFile, data: bytes) -> bool:
    """Whether an 8-bit picture from Pillow had more bits in its file (16-bit CMYK TIFF, 10-bit AVIF, ...)."""
    if bits_per_channel(image, data) > 8:
        return True
    bits = _tags(image).get(258, (8,))
    return image.mode in ("LA", "RGB", "RGBA", "CMYK", "LAB", "YCbCr") and max(bits) > 8


def read(image: ImageFile.ImageFile, data: bytes) -> tuple[NDArray, NDArray | None] | None:
    """Colours (height, width, 1 or 3) and alpha (height, width) or None, uint16 or float32, as stored.

    A TIFF comes upright, a PNG as it lies in the file. None when OpenCV is not installed or sees fewer bits.

    Raises:
        ImageFileError: the file is damaged.
    """
    try:
        import cv2
    except ImportError:
        if isinstance(image, FloatColorTiff):
            raise ImageFileError("Floating-point colour TIFFs need OpenCV, which is not installed here.") from None
        return None
    try:
        samples = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise ImageFileError("The picture is damaged and cannot be read.") from error
    if samples is None or samples.shape[:2] != (image.height, image.width):
        raise ImageFileError("The picture is damaged and cannot be read.")
    if samples.ndim != 3 or samples.shape[2] not in (3, 4) or samples.dtype == np.uint8:
        return None
    if samples.dtype == np.float64:
        samples = samples.astype(np.float32)
    return _channels(image, data, samples)


def _channels(image: ImageFile.ImageFile, data: bytes, samples: NDArray) -> tuple[NDArray, NDArray | None]:
    alpha = samples[..., 3].copy() if samples.shape[2] == 4 else None
    if image.format == "PNG" and data[25] == _PNG_GRAY_ALPHA:
        return samples[..., :1].copy(), alpha
    color = np.ascontiguousarray(samples[..., 2::-1])
    if image.format == "PNG" or alpha is None:
        return color, alpha
    kind = next(iter(_tags(image).get(338, (_UNPREMULTIPLIED,))), _UNPREMULTIPLIED)
    if kind == _PREMULTIPLIED:
        return divided(color, alpha), alpha
    return color, alpha if kind == _UNPREMULTIPLIED else None


def _is_rgb(tags: Any) -> bool:
    """RGB with its channels side by side."""
    return tags.get(262) == _RGB and tags.get(284, 1) == 1


def _tags(image: ImageFile.ImageFile) -> Any:
    return getattr(image, "tag_v2", {})
