"""The tile planner: which boxes of a picture a network sees, and which part of each answer is kept.

Pure integers: knows nothing of torch, pixels or time. Every tile has a core (the cores cover the picture once) and a
context (the core and at least `margin` pixels around it, but nothing beyond the picture's border). All contexts of a
cut have one size: what runs them then needs one plan of its memory, and one graph. Contexts begin on multiples of
`align`, so that a network with strides sees every tile on the grid it sees the whole picture on. What is cut from the
picture may be wider by `surroundings`, for what is computed before the network.
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

    def grown(self, by: int, height: int, width: int) -> Box:
        """With so many pixels more at every side, as far as a picture of that size goes."""
        top, left = max(0, self.top - by), max(0, self.left - by)
        return Box(top, left, min(height, self.bottom + by), min(width, self.right + by))

    def within(self, other: Box) -> Box:
        """The same pixels, counted from the other box's corner."""
        top, left = self.top - other.top, self.left - other.left
        return Box(top, left, top + self.height, left + self.width)

    def slices(self, scale: int = 1) -> tuple[slice, slice]:
        """Indexes rows and columns of an array that is `scale` times larger."""
        return slice(self.top * scale, self.bottom * scale), slice(self.left * scale, self.right * scale)


@dataclass(frozen=True, slots=True)
class Tile:
    """core: the pixels whose answer is kept; context: what the network sees, never smaller than the core; area: what
    is cut from the picture, never smaller than the context."""

    core: Box
    context: Box
    area: Box


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """The picture a plan is made for, and what every tile of it obeys.

    height, width: of the picture, pixels.
    margin: pixels of context around each core.
    align: contexts begin on multiples of this.
    surroundings: pixels around each context that are cut from the picture, too.
    smallest: no core side is shorter than this, unless the picture is.
    """

    height: int
    width: int
    margin: int = 0
    align: int = 1
    smallest: int = SMALLEST_CORE
    surroundings: int = 0

    @property
    def whole(self) -> Box:
        """The whole picture."""
        return Box(0, 0, self.height, self.width)

    def tiles(self, area: Box, rows: int, columns: int) -> tuple[Tile, ...]:
        """Cuts an area into rows x columns tiles with contexts of one size, in reading order."""
        vertical = self._axis(area.top, area.bottom, rows, self.height).tolist()
        horizontal = self._axis(area.left, area.right, columns, self.width).tolist()
        return tuple(
            self._tile(Box(top, left, bottom, right), Box(reach_top, reach_left, reach_bottom, reach_right))
            for top, bottom, reach_top, reach_bottom in vertical
            for left, right, reach_left, reach_right in horizontal
        )

    def _tile(self, core: Box, context: Box) -> Tile:
        return Tile(core, context, context.grown(self.surroundings, self.height, self.width))

    def fit(self, area: Box, pixels: float) -> tuple[Tile, ...]:
        """The cheapest cut of an area (fewest pixels computed) in which no context is larger than `pixels`.

        When all are larger, the smallest contexts there are, and of those cuts the one with the fewest tiles.
        """
        tall = self._lengths(area.top, area.bottom, self.height)
        wide = self._lengths(area.left, area.right, self.width)
        sizes = np.multiply.outer(tall, wide)
        pixels = max(pixels, sizes.min())
        counts = np.multiply.outer(np.arange(len(tall)) + 1, np.arange(len(wide)) + 1)
        computed = np.where(sizes <= pixels, sizes * counts, np.inf)
        row, column = np.unravel_index(int(np.argmin(computed)), computed.shape)
        return self.tiles(area, int(row) + 1, int(column) + 1)

    def halve(self, tiles: Iterable[Tile]) -> tuple[Tile, ...]:
        """Cuts each core in two along both sides, where the smallest core allows it."""
        return tuple(
            smaller
            for tile in tiles
            for smaller in self.tiles(
                tile.core,
                min(2, len(self._lengths(tile.core.top, tile.core.bottom, self.height))),
                min(2, len(self._lengths(tile.core.left, tile.core.right, self.width))),
            )
        )

    def _axis(self, start: int, stop: int, count: int, extent: int) -> NDArray[np.int64]:
        """Cuts one side in `count`: rows of (core start, core stop, context start, context stop)."""
        reach, first = self._reach(start, stop, extent)
        length, step = self._length(reach, count)
        begin = first + np.arange(count) * (reach - length) // max(1, count - 1) // self.align * self.align
        end = begin + length
        cuts = start + np.arange(count + 1) * (stop - start) // count
        if step:
            cuts[1:-1] = (begin[1:] + end[:-1]) // 2  # in the middle of what both see
        return np.stack((cuts[:-1], cuts[1:], begin, end), axis=1)

    def _reach(self, start: int, stop: int, extent: int) -> tuple[int, int]:
        """How much of a side the contexts of a part of it see together, and where that begins."""
        first = max(0, start - self.margin) // self.align * self.align
        return min(extent, stop + self.margin) - first, first

    def _length(self, reach: int, count: int) -> tuple[int, int]:
        """The length of each of `count` contexts, and the shortest step from one to the next: 0 if all see all."""
        length = -(-(reach + 2 * self.margin * (count - 1)) // count)
        length += (reach - length) % self.align  # the last begins on the grid, too
        while length < reach:
            steps = (reach - length) // self.align  # between the first and the last
            shortest, longest = steps // (count - 1), -(-steps // (count - 1))
            if shortest and longest * self.align + 2 * self.margin <= length:
                return length, shortest * self.align
            length += self.align
        return reach, 0

    def _lengths(self, start: int, stop: int, extent: int) -> NDArray[np.float64]:
        """For 1, 2, ... tiles along one side, as many as leave no core too short: the length of their contexts."""
        found = []
        for count in range(1, max(1, (stop - start) // self.smallest) + 1):
            axis = self._axis(start, stop, count, extent)
            if count > 1 and (axis[:, 1] - axis[:, 0]).min() < self.smallest:
                break
            found.append(axis[0, 3] - axis[0, 2])
        return np.array(found, dtype=np.float64)


def plan(height: int, width: int, *, tile: int, margin: int, align: int = 1) -> tuple[Tile, ...]:
    """As many tiles as cores of `tile` pixels a side would be; tests and measurements use it."""
    grid = Grid(height=height, width=width, margin=margin, align=align)
    return grid.tiles(grid.whole, -(-height // tile), -(-width // tile))
