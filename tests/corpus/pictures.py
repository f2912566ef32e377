"""The pictures inside the corpus' files, and shorthands for writing them. Everything is seeded."""

from __future__ import annotations

from io import BytesIO

import cv2
import numpy as np
import pillow_heif
from PIL import Image

from tests.images.made_files import noise, saved, smooth

HEIGHT, WIDTH = 40, 56
SIZE = (HEIGHT, WIDTH)
SOFT = smooth(HEIGHT, WIDTH)
RGB = Image.fromarray(SOFT)
GRAY = RGB.convert("L")
ALPHA = np.tile(np.linspace(0, 255, WIDTH).astype(np.uint8), (HEIGHT, 1))
RGBA = Image.fromarray(np.dstack([SOFT, ALPHA]))
DEEP = np.rint(SOFT / 255 * 65535).astype(np.uint16) + noise((*SIZE, 3), np.uint16, seed=7) // 512
DEEP_ALPHA = np.dstack([DEEP, ALPHA.astype(np.uint16) * 257])
FRAMES = [Image.fromarray(np.roll(SOFT, 7 * step, axis=1)) for step in range(1, 4)]


def heic(*pictures: Image.Image, **options: object) -> bytes:
    """A HEIC file as pillow-heif writes it, of one or several pictures."""
    stream, holder = BytesIO(), pillow_heif.HeifFile()
    for picture in pictures or (RGB,):
        holder.add_from_pillow(picture)
    holder.save(stream, format="HEIF", **{"quality": 90, **options})
    return stream.getvalue()


def heic_of_bits(mode: str = "RGB;16") -> bytes:
    """A HEIC of 10 or more bits per channel."""
    stream = BytesIO()
    pillow_heif.encode(mode, (WIDTH, HEIGHT), (DEEP if mode == "RGB;16" else DEEP_ALPHA).tobytes(), stream)
    return stream.getvalue()


def animated(format: str, **options: object) -> bytes:
    """Four frames."""
    return saved(RGB, format, save_all=True, append_images=FRAMES, duration=80, loop=0, **options)


def avif(picture: Image.Image = RGB, **options: object) -> bytes:
    """An AVIF file, encoded fast."""
    return saved(picture, "AVIF", **{"speed": 10, "quality": 85, **options})


def deep_avif(bits: int = 10, *, alpha: bool = False, exif: bytes = b"") -> bytes:
    """An AVIF of 10 or 12 bits per channel, as OpenCV writes it."""
    options = [cv2.IMWRITE_AVIF_DEPTH, bits, cv2.IMWRITE_AVIF_QUALITY, 80, cv2.IMWRITE_AVIF_SPEED, 10]
    samples = DEEP_ALPHA[..., [2, 1, 0, 3]] if alpha else DEEP[..., ::-1]
    told = ([cv2.IMAGE_METADATA_EXIF], [np.frombuffer(exif, np.uint8)]) if exif else ([], [])
    _, data = cv2.imencodeWithMetadata(".avif", np.ascontiguousarray(samples >> (16 - bits)), *told, options)
    return data.tobytes()


def undated(data: bytes) -> bytes:
    """A film's boxes without the time they were made."""
    changed = bytearray(data)
    for box in (b"mvhd", b"tkhd", b"mdhd"):
        at = changed.find(box) + 4
        times = 16 if changed[at] else 8
        changed[at + 4 : at + 4 + times] = bytes(times)
    return bytes(changed)
