"""How large a file, a picture and a result may be, and the sentence said when one is larger.

Checked on the file's size and on its header, before anything is decoded. Knows nothing of formats or memory.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from restoration.errors import ImageFileError, OptionError

_PREFIX = "RESTORATION_MAX_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The largest things accepted; a value exactly at its limit is accepted.

    megabytes: size of a file, millions of bytes.
    megapixels: width times height of an input, millions of pixels.
    output_megapixels: the same for a result.
    side: width or height of an input, pixels.
    """

    megabytes: float = 50
    megapixels: float = 120
    output_megapixels: float = 200
    side: int = 30_000

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Limits:
        """The limits with RESTORATION_MAX_MEGABYTES, _MEGAPIXELS, _OUTPUT_MEGAPIXELS and _SIDE put in where set.

        Raises:
            OptionError: one of them is not a positive, finite number.
        """
        default = cls()
        return cls(
            megabytes=_positive(environ, "MEGABYTES", default.megabytes),
            megapixels=_positive(environ, "MEGAPIXELS", default.megapixels),
            output_megapixels=_positive(environ, "OUTPUT_MEGAPIXELS", default.output_megapixels),
            side=max(1, int(_positive(environ, "SIDE", default.side))),
        )

    def check_file(self, size_bytes: int) -> None:
        """Raises ImageFileError when a file of `size_bytes` is too large."""
        if size_bytes > self.megabytes * 1e6:
            raise ImageFileError(
                f"The file has {_short(size_bytes / 1e6)} megabytes; the limit is {_short(self.megabytes)} megabytes."
            )

    def check_input(self, height: int, width: int) -> None:
        """Raises ImageFileError when a picture of that many pixels, or with that long a side, is too large to read."""
        if max(height, width) > self.side:
            raise ImageFileError(
                f"The picture is {width:,} x {height:,} pixels; the limit is {self.side:,} pixels on the longer side."
            )
        if height * width > self.megapixels * 1e6:
            raise ImageFileError(f"The picture is {_too_many(height, width, self.megapixels)}.")

    def check_output(self, height: int, width: int) -> None:
        """Raises ImageFileError when a result of that many pixels is too large to make."""
        if height * width > self.output_megapixels * 1e6:
            raise ImageFileError(f"The result would be {_too_many(height, width, self.output_megapixels)}.")


def _too_many(height: int, width: int, limit: float) -> str:
    megapixels = _short(height * width / 1e6)
    return f"{width:,} x {height:,} pixels ({megapixels} megapixels); the limit is {_short(limit)} megapixels"


def _short(number: float) -> str:
    """7 significant digits, so that a value just over a limit does not read like the limit."""
    return f"{number:,.7g}"


def _positive(environ: Mapping[str, str], name: str, default: float) -> float:
    text = environ.get(_PREFIX + name, "").strip()
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise OptionError(f"{_PREFIX}{name} must be a positive number, not {text!r}.")
    return value
