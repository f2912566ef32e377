"""A file, whatever it holds, as an ImageDocument: upright, sRGB, in its own depth, alpha apart.

The only file that opens pictures. Order: bytes counted, format decided by content, header read, limits checked,
and only then decoded. Pillow's own limit on pixels (a global with a warning and an error) is not involved, because
the format's class is called directly; GIF alone keeps it, for its later frames.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from restoration.errors import ImageFileError
from restoration.images import color, deep, metadata, modes
from restoration.images.depth import nominal_float
from restoration.images.document import ImageDocument, Origin
from restoration.images.formats import identify
from restoration.images.limits import Limits
from restoration.images.names import clean_name

Source = str | PathLike[str] | bytes | BinaryIO

# what decoders raise over a damaged file
_DAMAGE = (OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, EOFError, ArithmeticError, RuntimeError)
_DAMAGE += (struct.error, zlib.error, AttributeError, Image.DecompressionBombError)
_DAMAGED = "The picture is damaged or cut short and cannot be read."
_RAW_TAG = 50706  # DNG version
_TILE_WIDTH, _TILE_HEIGHT = 322, 323


class _Tiff(TiffImageFile):
    """Pillow's TIFF reader without its check of the pixel count: ours came first."""

    def load_prepare(self) -> None:
        if self._im is None:
            self.im = Image.core.new(self.mode, self._tile_size)
        super().load_prepare()


_OPENERS: dict[str, Callable[[BinaryIO, str], ImageFile.ImageFile]] = {
    "JPEG": JpegImageFile,
    "PNG": PngImageFile,
    "WEBP": WebPImageFile,
    "BMP": BmpImageFile,
    "GIF": GifImageFile,
    "AVIF": AvifImageFile,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What a file says about itself before it is decoded.

    format: as in Origin. height, width: pixels, upright. frames: pictures in the file (only the first is read).
    """

    format: str
    height: int
    width: int
    frames: int = 1

    @property
    def megapixels(self) -> float:
        """Millions of pixels."""
        return self.height * self.width / 1e6


def read_header(source: Source, *, limits: Limits = Limits()) -> Header:  # noqa: B008 - frozen
    """Format and size of a picture; limits checked, nothing decoded.

    Args:
        source: a path, a file's bytes, or an open binary file (read from where it stands).
        limits: how large file and picture may be.

    Raises:
        ImageFileError: not a picture read here, damaged at its head, or over a limit.
    """
    image, _ = _opened(_bytes_of(source, limits), limits)
    height, width = image.height, image.width
    if not isinstance(image, TiffImageFile | deep.FloatColorTiff) and _stored_orientation(image) >= 5:
        height, width = width, height
    return Header(format=image.format or "", height=height, width=width, frames=_frames(image))


def read_image(
    source: Source,
    *,
    limits: Limits = Limits(),  # noqa: B008 - frozen
    name: str | None = None,
) -> ImageDocument:
    """The first picture in a file.

    Args:
        source: a path, a file's bytes, or an open binary file (read from where it stands).
        limits: how large file and picture may be; checked before decoding.
        name: the file's name when `source` does not tell it.

    Returns:
        a document whose `origin.notes` say everything that reading changed.

    Raises:
        ImageFileError: not a picture read here, damaged, or over a limit; one sentence, without the path.
    """
    data = _bytes_of(source, limits)
    image, format_name = _opened(data, limits)
    several = _frames(image) > 1
    try:
        if not isinstance(image, deep.FloatColorTiff):
            image.load()
    except _DAMAGE as error:
        raise ImageFileError(_DAMAGED) from error
    exif, exif_notes = _exif(image)
    managed, alpha, bits, notes = _pixels(image, data)
    block, block_notes = _exif_block(exif, converted=bool(managed.notes) and managed.icc is None)
    turn = metadata.orientation(exif)
    first = ("The file holds several pictures; the first was taken.",) if several else ()
    origin = Origin(
        format=format_name,
        bits=bits,
        gray=managed.color.shape[2] == 1,
        icc=managed.icc,
        exif=block,
        dpi=_turned(metadata.resolution(image.info), turn),
        name=clean_name(name if name is not None else _name_of(source)),
        notes=(*first, *notes, *managed.notes, *(exif_notes or block_notes)),
    )
    upright = metadata.upright
    return ImageDocument(
        color=upright(managed.color, turn), alpha=None if alpha is None else upright(alpha, turn), origin=origin
    )


def _pixels(image: ImageFile.ImageFile, data: bytes) -> tuple[color.Managed, NDArray | None, int, tuple[str, ...]]:
    """Colours in sRGB, alpha, bits per channel and notes of a loaded picture."""
    icc = image.info.get("icc_profile")
    notes: tuple[str, ...] = ()
    if deep.is_deep(image, data):
        planes = deep.read(image, data)
        if planes is not None:
            return _deep_pixels(*planes, icc)
        notes = (deep.REDUCED,)
    elif deep.hides_bits(image):
        notes = (deep.REDUCED,)
    if image.mode in modes.DEEP_GRAY:
        values, alpha, bits, gray_notes = modes.deep_gray(image, getattr(image, "tag_v2", {}))
        return color.to_srgb_deep(values, icc), alpha, bits, gray_notes
    if image.format == "PNG" and image.mode == "L" and data[24] < 8 and isinstance(image.info.get("transparency"), int):
        image.info["transparency"] *= 255 // (2 ** data[24] - 1)  # Pillow widens the pixels, but not this
    picture, alpha = modes.separate(image)
    if image.format == "PNG" and data[24:26] == b"\x10\x04":  # without OpenCV Pillow shows 16-bit gray-alpha as RGBA
        picture = picture.getchannel(0)
    return color.to_srgb(picture, icc), alpha, 8, notes


def _deep_pixels(
    values: NDArray, alpha: NDArray | None, icc: bytes | None
) -> tuple[color.Managed, NDArray | None, int, tuple[str, ...]]:
    if values.dtype == np.uint16:
        return color.to_srgb_deep(values, icc), alpha, 16, ()
    values, note = nominal_float(values)
    alpha = None if alpha is None else nominal_float(alpha)[0]
    return color.to_srgb_deep(values, icc), alpha, 32, (note,) if note else ()


def _opened(data: bytes, limits: Limits) -> tuple[ImageFile.ImageFile, str]:
    """The picture's header, inside the limits, and its format."""
    format_name = identify(data)
    try:
        image = _constructed(format_name, data)
        tags: Any = getattr(image, "tag_v2", {})
        tile = (tags.get(_TILE_HEIGHT, 1), tags.get(_TILE_WIDTH, 1))
    except _DAMAGE as error:
        raise ImageFileError(_DAMAGED) from error
    if _RAW_TAG in tags:
        raise ImageFileError("Camera raw files are not read; export the photograph as TIFF, PNG or JPEG first.")
    if deep.is_garbled(image):
        raise ImageFileError("TIFFs with more than 8 bits in separate planes are not read; save it interleaved.")
    limits.check_input(image.height, image.width)
    limits.check_input(*tile)  # a small TIFF may be cut into enormous tiles
    return image, format_name


def _constructed(format_name: str, data: bytes) -> ImageFile.ImageFile:
    if format_name == "TIFF":
        try:
            return _Tiff(BytesIO(data), "")
        except SyntaxError as error:
            try:
                return deep.FloatColorTiff(BytesIO(data), "")
            except SyntaxError:
                raise error from None
    if format_name == "HEIF":
        return _heif_opener()(BytesIO(data), "")
    return _OPENERS[format_name](BytesIO(data), "")


def _heif_opener() -> Callable[[BinaryIO, str], ImageFile.ImageFile]:
    try:
        from pillow_heif import HeifImageFile
    except ImportError:
        raise ImageFileError("HEIC pictures need the package pillow-heif, which is not installed here.") from None
    return HeifImageFile


def _bytes_of(source: Source, limits: Limits) -> bytes:
    if isinstance(source, bytes | bytearray | memoryview):
        limits.check_file(len(source))
        return bytes(source)
    if isinstance(source, str | PathLike):
        path = Path(source)
        try:
            limits.check_file(path.stat().st_size)
            return path.read_bytes()
        except OSError as error:
            raise ImageFileError(f"The file {path.name} cannot be opened ({error.strerror or 'unknown'}).") from error
    data = source.read(int(limits.megabytes * 1e6) + 1)
    limits.check_file(len(data))
    return data


def _name_of(source: Source) -> str | None:
    if isinstance(source, str | PathLike):
        return Path(source).name
    name = getattr(source, "name", None)
    return name if isinstance(name, str) else None


def _frames(image: ImageFile.ImageFile) -> int:
    try:
        return int(getattr(image, "n_frames", 1))
    except _DAMAGE as error:
        raise ImageFileError(_DAMAGED) from error


def _stored_orientation(image: ImageFile.ImageFile) -> int:
    """The orientation named before the pixels; Pillow's own PNG reader would decode them to find a later one."""
    try:
        return metadata.orientation(Image.Image.getexif(image))
    except metadata.EXIF_ERRORS:
        return 1


def _exif(image: ImageFile.ImageFile) -> tuple[Image.Exif, tuple[str, ...]]:
    raw = image.info.get("exif")
    try:
        exif = image.getexif()
        if raw and not len(exif):
            Image.Exif().load(raw)  # raises again what Pillow may have met, and kept to itself, while opening
        return exif, ()
    except metadata.EXIF_ERRORS:
        return Image.Exif(), (metadata.DAMAGED_EXIF,)


def _exif_block(exif: Image.Exif, *, converted: bool) -> tuple[bytes | None, tuple[str, ...]]:
    try:
        return metadata.exif_block(exif, converted=converted), ()
    except metadata.EXIF_ERRORS:
        return None, (metadata.DAMAGED_EXIF,)


def _turned(dpi: tuple[float, float] | None, orientation: int) -> tuple[float, float] | None:
    return (dpi[1], dpi[0]) if dpi and orientation >= 5 else dpi
