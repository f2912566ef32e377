"""File names: what a visitor's file name is allowed to become."""

from __future__ import annotations

import re
import unicodedata

UNKNOWN = "photo"
LONGEST = 80  # characters
LONGEST_BYTES = 200  # in UTF-8; file systems stop at 255

_ENDINGS = frozenset(
    ("jpg", "jpeg", "jpe", "jfif", "mpo", "png", "apng", "webp", "tif", "tiff", "bmp", "dib", "gif", "avif", "avifs")
) | {"heic", "heif", "heics", "hif"}
_REPLACED = re.compile(r'[<>:"|?*]+')
_DIRECTION_MARKS = frozenset("\u200e\u200f\u061c\ufeff\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_INVISIBLE = frozenset(("Cc", "Cs", "Cn", "Co", "Zl", "Zp"))


def without_ending(name: str) -> str:
    """`name` without a picture's ending ("a.b.JPG" -> "a.b"); other dotted parts stay ("trip.v2" -> "trip.v2")."""
    stem, dot, ending = name.rpartition(".")
    return stem if dot and ending.lower() in _ENDINGS else name


def clean_name(name: str | None) -> str:
    """A file name without ending, folders, control characters and text-direction marks; "photo" when nothing is left.

    Unicode letters stay (NFC); characters that some file systems refuse become "_"; at most 80 characters.
    """
    last = re.split(r"[/\\]", name or "")[-1]
    text = unicodedata.normalize("NFC", without_ending(last.strip()))
    text = "".join(c for c in text if unicodedata.category(c) not in _INVISIBLE and c not in _DIRECTION_MARKS)
    text = _REPLACED.sub("_", text).strip(" .-")
    return _shortened(text, LONGEST, LONGEST_BYTES) or UNKNOWN


def printable(text: str) -> str:
    """Any path or name as it may be shown in one line: what is no printable character becomes "?"."""
    return "".join(c if c.isprintable() else "?" for c in text)


def result_name(origin_name: str, suffix: str, scale: int = 1) -> str:
    """The name of a result, without ending: result_name("beach", "enlarged", 2) -> "beach-enlarged-2x".

    Args:
        origin_name: Origin.name, or any file name; cleaned like clean_name.
        suffix: what was done, one plain word.
        scale: how many times larger the result is; 1 is not mentioned.

    Returns:
        at most 80 characters and 200 bytes of UTF-8; the origin's part is shortened, never the suffix.
    """
    tail = f"-{suffix}-{scale}x" if scale > 1 else f"-{suffix}"
    return (_shortened(clean_name(origin_name), LONGEST - len(tail), LONGEST_BYTES - len(tail)) or UNKNOWN) + tail


def _shortened(text: str, characters: int, size_bytes: int) -> str:
    text = text[:characters]
    return text.encode("utf-8")[:size_bytes].decode("utf-8", "ignore").rstrip(" .-")
