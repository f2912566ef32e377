"""Pictures that can be told from all others after a restoration: 6 x 8 large blocks, dark or light, spell a number."""

import io

import numpy as np
from PIL import Image

ROWS, COLUMNS = 6, 8
BITS = ROWS * COLUMNS
DARK, LIGHT = 60, 190
LARGEST = 2**BITS


def marked(number: int, block: int, format: str) -> bytes:
    """A picture file of (6 * block) x (8 * block) pixels that spells `number`, 0 to 2^48 - 1.

    Args:
        format: "PNG", "JPEG" or "WEBP".
    """
    bits = np.array([number >> place & 1 for place in range(BITS)], bool).reshape(ROWS, COLUMNS)
    gray = np.where(bits, LIGHT, DARK).astype(np.uint8).repeat(block, 0).repeat(block, 1)
    color = np.stack([gray, gray - 20, gray + 20], axis=-1)
    file = io.BytesIO()
    Image.fromarray(color).save(file, format, quality=92)
    return file.getvalue()


def mark_of(picture: Image.Image) -> int:
    """The number a picture spells, by the middle of its blocks."""
    samples = np.asarray(picture.convert("L"), np.float32)
    height, width = samples.shape[0] // ROWS, samples.shape[1] // COLUMNS
    blocks = samples[: height * ROWS, : width * COLUMNS].reshape(ROWS, height, COLUMNS, width)
    middle = blocks[:, height // 4 : height - height // 4, :, width // 4 : width - width // 4].mean(axis=(1, 3))
    bits = (middle > (DARK + LIGHT) / 2).reshape(-1)
    return sum(int(bit) << place for place, bit in enumerate(bits))
