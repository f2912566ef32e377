"""One picture of a benchmark result: how much of the machine's roofline each model reaches at each size."""

from __future__ import annotations

from typing import Any

from PIL import Image, ImageDraw, ImageFont

_WIDTH, _ROW, _LEFT, _TOP, _BAR = 900, 22, 330, 40, 480
_INK, _PAPER, _GRID = (40, 40, 48), (255, 255, 255), (220, 220, 226)
_COLOURS = {"openvino": (79, 70, 229), "torch": (217, 119, 6)}


def draw(result: dict[str, Any]) -> Image.Image:
    """Bars in per cent of the roofline of the precision that was used, one a row of the result."""
    rows = result["rows"]
    image = Image.new("RGB", (_WIDTH, _TOP + _ROW * len(rows) + 30), _PAPER)
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(13)
    pen.text((10, 10), f"Share of the measured roofline, {result['date']}, {result['threads']} threads", _INK, font)
    bottom = _TOP + _ROW * len(rows)
    for per_cent in range(0, 101, 25):
        x = _LEFT + _BAR * per_cent // 100
        pen.line((x, _TOP, x, bottom), _GRID)
        pen.text((x - 10, bottom + 6), f"{per_cent} %", _INK, font)
    for number, row in enumerate(rows):
        y = _TOP + _ROW * number
        length = round(_BAR * min(1.0, row["roofline_share"]))
        pen.text((10, y + 3), f"{row['model']}  {row['width']} x {row['height']}", _INK, font)
        pen.rectangle((_LEFT, y + 3, _LEFT + length, y + _ROW - 4), _COLOURS[row["backend"]])
        pen.text((_LEFT + length + 6, y + 3), f"{row['roofline_share']:.0%} {row['precision']}", _INK, font)
    return image
