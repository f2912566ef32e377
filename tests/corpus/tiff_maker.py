"""TIFF files written by hand, classic and big, in either byte order, with whatever the tags say. TIFF 6.0 (1992)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

BYTE, ASCII, SHORT, LONG, RATIONAL, UNDEFINED, LONG8 = 1, 2, 3, 4, 5, 7, 16
_CODES = {BYTE: "B", SHORT: "H", LONG: "I", LONG8: "Q"}
Value = tuple[int, Sequence[int] | bytes]


@dataclass
class Page:
    """One directory: its tags, its pieces (strips or tiles), and the directories below it."""

    tags: dict[int, Value]
    pieces: list[bytes] = field(default_factory=list)
    tiled: bool = False
    below: list[Page] = field(default_factory=list)


def packed(data: bytes, compression: int) -> bytes:
    """Bytes as they stand in the file: as they are (1), deflated (8), or PackBits without runs (32773)."""
    if compression == 8:
        return zlib.compress(data)
    if compression == 32773:
        parts = [data[at : at + 128] for at in range(0, len(data), 128)]
        return b"".join(bytes([len(part) - 1]) + part for part in parts)
    return data


def page_of(
    samples: np.ndarray,
    *,
    order: str = "<",
    compression: int = 1,
    planar: bool = False,
    tile: int = 0,
    predictor: int = 1,
    **tags: Value,
) -> Page:
    """A picture of (height, width, channels), in strips of 8 rows or in square tiles of `tile` pixels.

    tags: t339=(SHORT, [3]) overrides or adds tag 339.
    """
    height, width, channels = samples.shape
    bits, kind = samples.itemsize * 8, {"u": 1, "i": 2, "f": 3, "b": 1}[samples.dtype.kind]
    planes = [samples[..., c : c + 1] for c in range(channels)] if planar else [samples]
    pieces = [packed(_raw(piece, order, predictor), compression) for plane in planes for piece in _cut(plane, tile)]
    given = {int(name[1:]): value for name, value in tags.items()}
    own: dict[int, Value] = {
        256: (LONG, [width]),
        257: (LONG, [height]),
        258: (SHORT, [bits] * channels),
        259: (SHORT, [compression]),
        262: (SHORT, [2 if channels >= 3 else 1]),
        277: (SHORT, [channels]),
        284: (SHORT, [2 if planar else 1]),
        339: (SHORT, [kind] * channels),
    }
    own |= {322: (LONG, [tile]), 323: (LONG, [tile])} if tile else {278: (LONG, [8])}
    if predictor != 1:
        own[317] = (SHORT, [predictor])
    if channels in (2, 4) and given.get(262, own[262])[1][0] != 5:
        own[338] = (SHORT, [2])
    return Page(own | given, pieces, tiled=bool(tile))


def _cut(plane: np.ndarray, tile: int) -> list[np.ndarray]:
    if not tile:
        return [plane[top : top + 8] for top in range(0, len(plane), 8)]
    height, width = plane.shape[:2]
    padded = np.pad(plane, ((0, -height % tile), (0, -width % tile), (0, 0)))
    starts = [(y, x) for y in range(0, height, tile) for x in range(0, width, tile)]
    return [padded[y : y + tile, x : x + tile] for y, x in starts]


def _raw(piece: np.ndarray, order: str, predictor: int) -> bytes:
    if predictor == 2:
        piece = np.concatenate([piece[:, :1], np.diff(piece, axis=1)], axis=1)
    return piece.astype(piece.dtype.newbyteorder(order)).tobytes()


def blocks_of(ycbcr: np.ndarray, across: int, down: int) -> bytes:
    """(height, width, 3) YCbCr packed by TIFF 6.0, section 21: of each block its lightnesses, then its colours."""
    height, width = ycbcr.shape[:2]
    padded = np.pad(ycbcr, ((0, -height % down), (0, -width % across), (0, 0)), mode="edge")
    rows, columns = padded.shape[0] // down, padded.shape[1] // across
    blocks = padded.reshape(rows, down, columns, across, 3).swapaxes(1, 2)
    light = blocks[..., 0].reshape(rows, columns, down * across)
    tones = np.rint(blocks[..., 1:].astype(float).mean((2, 3))).astype(np.uint8)
    return np.concatenate([light, tones], axis=2).tobytes()


def tiff(*pages: Page, order: str = "<", big: bool = False) -> bytes:
    """The file of these pages, each linked to the next."""
    mark = b"II" if order == "<" else b"MM"
    head = struct.pack(order + "HHHQ", 43, 8, 0, 16) if big else struct.pack(order + "HI", 42, 8)
    body = bytearray(mark + head)
    link = 8 if big else 4
    for page in pages:
        at, after = _append(body, page, order, big)
        struct.pack_into(order + ("Q" if big else "I"), body, link, at)
        link = after
    return bytes(body)


def _append(body: bytearray, page: Page, order: str, big: bool) -> tuple[int, int]:
    """Writes a directory; -> where it begins, and where its link to the next one stands."""
    word, kind = ("Q", LONG8) if big else ("I", LONG)
    tags = dict(page.tags)
    if page.below:
        tags[330] = (kind, [_append(body, below, order, big)[0] for below in page.below])
    if page.pieces:
        offsets = []
        for piece in page.pieces:
            offsets.append(len(body))
            body += piece + b"\0" * (len(piece) % 2)
        tags[324 if page.tiled else 273] = (kind, offsets)
        tags[325 if page.tiled else 279] = (kind, [len(piece) for piece in page.pieces])
    entries = [(tag, form, *_stored(body, form, values, order, big)) for tag, (form, values) in sorted(tags.items())]
    at = len(body)
    body += struct.pack(order + ("Q" if big else "H"), len(entries))
    for tag, form, count, data in entries:
        body += struct.pack(order + "HH" + word, tag, form, count) + data
    after = len(body)
    body += struct.pack(order + word, 0)
    return at, after


def _stored(body: bytearray, form: int, values: Sequence[int] | bytes, order: str, big: bool) -> tuple[int, bytes]:
    room, word = (8, "Q") if big else (4, "I")
    if isinstance(values, bytes):
        data, count = values, len(values)
    elif form == RATIONAL:
        data, count = struct.pack(f"{order}{2 * len(values)}I", *(n for v in values for n in (v, 1))), len(values)
    else:
        data, count = struct.pack(f"{order}{len(values)}{_CODES[form]}", *values), len(values)
    if len(data) <= room:
        return count, data.ljust(room, b"\0")
    body += b"\0" * (len(body) % 2)
    at = len(body)
    body += data
    return count, struct.pack(order + word, at)
