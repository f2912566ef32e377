"""The tile runner: tiles against the whole picture, depths, padding."""

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from restoration.architectures.edsr import EDSR
from restoration.inference.device import call_network, place_network
from restoration.inference.runner import Job, from_float, network_input, run_job, to_float
from restoration.inference.tiling import Box, Grid, Tile, plan
from tests.inference.fakes import Strided, ThreeConvolutions, picture, seeded

TOLERANCE = 1e-5


def call_by_torch(network, pixels, part=None):
    return call_network(network, pixels, "cpu", "fp32", part=part)


def run_in_tiles(network, color, tiles, scale=1):
    """All tiles of a float picture through a network, put together; not clipped."""
    height, width, channels = color.shape
    result = np.full((height * scale, width * scale, channels), np.nan, dtype=np.float32)
    job = Job(
        model="fake", device="cpu", precision="fp32", color=color, scale=scale, tiles=tiles, low=-np.inf, high=np.inf
    )
    for finished in run_job(partial(call_by_torch, network), job):
        result[tiles[finished.index].core.slices(scale)] = finished.samples
    return result


def difference_from_whole(network, height, width, *, tile, margin, scale=1, align=1):
    """The largest difference between tiled and whole."""
    color = np.random.default_rng(height * 1000 + width).random((height, width, 3), dtype=np.float32)
    whole = call_network(network, color, "cpu", "fp32")
    tiles = plan(height, width, tile=tile, margin=margin, align=align)
    return float(np.abs(run_in_tiles(network, color, tiles, scale) - whole).max())


@pytest.fixture(scope="module")
def three_convolutions():
    return place_network(seeded(ThreeConvolutions)(), "cpu")


@pytest.fixture(scope="module")
def small_edsr():
    return place_network(seeded(lambda: EDSR(3, blocks=2, width=16))(), "cpu")


@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 50))
@settings(max_examples=25, deadline=None)
def test_tiles_equal_the_whole_at_any_size(three_convolutions, height, width, tile):
    assert difference_from_whole(three_convolutions, height, width, tile=max(tile, 15), margin=3) <= TOLERANCE


def test_a_margin_one_pixel_too_small_is_seen(three_convolutions):
    assert difference_from_whole(three_convolutions, 61, 47, tile=20, margin=2) > TOLERANCE


@given(st.integers(1, 70), st.integers(1, 70))
@settings(max_examples=8, deadline=None)
def test_an_edsr_in_tiles_equals_the_whole(small_edsr, height, width):
    assert difference_from_whole(small_edsr, height, width, tile=24, margin=8, scale=3) <= TOLERANCE


@pytest.mark.parametrize(("scale", "height", "width"), [(2, 79, 45), (4, 1, 83)])
def test_the_edsr_baseline_in_tiles_equals_the_whole(scale, height, width):
    network = place_network(seeded(lambda: EDSR(scale))(), "cpu")
    assert difference_from_whole(network, height, width, tile=40, margin=36, scale=scale) <= TOLERANCE


@pytest.mark.parametrize("size", [(61, 47), (8, 8), (1, 100), (33, 64)])
def test_a_strided_network_sees_tiles_on_the_grid_of_the_whole(size):
    assert difference_from_whole(Strided(), *size, tile=13, margin=5, align=8) <= TOLERANCE


def test_without_the_grid_a_strided_network_is_off():
    assert difference_from_whole(Strided(), 61, 47, tile=13, margin=5, align=1) > 0.01


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_every_integer_survives_the_way_to_float_and_back(dtype):
    values = np.arange(np.iinfo(dtype).max + 1).astype(dtype).reshape(1, -1, 1)
    assert (from_float(to_float(values), values.dtype) == values).all()


def test_rounding_goes_to_the_nearest_integer_and_clips():
    values = np.array([[[-0.1], [0.49 / 255], [0.51 / 255], [254.6 / 255], [1.7]]], dtype=np.float32)
    assert from_float(values.copy(), np.dtype("uint8")).ravel().tolist() == [0, 0, 1, 255, 255]
    assert from_float(values, np.dtype("float32"), low=-0.05, high=1.5).ravel()[[0, -1]].tolist() == pytest.approx(
        [-0.05, 1.5]
    )


def test_small_pictures_are_continued_by_reflection():
    color = np.array([[[0], [100], [200]]], dtype=np.uint8)
    pixels = network_input(color, Box(0, 0, 1, 3), minimum=5) * 255
    assert pixels.shape == (5, 5, 3)
    assert np.rint(pixels[0, :, 0]).tolist() == [0, 100, 200, 100, 0]
    assert (pixels == pixels[:1]).all(), "one row has nothing to reflect: it is repeated"


def test_the_input_is_new_memory_even_for_float_pictures():
    color = np.zeros((4, 4, 3), dtype=np.float32)
    network_input(color, Box(0, 0, 4, 4))[...] = 1
    assert not color.any()


class Smoothed(nn.Module):
    """Convolutions over the means of 31 x 31 pixels: only the means look far."""

    def __init__(self) -> None:
        super().__init__()
        self.convolutions = seeded(ThreeConvolutions)()

    def forward(self, x, part=None):
        means = F.avg_pool2d(x, 31, 1, 15, count_include_pad=False)
        return self.convolutions(means if part is None else means[(..., *part)])


@given(st.integers(1, 120), st.integers(1, 120), st.integers(15, 50), st.sampled_from([1, 8]))
@settings(max_examples=25, deadline=None)
def test_what_is_computed_before_the_network_sees_the_surroundings(height, width, tile, align):
    network, color = place_network(Smoothed(), "cpu"), picture(height, width, dtype="float32").color
    whole = call_network(network, color, "cpu", "fp32")
    grid = Grid(height=height, width=width, margin=3, align=align, surroundings=15)
    tiles = grid.tiles(grid.whole, -(-height // tile), -(-width // tile))
    assert np.abs(run_in_tiles(network, color, tiles) - whole).max() <= TOLERANCE


def test_surroundings_one_pixel_too_small_are_seen():
    network, color = place_network(Smoothed(), "cpu"), picture(90, 80, dtype="float32").color
    grid = Grid(height=90, width=80, margin=3, surroundings=14)
    tiled = run_in_tiles(network, color, grid.tiles(grid.whole, 3, 2))
    assert np.abs(tiled - call_network(network, color, "cpu", "fp32")).max() > TOLERANCE


def test_a_low_picture_with_surroundings_is_continued_to_the_least_side():
    network, color = place_network(Smoothed(), "cpu"), picture(5, 120, dtype="float32").color
    grid = Grid(height=5, width=120, margin=3, surroundings=15)
    job = Job(
        model="fake", device="cpu", precision="fp32", color=color, minimum=9, tiles=grid.tiles(grid.whole, 1, 3),
        low=-np.inf, high=np.inf,
    )  # fmt: skip
    whole = call_network(network, network_input(color, grid.whole, minimum=9), "cpu", "fp32")[:5]
    for finished, tile in zip(run_job(partial(call_by_torch, network), job), job.tiles, strict=True):
        assert np.abs(finished.samples - whole[tile.core.slices()]).max() <= TOLERANCE


def test_an_answer_of_another_size_is_a_bug():
    job = Job(
        model="fake", device="cpu", precision="fp32", color=np.zeros((4, 4, 3), np.uint8), scale=2,
        tiles=(Tile(*3 * (Box(0, 0, 4, 4),)),),
    )  # fmt: skip
    with pytest.raises(ValueError, match="fake made"):
        list(run_job(lambda pixels: pixels, job))


def test_closing_stops_between_two_tiles():
    calls = []
    tiles = plan(64, 64, tile=32, margin=0)
    job = Job(model="fake", device="cpu", precision="fp32", color=np.zeros((64, 64, 3), np.uint8), tiles=tiles)
    steps = run_job(lambda pixels: calls.append(1) or pixels, job)
    next(steps)
    steps.close()
    assert len(calls) == 1


def test_a_call_leaves_no_gradient_behind(three_convolutions):
    seen = []
    hooked = three_convolutions.register_forward_hook(lambda *_: seen.append(torch.is_inference_mode_enabled()))
    call_network(three_convolutions, np.zeros((4, 4, 3), np.float32), "cpu", "fp32")
    hooked.remove()
    assert seen == [True]
