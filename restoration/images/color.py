"""From the colours of a file to sRGB: ICC profiles through Little CMS (8 bits) or in numpy (more than 8).

Relative colorimetric with black point compensation, so that white stays white. Alpha never comes here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from restoration.images import matrix_profile
from restoration.images.document import Samples

DAMAGED = "The colour profile in the file is damaged and was ignored."
OVERSIZED = "The colour profile in the file is far too large and was ignored."
CMYK_UNMANAGED = "The colours were converted from CMYK to sRGB without a colour profile, so they may look different."
LEFT = "The colours were left in {}, which the result says in a profile."
LAB_CONVERTED = "The colours were converted from Lab to sRGB."

_SPACES = {"L": ("GRAY", "RGB"), "RGB": ("RGB",), "CMYK": ("CMYK",)}
_BAND_ROWS = 256
_SAME = 2  # levels of 255 by which a profile may differ from sRGB and still be called sRGB


@dataclass(frozen=True, slots=True)
class Managed:
    """Colours ready for a document.

    color: (height, width, 1 or 3). icc: the profile that still describes them (None = sRGB). notes: what was done.
    """

    color: Samples
    icc: bytes | None = None
    notes: tuple[str, ...] = ()


def to_srgb(picture: Image.Image | NDArray[np.uint8], icc: bytes | None) -> Managed:
    """An 8-bit picture in sRGB.

    Args:
        picture: mode L, RGB, CMYK or LAB, not changed; or (height, width, 1 or 3) gray or RGB, written over.
        icc: the profile embedded in the file.

    Gray stays one channel and keeps a gray profile; a profile equal to sRGB is kept; a damaged, oversized or
    unfitting one is ignored with a note.
    """
    mode = _mode(picture)
    if mode == "LAB":
        lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
        return Managed(_array(picture, _conversion(lab, mode)), notes=(LAB_CONVERTED,))
    profile, notes = _usable(icc, _SPACES[mode])
    if profile is None:
        return _unmanaged(picture, notes)
    if _space(profile) == "GRAY" or (mode != "CMYK" and _is_srgb(profile)):
        kept = icc if (_space(profile) == "GRAY") == (mode == "L") else None
        return Managed(_array(picture), icc=kept)
    try:
        convert = _conversion(profile, "RGB" if mode == "L" else mode)
    except ImageCms.PyCMSError:
        return _unmanaged(picture, (DAMAGED,))
    return Managed(_array(picture, convert), notes=(_converted_note(profile),))


def to_srgb_deep(color: Samples, icc: bytes | None) -> Managed:
    """The same for (height, width, 1 or 3) uint16 or float32.

    Profiles of curves and a matrix are applied; one made of lookup tables is kept beside unchanged colours, so
    that the written result still looks right, and a note says so.
    """
    gray = color.shape[2] == 1
    profile, notes = _usable(icc, _SPACES["L" if gray else "RGB"])
    if profile is None or icc is None:
        return Managed(color, notes=notes)
    if _space(profile) == "GRAY":
        return Managed(color, icc=icc)
    if _is_srgb(profile):
        return Managed(color, icc=None if gray else icc)
    matrix = matrix_profile.parse(icc)
    if matrix is None:
        note = f"The colours were left in {_title(profile)}: its tables cannot be applied to more than 8 bits here."
        return Managed(color, icc=None if gray else icc, notes=(note,))
    converted = matrix.to_srgb(np.repeat(color, 3, axis=2) if gray else color)
    return Managed(converted[..., :1].copy() if gray else converted, notes=(_converted_note(profile),))


def _unmanaged(picture: Image.Image | NDArray[np.uint8], notes: tuple[str, ...]) -> Managed:
    if _mode(picture) == "CMYK":
        return Managed(_array(picture, lambda band: band.convert("RGB")), notes=(*notes, CMYK_UNMANAGED))
    return Managed(_array(picture), notes=notes)


def _mode(picture: Image.Image | NDArray[np.uint8]) -> str:
    """Pillow's name for its channels."""
    if isinstance(picture, Image.Image):
        return picture.mode
    return "L" if picture.shape[2] == 1 else "RGB"


def _array(
    picture: Image.Image | NDArray[np.uint8], convert: Callable[[Image.Image], Image.Image] | None = None
) -> NDArray[np.uint8]:
    """(height, width, 1 or 3), converted and copied in bands: Pillow gives pixels out as bytes, and makes new pictures.

    An array is written over. Gray stays gray: of what its conversion makes, one channel is taken.
    """
    if isinstance(picture, np.ndarray):
        array = picture
    else:
        array = np.empty((picture.height, picture.width, 1 if picture.mode == "L" else 3), np.uint8)
    for top in range(0, len(array) if convert or array is not picture else 0, _BAND_ROWS):
        rows = array[top : top + _BAND_ROWS]
        band = _band(picture, top, rows.shape)
        made = np.asarray(convert(band) if convert else band).reshape(*rows.shape[:2], -1)
        rows[...] = made[..., : rows.shape[2]]
    return array


def _band(picture: Image.Image | NDArray[np.uint8], top: int, shape: tuple[int, ...]) -> Image.Image:
    """Some rows; cut by `resize`, since `crop` knows Pillow's own limit on pixels."""
    height, width = shape[:2]
    if isinstance(picture, Image.Image):
        return picture.resize((width, height), Image.Resampling.NEAREST, (0, top, width, top + height))
    rows = picture[top : top + height]
    return Image.fromarray(rows[..., 0] if rows.shape[2] == 1 else rows)


def _usable(icc: bytes | None, spaces: tuple[str, ...]) -> tuple[ImageCms.ImageCmsProfile | None, tuple[str, ...]]:
    if not icc:
        return None, ()
    try:
        profile = ImageCms.ImageCmsProfile(BytesIO(icc))
        if _space(profile) not in spaces:
            return None, (f"The colour profile in the file ({_title(profile)}) does not fit it and was ignored.",)
        if _space(profile) == "RGB":
            _conversion(profile, "RGB")(Image.new("RGB", (1, 1)))
    except (OSError, ImageCms.PyCMSError, ValueError):  # ValueError: text in it that is no text
        return None, (DAMAGED,)
    return profile, ()


def _space(profile: ImageCms.ImageCmsProfile) -> str:
    core: Any = profile.profile
    return core.xcolor_space.strip()


def _title(profile: ImageCms.ImageCmsProfile) -> str:
    """The profile's own name, as it may be shown: printable, at most 60 characters."""
    core: Any = profile.profile
    try:
        description = core.profile_description or ""
    except ValueError:  # not text
        description = ""
    name = "".join(c for c in description if c.isprintable()).strip()
    return name[:60].strip() or f"an unnamed {_space(profile)} profile"


def _converted_note(profile: ImageCms.ImageCmsProfile) -> str:
    return f"The colours were converted from {_title(profile)} to sRGB."


def _conversion(profile: ImageCms.ImageCmsProfile, mode: str) -> Callable[[Image.Image], Image.Image]:
    """What takes pictures of a mode (and gray ones, where it is RGB) from a profile to sRGB.

    Raises:
        PyCMSError: the profile cannot be applied.
    """
    transform = ImageCms.buildTransform(
        profile,
        ImageCms.createProfile("sRGB"),
        mode,
        "RGB",
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )

    def convert(picture: Image.Image) -> Image.Image:
        converted = ImageCms.applyTransform(picture if picture.mode == mode else picture.convert(mode), transform)
        if converted is None:
            raise ImageCms.PyCMSError("no picture came back")
        return converted

    return convert


def _is_srgb(profile: ImageCms.ImageCmsProfile) -> bool:
    """Whether 6 x 6 x 6 colours over the whole cube come out of it as they went in; its name is not asked."""
    steps = np.arange(0, 256, 51, dtype=np.uint8)
    cube = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(12, 18, 3)
    moved = np.array(_conversion(profile, "RGB")(Image.fromarray(cube)))
    return int(np.abs(moved.astype(int) - cube).max()) <= _SAME
