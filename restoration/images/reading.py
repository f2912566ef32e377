"""A file, whatever it holds, as an ImageDocument: upright, sRGB, in its own depth, alpha apart.

`opening` opens it and checks the limits; here it is decoded.
"""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from restoration.errors import ImageFileError
from restoration.images import color, deep, iso_media, jpeg, metadata, modes, odd_tiff
from restoration.images.depth import nominal_float
from restoration.images.document import ImageDocument, Origin
from restoration.images.formats import is_lossless_webp
from restoration.images.jpeg_quality import estimated_quality
from restoration.images.limits import Limits
from restoration.images.names import clean_name
from restoration.images.opening import DAMAGE, DAMAGED, Opened, Source, open_picture

Planes = tuple[NDArray, NDArray | None]


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
    opened = open_picture(source, limits)
    height, width = opened.image.height, opened.image.width
    if opened.orientation >= 5:
        height, width = width, height
    return Header(format=opened.format, height=height, width=width, frames=opened.frames)


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
    opened = open_picture(source, limits)
    decoded = _decoded(opened)
    exif, exif_notes = _exif(opened.image)
    managed, alpha, bits, notes = _pixels(opened, decoded)
    del decoded
    profile, profile_notes = (managed.icc, ()) if managed.icc else _told(opened, managed)
    block, block_notes = _exif_block(exif, converted=bool(managed.notes) and managed.icc is None)
    several = ("The file holds several pictures; the first was taken.",) if opened.frames > 1 else ()
    colorless = modes.is_colorless(managed.color) and (managed.icc is None or not managed.notes)
    turn = metadata.orientation(exif)
    origin = Origin(
        format=opened.format,
        bits=bits,
        gray=managed.color.shape[2] == 1,
        colorless=colorless,
        quality=_quality(opened.image),
        lossless=is_lossless_webp(opened.data),
        icc=profile,
        exif=block,
        dpi=_turned(metadata.resolution(opened.image.info), turn),
        name=clean_name(name if name is not None else _name_of(source)),
        notes=(*several, *opened.notes, *notes, *managed.notes, *profile_notes, *(exif_notes or block_notes)),
    )
    del opened  # its picture is as large as the pixels, which may have to be turned
    upright = metadata.upright
    return ImageDocument(
        color=upright(managed.color[..., :1] if colorless else managed.color, turn),
        alpha=None if alpha is None else upright(alpha, turn),
        origin=origin,
    )


def _told(opened: Opened, managed: color.Managed) -> tuple[bytes | None, tuple[str, ...]]:
    """The profile of colours that the file tells in numbers, when nothing else told them; and notes."""
    if opened.image.info.get("icc_profile"):
        return None, ()
    notes = (opened.coded.note,) if opened.coded.note else ()
    profile = opened.coded.profile(gray=managed.color.shape[2] == 1)
    return profile, (*notes, color.LEFT.format(opened.coded.title)) if profile else notes


def _quality(image: ImageFile.ImageFile) -> int | None:
    tables = getattr(image, "quantization", None)  # of JPEGs only
    return estimated_quality(tables) if tables else None


def _decoded(opened: Opened) -> Planes | None:
    """Decodes it, by Pillow; or gives colours and alpha: 8-bit JPEGs sooner so, and more bits than Pillow's 8."""
    image, data = opened.image, opened.data
    if isinstance(image, deep.FloatColorTiff | odd_tiff.OddTiff):
        return None  # `_pixels` knows who reads it
    samples = jpeg.decode(image, data)
    if samples is not None:
        return samples, None
    planes = iso_media.read_deep(image, data)
    if planes is None:
        _load(image)
    return planes


def _load(image: ImageFile.ImageFile) -> None:
    """Decodes it. A HEIC may turn out to have another size than its header says."""
    announced = image.size
    try:
        image.load()
    except DAMAGE as error:
        raise ImageFileError(DAMAGED) from error
    if image.size != announced:
        raise ImageFileError(DAMAGED)


def _pixels(opened: Opened, decoded: Planes | None) -> tuple[color.Managed, NDArray | None, int, tuple[str, ...]]:
    """Colours in sRGB, alpha, bits per channel and notes of a picture that is loaded or given decoded."""
    image, data = opened.image, opened.data
    if decoded is not None and decoded[0].dtype == np.uint8:
        return color.to_srgb(decoded[0], image.info.get("icc_profile")), None, 8, ()
    if decoded is not None:
        return *_deep_pixels(*decoded, image.info.get("icc_profile"))[:2], iso_media.bits_per_channel(image, data), ()
    if isinstance(image, odd_tiff.OddTiff):
        return _odd_pixels(image, data)
    icc = image.info.get("icc_profile")
    notes: tuple[str, ...] = ()
    if deep.is_deep(image, data):
        planes = deep.read(image, data)
        if planes is not None:
            return _deep_pixels(*planes, icc)
        notes = (deep.REDUCED,)
    elif deep.hides_bits(image, data):
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


def _odd_pixels(image: odd_tiff.OddTiff, data: bytes) -> tuple[color.Managed, NDArray | None, int, tuple[str, ...]]:
    try:
        values, alpha, notes = odd_tiff.read(image, data)
    except DAMAGE as error:
        raise ImageFileError(DAMAGED) from error
    icc = image.info.get("icc_profile")
    if values.dtype == np.uint8:
        picture = Image.fromarray(values[..., 0] if values.shape[2] == 1 else values)
        if image.mode in ("CMYK", "LAB"):
            picture = Image.frombytes(image.mode, image.size, values.tobytes())
            notes = (deep.REDUCED,) if image.bits > 8 else ()
        return color.to_srgb(picture, icc), alpha, 8, notes
    managed, alpha, bits, depth_notes = _deep_pixels(values, alpha, icc)
    return managed, alpha, bits, notes + depth_notes


def _name_of(source: Source) -> str | None:
    if isinstance(source, str | PathLike):
        return Path(source).name
    name = getattr(source, "name", None)
    return name if isinstance(name, str) else None


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
