"""The tile planner, against what a plan must be."""

import time
from functools import partial
from itertools import takewhile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from restoration.inference.tiling import Box, Grid, Tile, plan

SIDES = st.integers(1, 250)


def assert_lawful(tiles: tuple[Tile, ...], grid: Grid, area: Box) -> None:
    """Cores cover the area once; contexts hold core and margin, stay inside, begin on the grid and have one size."""
    covered = np.zeros((grid.height, grid.width), dtype=int)
    for tile in tiles:
        core, context = tile.core, tile.context
        covered[core.slices()] += 1
        assert context.top <= max(0, core.top - grid.margin)
        assert context.left <= max(0, core.left - grid.margin)
        assert context.bottom >= min(grid.height, core.bottom + grid.margin)
        assert context.right >= min(grid.width, core.right + grid.margin)
        assert context.bottom <= grid.height
        assert context.right <= grid.width
        assert context.top % grid.align == context.left % grid.align == 0
        assert min(core.height, core.width) > 0 or min(area.height, area.width) < len(tiles)
    assert len({(tile.context.height, tile.context.width) for tile in tiles}) == 1
    assert (covered[area.slices()] == 1).all()
    assert covered.sum() == area.pixels


def lawful_cuts(grid: Grid) -> list[tuple[Tile, ...]]:
    """All in which no core is too short, the finest last."""

    def good(side: int, count: int) -> bool:
        along = Grid(height=side, width=1, margin=grid.margin, align=grid.align)
        cores = [tile.core.height for tile in along.tiles(along.whole, count, 1)]
        return min(cores) >= min(side, grid.smallest)

    rows, columns = (
        list(takewhile(partial(good, side), range(1, max(1, side // 32) + 1))) for side in (grid.height, grid.width)
    )
    return [grid.tiles(grid.whole, row, column) for row in rows for column in columns]


@settings(deadline=None, max_examples=60)
@given(SIDES, SIDES, st.integers(8, 200), st.integers(0, 70), st.sampled_from([1, 4, 32]))
def test_every_pixel_belongs_to_one_core_and_sees_its_margin(height, width, tile, margin, align):
    grid = Grid(height=height, width=width, margin=margin, align=align)
    tiles = plan(height, width, tile=tile, margin=margin, align=align)
    assert_lawful(tiles, grid, grid.whole)
    assert len(tiles) == -(-height // tile) * -(-width // tile)


@settings(deadline=None, max_examples=200)
@given(st.integers(200, 4000), st.integers(2, 9), st.integers(0, 130), st.sampled_from([8, 32]))
def test_steps_that_differ_by_the_grid_leave_every_core_its_margin(height, count, margin, align):
    grid = Grid(height=height, width=1, margin=margin, align=align)
    assert_lawful(grid.tiles(grid.whole, count, 1), grid, grid.whole)


@settings(deadline=None, max_examples=60)
@given(SIDES, SIDES, st.floats(1, 2e5), st.integers(0, 70), st.sampled_from([1, 4, 32]))
def test_a_fitted_plan_keeps_to_its_pixels_unless_the_cores_are_the_smallest(height, width, pixels, margin, align):
    grid = Grid(height=height, width=width, margin=margin, align=align)
    tiles = grid.fit(grid.whole, pixels)
    assert_lawful(tiles, grid, grid.whole)
    assert min(tile.core.height for tile in tiles) >= min(height, 32)
    assert min(tile.core.width for tile in tiles) >= min(width, 32)
    largest = max(tile.context.pixels for tile in tiles)
    if largest > pixels:
        cuts = [(max(tile.context.pixels for tile in cut), len(cut)) for cut in lawful_cuts(grid)]
        assert (largest, len(tiles)) == min(cuts)


@settings(deadline=None, max_examples=60)
@given(SIDES, SIDES, st.floats(1000, 2e5), st.integers(0, 70))
def test_a_fitted_plan_is_the_cheapest_of_all_cuts(height, width, pixels, margin):
    grid = Grid(height=height, width=width, margin=margin)
    costs = [
        sum(t.context.pixels for t in tiles)
        for tiles in lawful_cuts(grid)
        if max(t.context.pixels for t in tiles) <= pixels
    ]
    if costs:
        assert sum(tile.context.pixels for tile in grid.fit(grid.whole, pixels)) == min(costs)


@settings(deadline=None, max_examples=60)
@given(SIDES, SIDES, st.integers(30, 200), st.integers(0, 40), st.integers(0, 5))
def test_halving_some_tiles_covers_what_they_covered(height, width, tile, margin, skip):
    grid = Grid(height=height, width=width, margin=margin)
    tiles = plan(height, width, tile=tile, margin=margin)[skip:]
    covered = np.zeros((height, width), dtype=int)
    for part in grid.halve(tiles):
        covered[part.core.slices()] += 1
    expected = np.zeros((height, width), dtype=int)
    for part in tiles:
        expected[part.core.slices()] += 1
    assert (covered == expected).all()


def test_contexts_that_cannot_be_made_smaller_are_not_made_more():
    """Steps on a coarse grid cannot follow 21 short cores: each of them would see all."""
    grid = Grid(height=382, width=694, margin=16, align=32)
    tiles = grid.fit(grid.whole, 1)
    assert len(tiles) > 1
    assert max(tile.context.pixels for tile in tiles) < grid.whole.pixels / 10


@settings(deadline=None, max_examples=60)
@given(SIDES, SIDES, st.integers(8, 200), st.integers(0, 20), st.integers(0, 70))
def test_an_area_is_its_context_and_what_surrounds_it_in_the_picture(height, width, tile, margin, surroundings):
    grid = Grid(height=height, width=width, margin=margin, surroundings=surroundings)
    plain = plan(height, width, tile=tile, margin=margin)
    tiles = grid.tiles(grid.whole, -(-height // tile), -(-width // tile))
    assert [(each.core, each.context) for each in tiles] == [(each.core, each.context) for each in plain]
    seen = np.arange(height * width).reshape(height, width)
    for each in tiles:
        rows, columns = each.context.slices()
        above, before = min(surroundings, rows.start), min(surroundings, columns.start)
        expected = seen[rows.start - above : rows.stop + surroundings, columns.start - before :]
        assert (seen[each.area.slices()] == expected[:, : each.area.width]).all()
        assert each.area.right == min(width, columns.stop + surroundings)
        assert (seen[each.area.slices()][each.context.within(each.area).slices()] == seen[rows, columns]).all()


def test_a_picture_that_fits_is_one_tile():
    grid = Grid(height=100, width=70, margin=36)
    assert grid.fit(grid.whole, 7000) == (Tile(grid.whole, grid.whole, grid.whole),)


def test_no_core_is_smaller_than_the_network_takes():
    grid = Grid(height=200, width=150, margin=0, smallest=64)
    assert min(tile.core.height for tile in grid.fit(grid.whole, 1)) >= 64
    whole = grid.tiles(grid.whole, 3, 2)
    assert [tile.core for tile in grid.halve(whole)] == [tile.core for tile in whole]


def test_part_of_a_picture_sees_the_picture_around_it():
    grid = Grid(height=300, width=300, margin=10)
    area = Box(100, 100, 200, 200)
    tiles = grid.fit(area, 60 * 60 + 800)
    assert_lawful(tiles, grid, area)
    assert len(tiles) > 1
    assert tiles[0].context.top == 90


@pytest.mark.parametrize(("height", "width"), [(30_000, 6_000), (12_000, 16_000)])
def test_the_largest_pictures_are_planned_quickly(height, width):
    grid = Grid(height=height, width=width, margin=36)
    began = time.perf_counter()
    tiles = grid.fit(grid.whole, 150 * 150)
    assert time.perf_counter() - began < 5
    assert sum(tile.core.pixels for tile in tiles) == height * width
