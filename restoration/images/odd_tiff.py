"""TIFFs that neither Pillow nor OpenCV reads, or not rightly: read with tifffile.

That is 16-bit gray with alpha, 16 and 32 bits in separate planes, whole numbers of 32 bits in colour, floats of 16 and
64 bits, CMYK and Lab of 16 bits, and big-endian BigTIFF; without compression or deflated. tifffile is imported on first
use.
"""

from __future__ import annotations

import logging
import zlib
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from restoration.errors import ImageFileError
from restoration.images.depth import by_bands, scaled_integers, to_uint8
from restoration.images.metadata import EXIF_ERRORS, exif_block, upright

if TYPE_CHECKING:
    from tifffile import TiffPage

_RGB, _CMYK, _LAB, _ICC_LAB = 2, 5, 8, 9  # photometric interpretations; 0 and 1 are gray: white is zero, black is zero
_PLAIN, _DEFLATED = 1, (8, 32946)  # compressions
_CHANNELS = {0: (1, 2), 1: (1, 2), _RGB: (3, 4), _CMYK: (4,), _LAB: (3,), _ICC_LAB: (3,)}
_MODES = {0: "L", 1: "L", _RGB: "RGB", _CMYK: "CMYK", _LAB: "LAB", _ICC_LAB: "LAB"}
_TYPES = ("uint8", "uint16", "uint32", "int16", "int32", "float16", "float32", "float64")
_PREMULTIPLIED, _UNPREMULTIPLIED = 1, 2
_BAND_ROWS = 64


class OddTiff(ImageFile.ImageFile):
    """The header of such a TIFF; its pixels come from `read`.

    turn: its orientation, 1 to 8. bits: per channel. block: (height, width) of a tile, pixels; (1, 1) without tiles.
    """

    format = "TIFF"
    format_description = "unusual TIFF"

    def _open(self) -> None:
        if self.fp is None:
            raise SyntaxError("no file")
        data = self.fp.read()
        page = _first_page(data)
        if str(page.dtype) not in _TYPES or page.samplesperpixel not in _CHANNELS.get(int(page.photometric), ()):
            raise SyntaxError("not a picture in colours known here")
        if page.photometric in (_CMYK, _LAB, _ICC_LAB) and str(page.dtype) not in ("uint8", "uint16"):
            raise SyntaxError("inks in numbers of another kind")
        if page.imagedepth != 1 or page.compression not in (_PLAIN, *_DEFLATED):
            raise SyntaxError("a volume, or packed in another way")
        self.turn, self.bits = int(_tag(page, 274, 1)), np.dtype(str(page.dtype)).itemsize * 8
        self.block = (page.tilelength, page.tilewidth) if page.is_tiled else (1, 1)
        size = (page.imagewidth, page.imagelength)
        self._size = size[::-1] if self.turn in (5, 6, 7, 8) else size
        self._mode = _MODES[int(page.photometric)]
        self.info = _info(page, data)


def read(image: OddTiff, data: bytes) -> tuple[NDArray, NDArray | None, tuple[str, ...]]:
    """Colours (height, width, 1 or 3) and alpha (height, width) or None, upright; uint8, uint16 or float; and notes.

    Of a picture whose mode is CMYK or LAB: (height, width, 4 or 3) uint8, as Pillow's mode has them.

    Raises:
        ImageFileError: the file is damaged, or larger than it says.
    """
    page = _first_page(data)
    samples = _samples(page, data)
    if image.mode in ("CMYK", "LAB"):
        return upright(_in_eight_bits(samples, int(page.photometric)), image.turn), None, ()
    channels = 3 if page.photometric == _RGB else 1
    color, alpha = samples[..., :channels], samples[..., channels] if samples.shape[2] > channels else None
    notes: tuple[str, ...] = ()
    if samples.dtype.name in ("uint32", "int16", "int32"):
        peak = int(np.iinfo(samples.dtype).max)
        color, note = scaled_integers(color, peak)
        notes = (note,) if note else ()
        if alpha is not None:
            alpha = by_bands(alpha, lambda band: band.astype(np.int64) * 65535 // peak, np.uint16)
        del samples
    if page.photometric == 0:
        color = (np.iinfo(color.dtype).max if color.dtype.kind == "u" else color.dtype.type(1)) - color
    color, alpha = _apart(color, alpha, page)
    return upright(color, image.turn), None if alpha is None else upright(alpha, image.turn), notes


def _in_eight_bits(samples: NDArray, photometric: int) -> NDArray[np.uint8]:
    """Inks, or lightness and signed colours, as Pillow's modes have them."""
    if samples.dtype == np.uint16:
        samples = to_uint8(samples) if photometric == _CMYK else by_bands(samples, lambda band: band >> 8, np.uint8)
    narrow = samples.astype(np.uint8, copy=False)
    if photometric == _ICC_LAB:  # whose colours have 128 in the middle
        narrow[..., 1:] ^= 128
    return narrow


def _samples(page: TiffPage, data: bytes) -> NDArray:
    """(height, width, channels) as stored."""
    if page.compression in _DEFLATED:
        largest = int(np.prod(page.chunks)) * page.dtype.itemsize  # pyright: ignore[reportOptionalMemberAccess]
        _check_pieces(page, data, largest)
    samples = page.asarray(maxworkers=1)
    if page.planarconfig == 2 and samples.ndim == 3:
        samples = np.moveaxis(samples, 0, 2)
    return samples.reshape(page.imagelength, page.imagewidth, page.samplesperpixel)


def _apart(color: NDArray, alpha: NDArray | None, page: TiffPage) -> tuple[NDArray, NDArray | None]:
    kind = int(next(iter(page.extrasamples), 0))
    if alpha is None or kind not in (_PREMULTIPLIED, _UNPREMULTIPLIED):
        return color, None
    return (divided(color, alpha), alpha) if kind == _PREMULTIPLIED else (color, alpha)


def divided(color: NDArray, alpha: NDArray) -> NDArray:
    """Colours that were multiplied with alpha, as they were before; black where alpha is 0."""
    peak = float(np.iinfo(color.dtype).max) if color.dtype.kind == "u" else 1.0
    out = np.empty(color.shape, color.dtype if color.dtype.kind == "u" else np.float32)
    for top in range(0, len(color), _BAND_ROWS):
        band = slice(top, top + _BAND_ROWS)
        scale = np.divide(peak, alpha[band], out=np.zeros(alpha[band].shape, np.float64), where=alpha[band] > 0)
        plain = color[band] * scale[..., None]
        out[band] = np.rint(np.minimum(plain, peak)) if color.dtype.kind == "u" else plain
    return out


def _first_page(data: bytes) -> TiffPage:
    """Raises SyntaxError when there is none, or no tifffile."""
    try:
        import tifffile
    except ImportError:
        raise SyntaxError("no tifffile") from None
    tifffile.logger().setLevel(logging.CRITICAL)  # what it says about damaged files is said by the caller
    try:
        page = tifffile.TiffFile(BytesIO(data), _multifile=False).pages[0]
    except (tifffile.TiffFileError, IndexError) as error:
        raise SyntaxError(str(error)) from error
    if not isinstance(page, tifffile.TiffPage) or page.dtype is None:
        raise SyntaxError("no pixels")
    return page


def _check_pieces(page: TiffPage, data: bytes, largest: int) -> None:
    """Raises ImageFileError when a strip or tile unpacks to more bytes than it may hold."""
    for start, count in zip(page.dataoffsets, page.databytecounts, strict=False):
        if len(zlib.decompressobj().decompress(data[start : start + count], largest + 1)) > largest:
            raise ImageFileError("The picture is damaged: it holds more than its header says.")


def _tag(page: TiffPage, code: int, default: Any) -> Any:
    return page.tags[code].value if code in page.tags else default


def _info(page: TiffPage, data: bytes) -> dict[str | tuple[int, int], Any]:
    info: dict[str | tuple[int, int], Any] = {}
    if 34675 in page.tags:
        info["icc_profile"] = bytes(_tag(page, 34675, b""))
    if 282 in page.tags and 283 in page.tags and _tag(page, 296, 2) in (2, 3):
        info["dpi"] = page.get_resolution(2)
    if page.parent.is_bigtiff:  # whose directory Pillow does not read as EXIF
        return info
    exif = Image.Exif()
    try:
        exif.load(data)  # a TIFF's first directory is laid out like an EXIF block
        block = exif_block(exif)
    except EXIF_ERRORS:
        block = None
    return info | ({"exif": block} if block else {})
