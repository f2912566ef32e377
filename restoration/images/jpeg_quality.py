"""How well a JPEG was encoded, judged by its quantization table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from io import BytesIO

from PIL import Image

_BLOCK = (8, 8)
_TABLE_MARKER = b"\xff\xdb"  # then the segment's length, the table's number, and its 64 bytes


def estimated_quality(tables: Mapping[int, Sequence[int]]) -> int:
    """The lowest quality, 1 to 100, at which our own encoder would quantize no more coarsely than the file.

    Compared by the sum over the luminance table, number 0; for files of the same encoder that is their very quality.
    """
    if 0 not in tables:
        return 1
    coarseness = sum(tables[0])
    return next((quality for quality in range(1, 101) if _coarseness()[quality - 1] <= coarseness), 100)


@lru_cache(maxsize=1)
def _coarseness() -> tuple[int, ...]:
    """Sums of the tables that Pillow's encoder writes at the qualities 1 to 100."""
    return tuple(_written(quality) for quality in range(1, 101))


def _written(quality: int) -> int:
    stream = BytesIO()
    Image.new("L", _BLOCK).save(stream, format="JPEG", quality=quality)
    data = stream.getvalue()
    start = data.index(_TABLE_MARKER) + 5
    return sum(data[start : start + 64])
