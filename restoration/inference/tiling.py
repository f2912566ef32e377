"""The tile planner: which boxes of a picture a network sees, and which part of each answer is kept.

Pure integers: knows nothing of torch, pixels or time. Every tile has a core (the cores cover the picture once) and a
context (the core and `margin` pixels around it, clipped at the picture's border). Contexts begin and end on multiples
of `align`, so that a network with strides sees every tile on the grid it sees the whole picture on.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SMALLEST_CORE = 32


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels: rows top..bottom - 1, columns left..right - 1."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def height(self) -> int:
        """Pixels."""
        return self.bottom - self.top

    @property
    def width(self) -> int:
        """Pixels."""
        return self.right - self.left

    @property
    def pixels(self) -> int:
        """The area."""
        return self.height * self.width

    def slices(self, scale: int = 1) -> tuple[slice, slice]:
        """Indexes rows and columns of an array that is `scale` times larger."""
        return slice(self.top * scale, self.bottom * scale), slice(self.left * scale, self.right * scale)


@dataclass(frozen=True, slots=True)
class Tile:
    """core: the pixels whose answer is kept; context: what the network sees, never smaller than the core."""

    core: Box
    context: Box


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """The picture a plan is made for, and what every tile of it obeys.

    height, width: of the picture, pixels.
    margin: pixels of context around each core.
    align: contexts begin and end on multiples of this.
    smallest: no core side is shorter than this, unless the picture is.
    """

    height: int
    width: int
    margin: int = 0
    align: int = 1
    smallest: int = SMALLEST_CORE

    @property
    def whole(self) -> Box:
        """The whole picture."""
        return Box(0, 0, self.height, self.width)

    def tiles(self, area: Box, rows: int, columns: int) -> tuple[Tile, ...]:
        """Cuts an area into rows x columns near-equal tiles (sides differ by at most one pixel), in reading order."""
        vertical = self._axis(area.top, area.bottom, rows, self.height).tolist()
        horizontal = self._axis(area.left, area.right, columns, self.width).tolist()
        return tuple(
            Tile(Box(top, left, bottom, right), Box(reach_top, reach_left, reach_bottom, reach_right))
            for top, bottom, reach_top, reach_bottom in vertical
            for left, right, reach_left, reach_right in horizontal
        )

    def fit(self, area: Box, pixels: float) -> tuple[Tile, ...]:
        """The cheapest cut of an area (fewest pixels computed) in which no context is larger than `pixels`.

        When even the smallest cores have larger contexts, the smallest cores.
        """
        tallest, heights = self._sides(area.top, area.bottom, self.height)
        widest, widths = self._sides(area.left, area.right, self.width)
        fits = np.multiply.outer(tallest, widest) <= pixels
        if not fits.any():
            return self.tiles(area, len(tallest), len(widest))
        computed = np.where(fits, np.multiply.outer(heights, widths), np.inf)
        row, column = np.unravel_index(int(np.argmin(computed)), computed.shape)
        return self.tiles(area, int(row) + 1, int(column) + 1)

    def halve(self, tiles: Iterable[Tile]) -> tuple[Tile, ...]:
        """Cuts each core in two along both sides, where the smallest core allows it."""
        return tuple(
            smaller
            for tile in tiles
            for smaller in self.tiles(
                tile.core, min(2, self._most(tile.core.height)), min(2, self._most(tile.core.width))
            )
        )

    def _most(self, extent: int) -> int:
        return max(1, extent // self.smallest)

    def _axis(self, start: int, stop: int, count: int, extent: int) -> NDArray[np.int64]:
        """Cuts one side in `count`: rows of (core start, core stop, context start, context stop)."""
        cuts = start + np.arange(count + 1) * (stop - start) // count
        begin, end = cuts[:-1], cuts[1:]
        first = np.maximum(0, begin - self.margin) // self.align * self.align
        last = np.minimum(extent, -(-(end + self.margin) // self.align) * self.align)
        return np.stack((begin, end, first, last), axis=1)

    def _sides(self, start: int, stop: int, extent: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """For 1, 2, ... tiles along one side: the longest context, and the sum of all contexts, in pixels."""
        longest, total = [], []
        for count in range(1, self._most(stop - start) + 1):
            axis = self._axis(start, stop, count, extent)
            lengths = axis[:, 3] - axis[:, 2]
            longest.append(lengths.max())
            total.append(lengths.sum())
        return np.array(longest, dtype=np.float64), np.array(total, dtype=np.float64)


def plan(height: int, width: int, *, tile: int, margin: int, align: int = 1) -> tuple[Tile, ...]:
    """Near-equal tiles whose cores are at most `tile` pixels on a side; tests and measurements use it."""
    grid = Grid(height=height, width=width, margin=margin, align=align)
    return grid.tiles(grid.whole, -(-height // tile), -(-width // tile))
