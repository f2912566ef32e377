"""An ImageDocument as a file: the format chosen, the losses said, the file put in place in one step.

What a result is written as when the format is "same":

    JPEG -> jpeg    PNG -> png    WebP -> webp    TIFF -> tiff
    BMP, GIF -> png (lossless, and no palette is forced on the result)
    AVIF -> avif where this Pillow can write it, else png
    HEIC -> jpeg, or png when parts of it are transparent

A result with a side longer than the format can hold becomes a png. `encoding_notes` says so.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, features

from restoration.errors import OptionError
from restoration.images import jpeg
from restoration.images.avif_encoder import LOSSLESS, encode_deep_avif, is_deep_avif_writable
from restoration.images.depth import to_uint8, to_uint16
from restoration.images.document import ImageDocument
from restoration.images.modes import is_colorless
from restoration.images.names import result_name
from restoration.images.png_encoder import encode_png16
from restoration.images.tiff_encoder import encode_tiff

__all__ = ["FORMATS", "encoding_notes", "output_format", "result_name", "write_image", "written_bits"]

PART = ".part"
"""The ending of a file that is being written."""
FORMATS = ("same", "png", "jpeg", "webp", "tiff")

_TITLES = {"png": "PNG", "jpeg": "JPEG", "webp": "WebP", "tiff": "TIFF", "avif": "AVIF"}
_ENDINGS = {"png": ".png", "jpeg": ".jpg", "webp": ".webp", "tiff": ".tif", "avif": ".avif"}
_REPLACED_ENDINGS = frozenset((".jpeg", ".tiff", ".bmp", ".gif", ".heic", ".heif", *_ENDINGS.values()))
_SAME = {"JPEG": "jpeg", "PNG": "png", "WEBP": "webp", "TIFF": "tiff", "AVIF": "avif"}
_LONGEST_SIDE = {
    "jpeg": 65_500,
    "webp": 16_383,
    "avif": 32_768,
}  # of AVIF: what decoders open; the format itself would hold 65,536
_LARGEST_DEEP_AVIF = 24e6  # pixels; writing one without loss takes some 56 bytes of memory each
_EIGHT_BITS = ("jpeg", "webp", "avif")
_PNG_LEVEL = 3  # of 9: half the time of the default for a few percent more bytes
_QUALITY = 92  # when none is asked for, and the input was no better
_FULL_COLOUR_QUALITY = 90  # from here on JPEG and AVIF keep colour at full resolution


def output_format(document: ImageDocument, format: str) -> str:
    """What `format` comes to for this document: "png", "jpeg", "webp", "tiff" or "avif" (never "same").

    Raises:
        OptionError: an unknown format, or one asked for by name that cannot hold so long a side.
    """
    if format not in FORMATS:
        raise OptionError(f"The format must be one of {', '.join(FORMATS)}, not {format!r}.")
    longest = max(document.height, document.width)
    if format == "same":
        own = _own_format(document)
        large = longest > _LONGEST_SIDE.get(own, longest)
        if own == "avif" and written_bits(document, own) > 8:
            large = large or document.height * document.width > _LARGEST_DEEP_AVIF
        return "png" if large else own
    if longest > _LONGEST_SIDE.get(format, longest):
        raise OptionError(
            f"{_TITLES[format]} holds at most {_LONGEST_SIDE[format]:,} pixels on a side and this picture has"
            f" {longest:,}; choose PNG or TIFF."
        )
    return format


def encoding_notes(document: ImageDocument, format: str) -> tuple[str, ...]:
    """Sentences about what the written file cannot hold or holds otherwise; empty when nothing is lost.

    Args:
        document: what will be written.
        format: one of FORMATS.

    Raises:
        OptionError: as output_format.
    """
    target = output_format(document, format)
    title, bits = _TITLES[target], document.color.dtype.itemsize * 8
    notes = []
    if format == "same" and target != _SAME.get(document.origin.format):
        reason = "its size" if target != _own_format(document) else f"its format {document.origin.format}"
        notes.append(f"The result is written as {title} because of {reason}.")
    if target in _EIGHT_BITS and written_bits(document, target) < _own_bits(document):
        notes.append(
            f"{title} holds 8 bits per channel, so the {_own_bits(document)} bits of this picture were rounded."
        )
    elif target == "png" and bits > 16:
        notes.append("PNG holds whole numbers, so the floating-point values were rounded to 16 bits.")
    if target == "jpeg" and _is_transparent(document):
        notes.append("JPEG holds no transparency, so the picture was put on white.")
    return tuple(notes)


def written_bits(document: ImageDocument, target: str) -> int:
    """Bits per channel of the written file.

    Args:
        document: what is written. target: as `output_format` gives it.
    """
    bits = document.color.dtype.itemsize * 8
    if target == "avif" and bits == 16 and is_deep_avif_writable():
        return 10 if document.origin.bits == 10 else 12
    return min(bits, {"png": 16, "tiff": 32}.get(target, 8))


def _own_bits(document: ImageDocument) -> int:
    bits = document.color.dtype.itemsize * 8
    return document.origin.bits if 8 < document.origin.bits < bits else bits


def write_image(
    document: ImageDocument, path: str | Path, *, format: str = "same", quality: int | None = None, reuse: bool = False
) -> Path:
    """Writes the document; whoever looks at the path sees the old file or the whole new one, never a part.

    Args:
        document: the picture. ICC profile, EXIF and resolution of its origin are embedded where the format can.
        path: where to. A picture's ending is replaced by the format's own (".jpg", ".png", ".webp", ".tif",
            ".avif"); any other text after a dot is part of the name.
        format: one of FORMATS.
        quality: 1 to 100 for JPEG, WebP and AVIF; JPEG and AVIF keep full colour resolution (4:4:4) from 90 on, for
            which an AVIF of more than 8 bits in colour is written without loss. None takes 92, for a JPEG the quality
            that its input seems to have if that is higher, and for a WebP whose input had no loss none either.
        reuse: the document is not needed afterwards: its samples may be overwritten, to save memory.

    Returns:
        the path written.

    Raises:
        OptionError: an unknown format, a side too long for it, a quality outside 1 to 100, or an AVIF that its
            encoder refuses.
    """
    if quality is not None and (not isinstance(quality, int) or isinstance(quality, bool) or not 1 <= quality <= 100):
        raise OptionError(f"The quality must be a whole number from 1 to 100, not {quality!r}.")
    target = output_format(document, format)
    final = with_ending(Path(path), _ENDINGS[target])
    with_temporary(final, lambda handle: _encode(_with_all_channels(document), handle, target, quality, reuse))
    return final


def with_ending(path: Path, ending: str) -> Path:
    """`path` with a picture's ending replaced, or with `ending` added when it has none."""
    replaced = path.suffix.lower() in _REPLACED_ENDINGS
    return path.with_name((path.stem if replaced else path.name) + ending)


def with_temporary(final: Path, write: Callable[[BinaryIO], object]) -> None:
    """Calls write(binary file) on a new file beside `final` and moves it there; removes it when anything fails.

    The file is locked meanwhile, so that whoever finds it without a lock knows that its writer is dead.
    """
    temporary = final.with_name(f".{secrets.token_hex(8)}{PART}")
    try:
        with temporary.open("xb") as handle:
            locked(handle)
            write(handle)
        os.replace(temporary, final)
    finally:
        temporary.unlink(missing_ok=True)


def locked(handle: BinaryIO) -> bool:
    """Locks an open file, unless somebody else has; -> whether. False where the system knows no such locks."""
    try:
        import fcntl
    except ImportError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def flattened_on_white(color: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(height, width, channels) over white with (height, width) alpha, rounded to nearest."""
    out = np.empty_like(color)
    for row in range(0, len(color), 256):  # bands keep the 16-bit intermediate small
        c = color[row : row + 256].astype(np.uint16)
        a = alpha[row : row + 256, :, None].astype(np.uint16)
        out[row : row + 256] = (c * a + 255 * (255 - a) + 127) // 255
    return out


def _own_format(document: ImageDocument) -> str:
    kind = document.origin.format
    if kind == "HEIF":
        return "png" if _is_transparent(document) else "jpeg"
    if kind == "AVIF" and not features.check("avif"):
        return "png"
    return _SAME.get(kind, "png")


def _is_transparent(document: ImageDocument) -> bool:
    return document.alpha is not None and bool((document.alpha < document.peak).any())


def _with_all_channels(document: ImageDocument) -> ImageDocument:
    """A black-and-white photo that came in three channels goes out in three."""
    if not document.origin.colorless or document.color.shape[2] == 3:
        return document
    return replace(document, color=np.repeat(document.color, 3, axis=2))


def _encode(document: ImageDocument, handle: BinaryIO, target: str, quality: int | None, reuse: bool) -> None:
    origin = document.origin
    if target == "jpeg":
        samples, options = _opaque(document), _options(document, target, quality)
        encoded = jpeg.encode(samples, options, reuse=reuse)
        if encoded is not None:
            handle.write(encoded)
            return
    if target == "avif" and written_bits(document, target) > 8:
        alpha = None if document.alpha is None else to_uint16(document.alpha)
        samples = _interleaved(to_uint16(document.color), alpha)
        bits, wanted = written_bits(document, target), _deep_avif_quality(document, quality or _QUALITY)
        handle.write(encode_deep_avif(samples, bits, wanted, icc=origin.icc, exif=origin.exif))
    elif target == "tiff":
        handle.write(encode_tiff(_interleaved_tiff(document), icc=origin.icc, exif=origin.exif, dpi=origin.dpi))
    elif target == "png" and document.color.dtype != np.uint8:
        alpha = None if document.alpha is None else to_uint16(document.alpha)
        samples = _interleaved(to_uint16(document.color), alpha)
        handle.write(encode_png16(samples, icc=origin.icc, exif=origin.exif, dpi=origin.dpi))
    else:
        _picture(document, target).save(handle, format=target.upper(), **_options(document, target, quality))


def _deep_avif_quality(document: ImageDocument, wanted: int) -> int:
    """Where colour is to stay at full resolution, no loss at all: the encoder of deep AVIFs has nothing between."""
    colored = document.color.shape[2] == 3 and not is_colorless(document.color)
    return LOSSLESS if colored and wanted >= _FULL_COLOUR_QUALITY else wanted


def _options(document: ImageDocument, target: str, wanted: int | None) -> dict[str, Any]:
    origin = document.origin
    options: dict[str, Any] = {"icc_profile": origin.icc, "exif": origin.exif, "dpi": origin.dpi}
    options = {key: value for key, value in options.items() if value}
    if target == "png":
        return {**options, "compress_level": _PNG_LEVEL}
    if target == "webp" and origin.lossless and wanted is None:
        return {**options, "lossless": True, "exact": True}
    quality = wanted or max(_QUALITY, (origin.quality or 0) if target == "jpeg" else 0)
    full_colour = quality >= _FULL_COLOUR_QUALITY
    if target == "jpeg":
        options["subsampling"] = 0 if full_colour else 2
    if target == "avif" and document.color.shape[2] == 3:
        options["subsampling"] = "4:4:4" if full_colour else "4:2:0"
    return {**options, "quality": quality}


def _picture(document: ImageDocument, target: str) -> Image.Image:
    """The document in 8 bits as Pillow's picture; over white when the format has no alpha."""
    if target == "jpeg":
        samples = _opaque(document)
    else:
        alpha = None if document.alpha is None else to_uint8(document.alpha)
        samples = _interleaved(to_uint8(document.color), alpha)
    return Image.fromarray(samples[..., 0] if samples.shape[2] == 1 else samples)


def _opaque(document: ImageDocument) -> NDArray[np.uint8]:
    """(height, width, 1 or 3) in 8 bits, over white where it is transparent."""
    color = to_uint8(document.color)
    return color if document.alpha is None else flattened_on_white(color, to_uint8(document.alpha))


def _interleaved(color: NDArray, alpha: NDArray | None) -> NDArray:
    return color if alpha is None else np.concatenate([color, alpha[..., None]], axis=2)


def _interleaved_tiff(document: ImageDocument) -> NDArray:
    """Gray with alpha in more than 8 bits goes as RGBA, since few programs open it otherwise."""
    color = document.color
    if document.alpha is not None and color.shape[2] == 1 and color.dtype != np.uint8:
        color = np.repeat(color, 3, axis=2)
    return _interleaved(color, document.alpha)
