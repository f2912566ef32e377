"""How large a file, a picture and a result may be, and the sentence said when one is larger.

Checked on the file's size and on its header, before anything is decoded. Knows nothing of formats or memory.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

from restoration.errors import ImageFileError, OptionError

_PREFIX = "RESTORATION_MAX_"
_DEVICE_PREFIXES = {"cpu": "RESTORATION_CPU_MAX_", "cuda": "RESTORATION_GPU_MAX_"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The largest things accepted; a value exactly at its limit is accepted.

    megabytes: size of a file, millions of bytes.
    megapixels: width times height of an input, millions of pixels.
    output_megapixels: the same for a result.
    side: width or height of an input, pixels.
    aspect: the longer side of an input divided by the shorter one.
    frames: pictures, pages or frames in a file, of which the first is read.
    profile_megabytes: size of a colour profile, millions of bytes; a larger one is left out, and a note says so.
    per_device: what holds instead on a device, as pairs of its name ("cpu" or "cuda") and its limits.
    """

    megabytes: float = 50
    megapixels: float = 120
    output_megapixels: float = 200
    side: int = 30_000
    aspect: float = 10_000
    frames: int = 2_000
    profile_megabytes: float = 8
    per_device: tuple[tuple[str, Limits], ...] = ()

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Limits:
        """The limits with RESTORATION_MAX_MEGABYTES, ..._MEGAPIXELS, ..._SIDE and so on put in where set.

        RESTORATION_CPU_MAX_... and RESTORATION_GPU_MAX_... hold on that device only, see `on`.

        Raises:
            OptionError: one of them is not a positive, finite number.
        """
        everywhere = _changed(cls(), environ, _PREFIX)
        own = {device: _changed(everywhere, environ, prefix) for device, prefix in _DEVICE_PREFIXES.items()}
        return replace(everywhere, per_device=tuple(pair for pair in own.items() if pair[1] != everywhere))

    def on(self, device: str) -> Limits:
        """What holds on a device, "cpu" or "cuda"."""
        return dict(self.per_device).get(device, self)

    def check_file(self, size_bytes: int) -> None:
        """Raises ImageFileError when a file of `size_bytes` is too large."""
        if size_bytes > self.megabytes * 1e6:
            raise ImageFileError(
                f"The file has {_short(size_bytes / 1e6)} megabytes; the limit is {_short(self.megabytes)} megabytes."
            )

    def check_input(self, height: int, width: int) -> None:
        """Raises ImageFileError when a picture has too many pixels, too long a side, or is too thin to be read."""
        longer, shorter = max(height, width), max(1, min(height, width))
        size = f"The picture is {width:,} x {height:,} pixels"
        if longer > self.side:
            raise ImageFileError(f"{size}; the limit is {self.side:,} pixels on the longer side.")
        if height * width > self.megapixels * 1e6:
            raise ImageFileError(f"The picture is {_too_many(height, width, self.megapixels)}.")
        if longer > shorter * self.aspect:
            raise ImageFileError(f"{size}; one side may be at most {_short(self.aspect)} times as long as the other.")

    def check_frames(self, count: int) -> None:
        """Raises ImageFileError when a file holds too many pictures."""
        if count > self.frames:
            raise ImageFileError(f"The file holds more than {self.frames:,} frames or pages, which is the limit.")

    def check_output(self, height: int, width: int) -> None:
        """Raises ImageFileError when a result of that many pixels is too large to make."""
        if height * width > self.output_megapixels * 1e6:
            raise ImageFileError(f"The result would be {_too_many(height, width, self.output_megapixels)}.")


def _changed(limits: Limits, environ: Mapping[str, str], prefix: str) -> Limits:
    values = {}
    for field in fields(limits):
        text = environ.get(prefix + field.name.upper(), "").strip()
        if field.name == "per_device" or not text:
            continue
        value = _positive(text, prefix + field.name.upper())
        values[field.name] = max(1, int(value)) if field.type == "int" else value
    return replace(limits, **values)


def _too_many(height: int, width: int, limit: float) -> str:
    megapixels = _short(height * width / 1e6)
    return f"{width:,} x {height:,} pixels ({megapixels} megapixels); the limit is {_short(limit)} megapixels"


def _short(number: float) -> str:
    """7 significant digits, so that a value just over a limit does not read like the limit."""
    return f"{number:,.7g}"


def _positive(text: str, name: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise OptionError(f"{name} must be a positive number, not {text!r}.")
    return value
