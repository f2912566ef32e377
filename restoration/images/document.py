"""The one image type of this program: what a file holds, from the reader to the writer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from restoration.errors import ImageFileError

Samples = NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What the file was, so that the result can be written the same way.

    format: Pillow's format name ("JPEG", "PNG", "TIFF", "WEBP", "BMP", "GIF", "AVIF", "HEIF").
    bits: bits per channel in the file (8, 16, or 32 for float; 10 or 12 in an AVIF or HEIC, whose samples are uint16).
    gray: the file held one colour channel.
    icc: the ICC profile to embed in the result (None = plain sRGB, nothing embedded).
    exif: EXIF block without orientation, thumbnail and GPS; None when there is none.
    dpi: (horizontal, vertical) pixels per inch, None when unknown.
    name: the file name without its ending, cleaned of path parts and control characters ("photo" when unknown).
    quality: of a JPEG, how well it was encoded, 1 to 100, estimated; None for other formats.
    lossless: of a WebP, that it was encoded without loss.
    colorless: the file held three channels, all equal: a black-and-white photo stored in colour. The document has one
        channel, so that nothing can tint it, and the result is written with three.
    notes: sentences about what reading changed ("Colours were converted from Display P3 to sRGB.").
    """

    format: str = "PNG"
    bits: int = 8
    gray: bool = False
    icc: bytes | None = None
    exif: bytes | None = None
    dpi: tuple[float, float] | None = None
    name: str = "photo"
    quality: int | None = None
    lossless: bool = False
    colorless: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageDocument:
    """A photograph in memory: upright, sRGB, in its file's own depth.

    color: (height, width, 3) RGB or (height, width, 1) gray, C-contiguous; uint8 0..255, uint16 0..65535, or
        float32 nominally 0..1 (float files only). Alpha is never multiplied into it.
    alpha: (height, width), the same dtype as color; None when the file has no transparency.
    """

    color: Samples
    alpha: Samples | None = None
    origin: Origin = Origin()

    def __post_init__(self) -> None:
        if self.color.ndim != 3 or self.color.shape[2] not in (1, 3):
            raise ValueError(f"color must be (height, width, 1 or 3), not {self.color.shape}")
        if self.alpha is not None and self.alpha.shape != self.color.shape[:2]:
            raise ValueError(f"alpha {self.alpha.shape} does not fit color {self.color.shape}")

    @property
    def height(self) -> int:
        """Pixels."""
        return self.color.shape[0]

    @property
    def width(self) -> int:
        """Pixels."""
        return self.color.shape[1]

    @property
    def megapixels(self) -> float:
        """Millions of pixels."""
        return self.height * self.width / 1e6

    @property
    def peak(self) -> float:
        """The value of white: 255, 65535 or 1.0."""
        return {"uint8": 255.0, "uint16": 65535.0}.get(self.color.dtype.name, 1.0)


def require_finite(document: ImageDocument) -> None:
    """Refuses a float picture with holes in it.

    Raises:
        ImageFileError: a colour value is NaN or infinite.
    """
    if document.color.dtype.kind == "f" and not np.isfinite(document.color).all():
        raise ImageFileError("The picture holds values that are not numbers (NaN or infinity).")
