"""The report names the file that was written, not the one that came in."""

import numpy as np
import pytest

from restoration.images.document import ImageDocument, Origin
from restoration.inference.report import Report, Size
from restoration.pipelines.written import as_written


def report(warnings: tuple[str, ...] = ()) -> Report:
    size = Size(width=4, height=4, format="GIF", bits=8)
    return Report(
        task="enhance", model="m", checkpoint="c", device="cpu", precision="fp32", input=size, output=size,
        tiles=1, seconds={}, warnings=warnings,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("origin", "asked", "dtype", "format", "bits"),
    [
        ("GIF", "same", np.uint8, "PNG", 8),
        ("BMP", "same", np.uint8, "PNG", 8),
        ("PNG", "same", np.uint16, "PNG", 16),
        ("PNG", "jpeg", np.uint16, "JPEG", 8),
        ("TIFF", "same", np.float32, "TIFF", 32),
    ],
)
def test_format_and_bits_are_those_of_the_file(origin: str, asked: str, dtype: type, format: str, bits: int) -> None:
    image = ImageDocument(color=np.zeros((4, 4, 3), dtype), origin=Origin(format=origin))
    written = as_written(report(), image, asked)
    assert (written.output.format, written.output.bits) == (format, bits)
    assert written.input.format == "GIF"


def test_what_the_format_cannot_hold_is_said_once() -> None:
    image = ImageDocument(color=np.zeros((4, 4, 3), np.uint16), origin=Origin(format="PNG"))
    once = as_written(report(("Kept.",)), image, "jpeg")
    assert once.warnings[0] == "Kept."
    assert len(once.warnings) == 2
    assert as_written(once, image, "jpeg").warnings == once.warnings
