"""Small, fast pictures for the page's before-and-after slider: 8 bits, visually lossless."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from restoration.images.depth import to_uint8
from restoration.images.document import ImageDocument
from restoration.images.writing import with_ending, with_temporary

_JPEG_QUALITY = 95
_REDUCING_GAP = 3.0  # shrink by whole factors first, down to 3 times the wanted size: faster, same to the eye
_BAND_ROWS = 512  # shrunk at a time: Pillow's own copy of a large picture would take more memory than the picture
_WEIGHTED = {"LA": "La", "RGBA": "RGBa"}  # colours by their alpha, so that invisible ones do not bleed
_PLAIN = {weighted: plain for plain, weighted in _WEIGHTED.items()}


def preview_size(document: ImageDocument, longest: int = 1600) -> tuple[int, int]:
    """(height, width) of the document shrunk to a longer side of `longest` pixels; its own size when smaller."""
    factor = min(1.0, longest / max(document.height, document.width))
    return max(1, round(document.height * factor)), max(1, round(document.width * factor))


def write_preview(
    document: ImageDocument, path: str | Path, *, longest: int = 1600, size: tuple[int, int] | None = None
) -> Path:
    """Writes a preview, in one step: a JPEG (quality 95, full colour), or a quickly packed PNG when there is alpha.

    Args:
        document: any depth; the preview has 8 bits and no metadata but a gray or RGB profile.
        path: where to; a picture's ending is replaced by ".jpg" or ".png".
        longest: the longer side, pixels. A smaller picture is not enlarged.
        size: exactly this (height, width) instead, larger or smaller; for two previews that must lie on each other.

    Returns:
        the path written.
    """
    picture = _shrunk(document, size or preview_size(document, longest))
    icc = (
        None if document.origin.colorless else document.origin.icc
    )  # a profile of colours does not fit its one channel
    options: dict[str, Any] = {"icc_profile": icc} if icc else {}
    if document.alpha is None:
        options |= {"format": "JPEG", "quality": _JPEG_QUALITY, "subsampling": 0}
    else:
        options |= {"format": "PNG", "compress_level": 1}
    final = with_ending(Path(path), ".jpg" if document.alpha is None else ".png")
    with_temporary(final, lambda handle: picture.save(handle, **options))
    return final


def reduced(document: ImageDocument, size: tuple[int, int]) -> ImageDocument:
    """What a preview of that (height, width) is made from, so that a large document need not be kept for it.

    Returns: 8 bits, in that size, or in the document's own where it has fewer pixels; in memory of its own, so that
        the document may be written over.
    """
    own = document.height, document.width
    samples = np.array(_shrunk(document, size if size[0] * size[1] < own[0] * own[1] else own))
    samples = samples.reshape(*samples.shape[:2], -1)
    if document.alpha is None:
        return replace(document, color=samples)
    return replace(document, color=samples[..., :-1], alpha=samples[..., -1])


def _shrunk(document: ImageDocument, size: tuple[int, int]) -> Image.Image:
    """The document in 8 bits and exactly that (height, width)."""
    height, width = size
    across, down = _factors(document, size)
    picture = _picture(document, across, down)
    if picture.size != (width, height):
        box = (0, 0, document.width / across, document.height / down)
        picture = picture.resize((width, height), Image.Resampling.BICUBIC, box=box)
    return picture.convert(_PLAIN.get(picture.mode, picture.mode))


def _factors(document: ImageDocument, size: tuple[int, int]) -> tuple[int, int]:
    """How many pixels (across, down) are averaged to one first."""
    height, width = size
    across, down = document.width / width / _REDUCING_GAP, document.height / height / _REDUCING_GAP
    return max(1, int(across)), max(1, int(down))


def _picture(document: ImageDocument, across: int, down: int) -> Image.Image:
    """The document in 8 bits, every `across` x `down` pixels averaged to one."""
    if (across, down) == (1, 1):
        return _band(document, 0, document.height)
    size = (-(-document.width // across), -(-document.height // down))
    step = max(1, _BAND_ROWS // down) * down
    picture = None
    for top in range(0, document.height, step):
        band = _band(document, top, top + step)
        band = band.convert(_WEIGHTED.get(band.mode, band.mode)).reduce((across, down))
        picture = picture or Image.new(band.mode, size)
        picture.paste(band, (0, top // down))
    return picture or _band(document, 0, document.height)


def _band(document: ImageDocument, top: int, bottom: int) -> Image.Image:
    """Some rows in 8 bits, alpha as a last channel."""
    samples = to_uint8(document.color[top:bottom])
    if document.alpha is not None:
        samples = np.concatenate([samples, to_uint8(document.alpha[top:bottom])[..., None]], axis=2)
    return Image.fromarray(samples[..., 0] if samples.shape[2] == 1 else samples)
