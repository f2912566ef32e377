"""From a file's bytes to an opened Pillow picture inside all limits, before anything is decoded.

The only file that opens pictures. Order: bytes counted, format decided by content, header read, limits checked.
Pillow's own limit on pixels (a global with a warning and an error) is not involved, because the format's class is
called directly; GIF alone keeps it, for its later frames.
"""

from __future__ import annotations

import stat
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image, ImageFile
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.MpoImagePlugin import MpoImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from restoration.errors import ImageFileError
from restoration.images import color, deep, iso_media, metadata
from restoration.images.coded_colors import SRGB, CodedColors
from restoration.images.formats import identify
from restoration.images.frames import count_frames
from restoration.images.limits import Limits
from restoration.images.names import printable
from restoration.images.odd_tiff import OddTiff
from restoration.images.png_chunks import lighten
from restoration.images.tiff_directories import survey

Source = str | PathLike[str] | bytes | BinaryIO

# what decoders raise over a damaged file
DAMAGE = (OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, EOFError, ArithmeticError, RuntimeError)
DAMAGE += (struct.error, zlib.error, AttributeError, AssertionError, Image.DecompressionBombError)
DAMAGED = "The picture is damaged, cut short or of a rare kind, and cannot be read."
_STRANGE_TIFF = (
    "The TIFF is damaged, or of a rare kind that is not read; save it as PNG, or as TIFF without compression."
)
_TILE_WIDTH, _TILE_HEIGHT, _SAMPLES, _PHOTOMETRIC, _BITS, _YCBCR = 322, 323, 277, 262, 258, 6
_PROFILE = b"ICC_PROFILE\0"  # begins each of a JPEG's segments of its profile
_PREVIEW = "Large Thumbnail"  # what cameras put behind the photograph for their own screens
_SPARE_TILE = 2048  # pixels by which a TIFF's tiles may be longer than its picture, side by side
_MOST_SAMPLES = 16  # channels of a TIFF; each takes memory


class _Tiff(TiffImageFile):
    """Pillow's TIFF reader without its check of the pixel count: ours came first."""

    def load_prepare(self) -> None:
        if self._im is None:
            self.im = Image.core.new(self.mode, self._tile_size)
        super().load_prepare()

    def _setup(self) -> None:
        """Leaves uncompressed YCbCr to libtiff, which knows about its subsampling; Pillow itself does not.

        And Pillow knows 12-bit gray only where zero is black; `modes` turns it round.
        """
        white_is_zero = self.tag_v2.get(_PHOTOMETRIC) == 0 and self.tag_v2.get(_BITS) == (12,)
        if white_is_zero:
            self.tag_v2[_PHOTOMETRIC] = 1
        super()._setup()
        if white_is_zero:
            self.tag_v2[_PHOTOMETRIC] = 0
        if self.tag_v2.get(_PHOTOMETRIC) == _YCBCR and not self.use_load_libtiff:
            self.use_load_libtiff = True
            whole = (0, 0, *self._tile_size)
            rawmode = "RGBX"  # what libtiff's conversion gives
            self.tile = [ImageFile._Tile("libtiff", whole, 0, (rawmode, "raw", False, self.tag_v2.offset))]


_OPENERS: dict[str, Callable[[BinaryIO, str], ImageFile.ImageFile]] = {
    "JPEG": JpegImageFile,
    "PNG": PngImageFile,
    "WEBP": WebPImageFile,
    "BMP": BmpImageFile,
    "GIF": GifImageFile,
    "AVIF": AvifImageFile,
}


@dataclass(frozen=True, slots=True)
class Opened:
    """A picture whose header was read and found inside the limits.

    image: not decoded; its profile is in `info` and inside its limit. data: the bytes it is decoded from.
    format: as in Origin. frames: pictures in the file. coded: its colours, as far as numbers tell them.
    notes: what was left out.
    """

    image: ImageFile.ImageFile
    data: bytes
    format: str
    frames: int
    coded: CodedColors
    notes: tuple[str, ...]

    @property
    def orientation(self) -> int:
        """The EXIF orientation that is still to be applied, 1 to 8, as far as it is named before the pixels."""
        if isinstance(self.image, TiffImageFile | deep.FloatColorTiff | OddTiff):
            return 1  # their size is given upright
        try:
            # a PNG's own `getexif` would decode it to find a later one
            return metadata.orientation(Image.Image.getexif(self.image))
        except metadata.EXIF_ERRORS:
            return 1


def open_picture(source: Source, limits: Limits) -> Opened:
    """The picture in a file, not decoded.

    Raises:
        ImageFileError: not a picture read here, damaged at its head, or over a limit; one sentence, without the path.
    """
    data = bytes_of(source, limits)
    format_name = identify(data)
    notes, coded = (), SRGB
    try:
        if format_name == "PNG":
            image, data, coded, notes = _opened_png(data, limits)
            frames = count_frames(image, data, limits.frames)
        elif format_name == "TIFF":
            image, frames = _opened_tiff(data, limits)
        else:
            _check_canvas(data, limits)
            image, data = _opened(format_name, data)
            several = format_name == "JPEG" and "mp" in image.info
            frames = _jpeg_pictures(data) if several else count_frames(image, data, limits.frames)
            coded = iso_media.coded_colors(image, data)
    except DAMAGE as error:
        raise ImageFileError(DAMAGED) from error
    limits.check_input(image.height, image.width)
    limits.check_frames(frames)
    profile = image.info.get("icc_profile", b"")
    if profile is None:  # a JPEG's parts of it that do not fit together
        notes = (*notes, color.DAMAGED)
    elif len(profile) > limits.profile_megabytes * 1e6:
        del image.info["icc_profile"]
        notes = (*notes, color.OVERSIZED)
    return Opened(image, data, format_name, frames, coded, notes)


def _opened(format_name: str, data: bytes) -> tuple[ImageFile.ImageFile, bytes]:
    """The picture, and the bytes it came from: without its profile when that alone cannot be read."""
    opener = _opener(format_name)
    try:
        return opener(BytesIO(data), ""), data
    except SyntaxError:  # what Pillow makes of a segment that is too short
        if format_name != "JPEG" or _PROFILE not in data:
            raise
        data = data.replace(_PROFILE, b"ICC_DAMAGED\0")
        image = opener(BytesIO(data), "")
        image.info["icc_profile"] = None
        return image, data


def _opened_png(data: bytes, limits: Limits) -> tuple[ImageFile.ImageFile, bytes, CodedColors, tuple[str, ...]]:
    lighter = lighten(data, int(limits.profile_megabytes * 1e6))
    image = PngImageFile(BytesIO(lighter.data), "")
    if lighter.profile:
        image.info["icc_profile"] = lighter.profile
    notes = (color.OVERSIZED,) if lighter.oversized else (color.DAMAGED,) if lighter.damaged else ()
    return image, lighter.data, lighter.coded, notes


def _opened_tiff(data: bytes, limits: Limits) -> tuple[ImageFile.ImageFile, int]:
    directories = survey(data, limits.frames)
    if directories.raw:
        raise ImageFileError("Camera raw files are not read; export the photograph as TIFF, PNG or JPEG first.")
    image = _constructed_tiff(data)
    tags: Any = getattr(image, "tag_v2", {})
    if tags.get(_SAMPLES, 1) > _MOST_SAMPLES:
        raise ImageFileError(DAMAGED)
    tile = image.block if isinstance(image, OddTiff) else (tags.get(_TILE_HEIGHT, 1), tags.get(_TILE_WIDTH, 1))
    _check_tile(tile, image.size, limits)
    return image, directories.pages


def _check_tile(tile: tuple[int, int], size: tuple[int, int], limits: Limits) -> None:
    """Raises ImageFileError for a small picture in an enormous tile, for which a decoder takes the memory."""
    limits.check_input(*tile)
    if any(long > own + _SPARE_TILE for long, own in zip(sorted(tile), sorted(size), strict=True)):
        raise ImageFileError(
            f"The TIFF has tiles of {tile[1]:,} x {tile[0]:,} pixels, far larger than its picture; save it in strips."
        )


def _constructed_tiff(data: bytes) -> ImageFile.ImageFile:
    """By the first of the readers that understands it."""
    refusal: Exception | None = None
    readers = (OddTiff,) if data.startswith(b"MM\0+") else (_Tiff, deep.FloatColorTiff, OddTiff)  # Pillow errs there
    for reader in readers:
        try:
            image = reader(BytesIO(data), "")
        except DAMAGE as error:
            refusal = refusal or error
            continue
        if not deep.is_garbled(image):
            return image
        refusal = SyntaxError("separate planes")
    raise ImageFileError(_STRANGE_TIFF if survey(data, 1).pages else DAMAGED) from refusal


def _opener(format_name: str) -> Callable[[BinaryIO, str], ImageFile.ImageFile]:
    if format_name != "HEIF":
        return _OPENERS[format_name]
    try:
        from pillow_heif import HeifImageFile
    except ImportError:
        raise ImageFileError("HEIC pictures need the package pillow-heif, which is not installed here.") from None
    return HeifImageFile


def _check_canvas(data: bytes, limits: Limits) -> None:
    """The canvas of an extended WebP, for which its decoder would take the memory when it is opened."""
    if data[:4] == b"RIFF" and data[12:16] == b"VP8X" and len(data) >= 30:
        width, height = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
        limits.check_input(height, width)


def _jpeg_pictures(data: bytes) -> int:
    """The pictures of a Multi-Picture JPEG (CIPA DC-007) that are no previews; 1 when its list makes no sense."""
    try:
        listed = MpoImageFile(BytesIO(data), "").mpinfo or {}
        kinds = [entry["Attribute"]["MPType"] for entry in listed[0xB002]]
    except DAMAGE:
        return 1
    return max(1, sum(not kind.startswith(_PREVIEW) for kind in kinds))


def bytes_of(source: Source, limits: Limits) -> bytes:
    """The bytes of a source, no more than are allowed.

    Raises:
        ImageFileError: there are too many, or the file cannot be opened, or is none.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        limits.check_file(len(source))
        return bytes(source)
    if not isinstance(source, str | PathLike):
        return _read(source, limits)
    path = Path(source)
    try:
        status = path.stat()
        if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
            raise ImageFileError(f"{printable(path.name):.80} is a pipe or a device, not a file.")
        limits.check_file(status.st_size)
        with path.open("rb") as handle:
            return _read(handle, limits)
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        reason = getattr(error, "strerror", None) or "unknown"
        raise ImageFileError(f"The file {printable(path.name):.80} cannot be opened ({reason}).") from error


def _read(handle: BinaryIO, limits: Limits) -> bytes:
    data = handle.read(int(limits.megabytes * 1e6) + 1)
    limits.check_file(len(data))
    return data
