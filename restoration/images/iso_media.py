"""AVIF and HEIC beyond Pillow: how many bits they have, what their colours are, and their pixels of more than 8 bits.

Pillow's readers give 8 bits. AVIFs of 10 and 12 bits are decoded by OpenCV (libavif), HEICs by pillow-heif's own
interface. Boxes: ISO/IEC 14496-12, 23008-12; AV1's configuration: AV1-ISOBMFF, 2.3.3.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from restoration.errors import ImageFileError
from restoration.images.coded_colors import SRGB, CodedColors, from_code_points
from restoration.images.depth import widening
from restoration.images.modes import is_colorless
from restoration.images.odd_tiff import divided

_BOXES_END = 100_000  # bytes; the boxes that describe pictures stand at the beginning
_HIGH_DEPTH, _TWELVE_BITS = 0x40, 0x20  # in the third byte of AV1's configuration
_BAND_ROWS = 64
_DAMAGED = "The picture is damaged and cannot be read."


def bits_per_channel(image: ImageFile.ImageFile, data: bytes) -> int:
    """8, 10 or 12 for an opened AVIF or HEIC; 8 for every other format."""
    if image.format == "HEIF":
        return int(image.info.get("bit_depth", 8))
    at = data.find(b"av1C", 0, _BOXES_END) if image.format == "AVIF" else -1
    flags = data[at + 6] if 0 < at < len(data) - 6 else 0
    return (12 if flags & _TWELVE_BITS else 10) if flags & _HIGH_DEPTH else 8


def coded_colors(image: ImageFile.ImageFile, data: bytes) -> CodedColors:
    """What an opened AVIF or HEIC without a profile says about its colours in numbers."""
    if image.format == "HEIF":
        told: dict[str, Any] = image.info.get("nclx_profile") or {}
        return from_code_points(told.get("color_primaries", 2), told.get("transfer_characteristics", 2)) or SRGB
    at = data.find(b"colrnclx", 0, _BOXES_END) if image.format == "AVIF" else -1
    if at < 0:
        return SRGB
    numbers = data[at + 8 : at + 12].ljust(4, b"\0")
    return from_code_points(int.from_bytes(numbers[:2], "big"), int.from_bytes(numbers[2:], "big")) or SRGB


def read_deep(image: ImageFile.ImageFile, data: bytes) -> tuple[NDArray, NDArray | None] | None:
    """Colours (height, width, 1 or 3) and alpha (height, width) or None of more than 8 bits, widened to uint16.

    Args:
        image: an opened AVIF or HEIC. data: the whole file.

    They lie as in the file's own pixels, like Pillow's. None for a file of 8 bits, or when OpenCV is not installed.

    Raises:
        ImageFileError: the file is damaged, or its picture has another size than its header says.
    """
    bits = bits_per_channel(image, data)
    samples = None if bits <= 8 else _heic(data) if image.format == "HEIF" else _avif(data)
    if samples is None:
        return None
    if samples.shape[:2] != (image.height, image.width):
        raise ImageFileError(_DAMAGED)
    color, alpha = _widened(samples, bits)
    del samples
    if alpha is not None and image.mode.endswith("a"):
        color = divided(color, alpha)
    gray_profile = (image.info.get("icc_profile") or b"")[16:20] == b"GRAY"
    if gray_profile and is_colorless(color):  # OpenCV knows no gray with alpha
        color = color[..., :1].copy()
    return color, alpha


def _widened(samples: NDArray, bits: int) -> tuple[NDArray[np.uint16], NDArray[np.uint16] | None]:
    """Colours and alpha apart, in 16 bits, where there is no alpha in the same memory if that may be written to."""
    height, width, channels = samples.shape
    table, colors = widening(bits), channels - (channels in (2, 4))
    reused = samples.dtype == np.uint16 and samples.flags.writeable and channels == colors
    color = samples if reused else np.empty((height, width, colors), np.uint16)
    alpha = np.empty((height, width), np.uint16) if channels > colors else None
    for top in range(0, height, _BAND_ROWS):
        band = table[samples[top : top + _BAND_ROWS]]
        color[top : top + _BAND_ROWS] = band[..., :colors]
        if alpha is not None:
            alpha[top : top + _BAND_ROWS] = band[..., colors]
    return color, alpha


def _avif(data: bytes) -> NDArray | None:
    """(height, width, channels), RGB first; None when OpenCV is not installed or sees no more than 8 bits."""
    try:
        import cv2
    except ImportError:
        return None
    try:
        samples = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise ImageFileError(_DAMAGED) from error
    if samples is None:
        raise ImageFileError(_DAMAGED)
    if samples.dtype != np.uint16:
        return None
    samples = samples.reshape(*samples.shape[:2], -1)
    if samples.shape[2] >= 3:
        for top in range(0, len(samples), _BAND_ROWS):  # BGR -> RGB in the same memory
            samples[top : top + _BAND_ROWS, :, :3] = samples[top : top + _BAND_ROWS, :, 2::-1].copy()
    return samples


def _heic(data: bytes) -> NDArray:
    from pillow_heif import open_heif

    try:
        file = open_heif(BytesIO(data), convert_hdr_to_8bit=False, hdr_to_16bit=False)
        samples = np.asarray(file[file.primary_index])
    except (OSError, ValueError, SyntaxError, RuntimeError, EOFError, Image.DecompressionBombError) as error:
        raise ImageFileError(_DAMAGED) from error
    return samples.reshape(*samples.shape[:2], -1)
