"""The contact sheet of an evaluation: input | output | truth, labelled, for the eye to judge.

Large pictures are cut to their centre at full resolution, never shrunk: shrinking hides what is to be judged.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from restoration.errors import OptionError
from restoration.evaluation.evaluate import Measured
from restoration.evaluation.protocols import Picture

_SIDE = 384  # pixels of a cell at most
_LABEL = 22
_GAP = 6
_JPEG: dict[str, Any] = {"quality": 95, "subsampling": 0}
_PNG: dict[str, Any] = {"compress_level": 1}  # a sheet is looked at once: seconds count more than bytes
_OPTIONS = {".png": _PNG, ".jpg": _JPEG, ".jpeg": _JPEG}


class Sheet:
    """Collects rows while an evaluation runs: pass `add` as `on_pair`, then `write`.

    Args:
        path: where it is written; the ending decides between PNG and JPEG.
        rows: the most rows kept per model, spread evenly over its pictures.

    Raises:
        OptionError: the ending is neither PNG's nor JPEG's.
    """

    def __init__(self, path: Path, rows: int = 24) -> None:
        if path.suffix.lower() not in _OPTIONS:
            raise OptionError(f"A contact sheet is a .png or .jpg file, not {path.name}.")
        self.path, self.most = path, rows
        self._rows: list[Image.Image] = []

    def add(self, measured: Measured) -> None:
        """Keeps the pair as a row if it is one of the evenly spread ones."""
        chosen = np.linspace(0, measured.total - 1, min(self.most, measured.total)).round().astype(int)
        if measured.index in chosen:
            self._rows.append(_row(measured))

    def write(self) -> Path:
        """Writes the sheet; a file of that name is replaced.

        Raises:
            OptionError: the folder cannot be written to.
        """
        width = max((row.width for row in self._rows), default=1)
        canvas = Image.new("RGB", (width, max(1, sum(row.height for row in self._rows))), "white")
        top = 0
        for row in self._rows:
            canvas.paste(row, (0, top))
            top += row.height
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            canvas.save(self.path, **_OPTIONS[self.path.suffix.lower()])
        except OSError as error:
            raise OptionError(f"The contact sheet {self.path} cannot be written: {error.strerror or error}.") from error
        return self.path


def _row(measured: Measured) -> Image.Image:
    pair = measured.pair
    cells = (
        (f"{pair.name}: input {measured.baseline_psnr:.2f} dB", pair.baseline),
        (f"{measured.card.name} {measured.psnr:.2f} dB", measured.restored),
        ("truth", pair.sharp),
    )
    pictures = [Image.fromarray(_centre(picture)) for _, picture in cells]
    width, height = pictures[0].size
    row = Image.new("RGB", (3 * (width + _GAP) - _GAP, height + _LABEL + _GAP), "white")
    draw, font = ImageDraw.Draw(row), ImageFont.load_default(13)
    for column, ((label, _), picture) in enumerate(zip(cells, pictures, strict=True)):
        left = column * (width + _GAP)
        draw.text((left + 2, 3), _fitting(label, font, width - 4), fill="black", font=font)
        row.paste(picture, (left, _LABEL))
    return row


def _centre(picture: Picture) -> Picture:
    top, left = (max(0, side - _SIDE) // 2 for side in picture.shape[:2])
    return np.ascontiguousarray(picture[top : top + _SIDE, left : left + _SIDE])


def _fitting(label: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    """The label, cut where it would run into the next column."""
    while label and font.getlength(label) > width:
        label = label[:-1]
    return label
