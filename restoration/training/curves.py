"""The curves of a training as one PNG, drawn with Pillow: loss, PSNR, SSIM and learning rate over the steps.

Knows nothing of where the numbers come from.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

_WIDTH, _HEIGHT = 520, 300  # pixels of a panel
_LEFT, _RIGHT, _TOP, _BOTTOM = 78, 16, 34, 34
_COLOURS = ("#0b62a4", "#9a9a9a", "#c2410c")
Point = tuple[float, float]
Box = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Panel:
    """One diagram. lines: a name and its (step, value) points each; values that are not finite are left out."""

    title: str
    lines: Sequence[tuple[str, Sequence[Point]]]
    logarithmic: bool = False


def draw_curves(panels: Sequence[Panel]) -> Image.Image:
    """The panels, two a row."""
    rows = math.ceil(len(panels) / 2)
    canvas = Image.new("RGB", (2 * _WIDTH, rows * _HEIGHT), "white")
    for index, panel in enumerate(panels):
        canvas.paste(_draw(panel), (index % 2 * _WIDTH, index // 2 * _HEIGHT))
    return canvas


def write_curves(panels: Sequence[Panel], path: Path) -> Path:
    """Draws the panels into a PNG."""
    draw_curves(panels).save(path, "PNG", optimize=True)
    return path


def _draw(panel: Panel) -> Image.Image:
    image = Image.new("RGB", (_WIDTH, _HEIGHT), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(13)
    draw.text((_LEFT, 8), panel.title, fill="black", font=font)
    lines = [(name, _usable(points, panel.logarithmic)) for name, points in panel.lines]
    points = [point for _, usable in lines for point in usable]
    box = (_LEFT, _TOP, _WIDTH - _RIGHT, _HEIGHT - _BOTTOM)
    draw.rectangle(box, outline="#cccccc")
    if not points:
        draw.text((_LEFT + 8, _TOP + 8), "nothing measured yet", fill="#888888", font=font)
        return image
    across, up = _extent([x for x, _ in points]), _extent([y for _, y in points])
    _draw_ticks(draw, box, across, lambda value: f"{value:,.0f}", upright=False)
    _draw_ticks(draw, box, up, lambda value: f"{10**value if panel.logarithmic else value:.4g}", upright=True)
    legend = _LEFT + font.getlength(panel.title) + 24
    for colour, (name, usable) in zip(_COLOURS, lines, strict=False):
        if not usable:
            continue
        places = [_place(point, box, across, up) for point in usable]
        draw.line(places, fill=colour, width=2)
        x, y = places[-1]
        draw.ellipse((x - 3, y - 3, x + 3, y + 3), fill=colour)
        draw.text((legend, 8), name, fill=colour, font=font)
        legend += font.getlength(name) + 14
    return image


def _usable(points: Sequence[Point], logarithmic: bool) -> list[Point]:
    finite = [point for point in points if all(map(math.isfinite, point))]
    return [(x, math.log10(y)) for x, y in finite if y > 0] if logarithmic else finite


def _extent(values: Sequence[float]) -> Point:
    low, high = min(values), max(values)
    if high - low < 1e-9 * max(1.0, abs(high)):
        return low - 0.5 * (abs(low) or 1), high + 0.5 * (abs(high) or 1)
    return low, high


def _place(point: Point, box: Box, across: Point, up: Point) -> Point:
    left, top, right, bottom = box
    x = left + (right - left) * (point[0] - across[0]) / (across[1] - across[0])
    return x, bottom - (bottom - top) * (point[1] - up[0]) / (up[1] - up[0])


def _draw_ticks(
    draw: ImageDraw.ImageDraw, box: Box, extent: Point, write: Callable[[float], str], *, upright: bool
) -> None:
    left, top, right, bottom = box
    font = ImageFont.load_default(13)
    for part in range(5):
        label = write(extent[0] + (extent[1] - extent[0]) * part / 4)
        length = font.getlength(label)
        if upright:
            y = bottom - (bottom - top) * part / 4
            draw.line((left, y, right, y), fill="#eeeeee")
            draw.text((left - 6 - length, y - 8), label, fill="#555555", font=font)
        else:
            x = left + (right - left) * part / 4 - length / 2
            draw.text((min(max(x, 0.0), _WIDTH - length - 2), bottom + 8), label, fill="#555555", font=font)
