"""A result written over the photo's own samples is the result, whatever the tiles still had to see."""

from dataclasses import replace
from itertools import count

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from restoration.images.document import ImageDocument
from restoration.inference.canvas import Canvas
from restoration.inference.engine import finish
from restoration.inference.tiling import Grid
from restoration.pipelines.request import Request
from restoration.pipelines.restore import stream
from tests.inference.fakes import Doubling, ThreeConvolutions, Watched, make_card, make_engine, picture, seeded

THREE = make_card(seeded(ThreeConvolutions), name="three", margin=3)
DOUBLING = make_card(Doubling, name="doubling", scale=2, margin=1)


def copied(document: ImageDocument) -> ImageDocument:
    return replace(document, color=document.color.copy())


def run(card, document: ImageDocument, **options) -> ImageDocument:
    return finish(make_engine(card).stream(document, card, **options)).image


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("strength", [1.0, 0.4])
def test_it_is_what_a_new_array_would_hold(dtype, strength):
    document = picture(150, 230, dtype=dtype)
    expected = run(THREE, copied(document), strength=strength).color
    source = copied(document)
    result = run(THREE, source, strength=strength, reuse=True).color
    assert np.shares_memory(result, source.color)
    assert (result == expected).all()


def test_tiles_that_are_cut_smaller_on_the_way_still_see_the_photo():
    numbers = count()

    def fails_once(x):
        if next(numbers) == 4:  # three of the probe, and the first tile
            raise torch.OutOfMemoryError("no")
        return torch.nn.functional.avg_pool2d(torch.nn.functional.pad(x, (3,) * 4, mode="replicate"), 7, 1)

    card = make_card(lambda: Watched(fails_once), name="mean", margin=3)
    document = picture(200, 260)
    engine = make_engine(card, call_seconds=1e9)
    whole = finish(engine.stream(copied(document), card)).image.color
    small = make_engine(make_card(lambda: Watched(fails_once), name="mean", margin=3))
    source = copied(document)
    assert np.abs(finish(small.stream(source, card, reuse=True)).image.color.astype(int) - whole).max() <= 1


def test_without_leave_the_photo_stays_as_it_is():
    document = picture(80, 90)
    before = document.color.copy()
    result = run(THREE, document)
    assert (document.color == before).all()
    assert not np.shares_memory(result.color, document.color)


def test_what_cannot_be_written_over_is_not():
    document = picture(80, 90)
    document.color.flags.writeable = False
    assert not np.shares_memory(run(THREE, document, reuse=True).color, document.color)
    small = picture(40, 50)
    assert run(DOUBLING, small, reuse=True).color.shape == (80, 100, 3)


def test_hidden_colours_come_back_after_the_photo_was_written_over():
    document = picture(90, 100, alpha=True)
    alpha = np.where(np.arange(100) < 40, 0, 255).astype(np.uint8)
    document = replace(document, alpha=np.broadcast_to(alpha, (90, 100)).copy())
    engine, request = make_engine(replace(THREE, task="enhance")), Request(task="enhance", model="three")
    expected = finish(stream(engine, copied(document), request)).image.color
    result = finish(stream(engine, copied(document), request, reuse=True)).image.color
    assert (result == expected).all()
    assert (result[:, :40] == document.color[:, :40]).all()


@settings(deadline=None, max_examples=40)
@given(
    st.integers(40, 200), st.integers(40, 200), st.tuples(st.integers(0, 20), st.integers(0, 20)),
    st.sampled_from([1, 8]), st.floats(2000, 9000),
)  # fmt: skip
def test_no_tile_ever_sees_what_was_written(height, width, around, align, pixels):
    """Every finished core is -1; what is still to be seen never is."""
    color = np.zeros((height, width, 1), np.float32)
    canvas = Canvas(color, 1, reuse=True)
    grid = Grid(height=height, width=width, margin=around[0], surroundings=around[1], align=align)
    tiles = list(grid.fit(grid.whole, pixels))
    while tiles:
        tile = tiles.pop(0)
        assert (color[tile.area.slices()] == 0).all()
        canvas.put(tile.core, np.full((tile.core.height, tile.core.width, 1), -1, np.float32), tiles)
    assert (canvas.result == -1).all()
