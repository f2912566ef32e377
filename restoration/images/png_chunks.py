"""A PNG without its texts and its colour chunks; texts and profile may be a thousand times larger than they look.

They are packed, and a reader unpacks them before anybody can ask how large they are. Here the profile is unpacked up
to its limit, and of the texts only those few stay that may hold an orientation. EXIF is put before the pixels, so that
the orientation is known with the header. Format: PNG, third edition (W3C, 2025).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from restoration.errors import ImageFileError
from restoration.images.coded_colors import SRGB, UNSPECIFIED, CodedColors, from_code_points, from_png_numbers

_SIGNATURE = 8  # bytes
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_COLORS = (b"cICP", b"iCCP", b"sRGB", b"gAMA", b"cHRM")
_KEPT_TEXTS = (b"Raw profile type exif\0", b"Raw profile type APP1\0", b"XML:com.adobe.xmp\0")
_LARGEST_TEXT = 500_000  # bytes, unpacked
_MOST_TEXTS = 2
_MOST_CHUNKS = 150_000


@dataclass(frozen=True, slots=True)
class Lightened:
    """data: the file without what was taken out. profile: the ICC profile; None when there is none.

    oversized: there is one, larger than the limit. damaged: there is one, and it cannot be unpacked.
    coded: the colours told in numbers, where no profile tells them.
    """

    data: bytes
    profile: bytes | None = None
    oversized: bool = False
    damaged: bool = False
    coded: CodedColors = SRGB


def lighten(data: bytes, largest_profile: int) -> Lightened:
    """Takes texts and profile out of a whole file; chunks behind a broken one stay as they are.

    Raises:
        ImageFileError: it is cut into more chunks than any photograph.
    """
    texts, kept, late, colors, end, pixels = _Texts(), [data[:_SIGNATURE]], b"", dict[bytes, bytes](), _SIGNATURE, False
    for start, end, kind in _chunks(data):
        body = data[start + 8 : end - 4]
        pixels = pixels or kind == b"IDAT"
        if kind in _COLORS and not pixels:
            colors.setdefault(kind, body)
        if kind == b"eXIf" and pixels:
            late = late or data[start:end]
        elif kind not in _COLORS and (kind not in _TEXTS or texts.takes(kind, body)):
            kept.append(data[start:end])
    kept.append(data[end:])
    if late:
        kept.insert(2, late)  # behind the header
    lighter = b"".join(kept) if late or sum(map(len, kept)) < len(data) else data
    points = colors.get(b"cICP", b"")
    named = from_code_points(points[0], points[1]) if len(points) == 4 else None
    if b"iCCP" in colors and (named is None or UNSPECIFIED in points[:2]):
        return _with_profile(lighter, colors[b"iCCP"], largest_profile)
    return Lightened(lighter, coded=named or _coded(colors))


def _coded(colors: dict[bytes, bytes]) -> CodedColors:
    """By the chunk that counts most of those below `cICP` and `iCCP` (section 11.3.2)."""
    if b"sRGB" in colors:
        return SRGB
    gamma, points = colors.get(b"gAMA", b""), colors.get(b"cHRM", b"")
    return from_png_numbers(
        int.from_bytes(gamma, "big") if len(gamma) == 4 else None,
        struct.unpack(">8I", points) if len(points) == 32 else None,
    )


def _chunks(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Begin, end and kind of every whole chunk; raises ImageFileError when they are too many."""
    at = _SIGNATURE
    for _ in range(_MOST_CHUNKS):
        if at + 12 > len(data):
            return
        length, kind = struct.unpack_from(">I4s", data, at)
        if at + 12 + length > len(data):
            return
        yield at, at + 12 + length, kind
        at += 12 + length
    raise ImageFileError(f"The PNG is cut into more than {_MOST_CHUNKS:,} chunks, which is the limit.")


def _with_profile(data: bytes, body: bytes, largest: int) -> Lightened:
    _, _, packed = body.partition(b"\0")
    try:
        profile = _unpacked(packed[1:], largest)
    except zlib.error:
        return Lightened(data, damaged=True)
    return Lightened(data, profile) if profile is not None else Lightened(data, oversized=True)


@dataclass(slots=True)
class _Texts:
    """The texts of one file that may hold EXIF or XMP: few, and small also when taken together.

    bytes_left: how much they may still unpack to.
    """

    taken: int = 0
    bytes_left: int = field(default=_MOST_TEXTS * _LARGEST_TEXT)

    def takes(self, kind: bytes, body: bytes) -> bool:
        """Whether this text stays."""
        if self.taken == _MOST_TEXTS or not body.startswith(_KEPT_TEXTS) or len(body) > _LARGEST_TEXT:
            return False
        packed = _packed_part(kind, body)
        fits = packed is None or self._unpacks(packed)
        self.taken += fits
        return fits

    def _unpacks(self, packed: bytes) -> bool:
        largest = min(_LARGEST_TEXT, self.bytes_left)
        if not largest:
            return False
        try:
            plain = _unpacked(packed, largest)
        except zlib.error:
            plain = None
        self.bytes_left -= largest if plain is None else len(plain)  # in vain it may have cost all of it
        return plain is not None


def _packed_part(kind: bytes, body: bytes) -> bytes | None:
    """The packed bytes of a text; None where nothing is packed."""
    behind_key = body.partition(b"\0")[2]
    if kind == b"iTXt" and behind_key[:1] == b"\1":
        return behind_key[2:].split(b"\0", 2)[-1]
    return behind_key[1:] if kind == b"zTXt" else None


def _unpacked(packed: bytes, largest: int) -> bytes | None:
    """None when more than `largest` bytes come out.

    Raises:
        zlib.error: it is damaged or cut short.
    """
    unpacker = zlib.decompressobj()
    plain = unpacker.decompress(packed, largest + 1)
    if len(plain) > largest:
        return None
    if not unpacker.eof:
        raise zlib.error("cut short")
    return plain
