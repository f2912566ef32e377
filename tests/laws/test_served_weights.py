"""What is served equals what was trained: half precision and tiles against the whole picture in eager fp32."""

import dataclasses

import numpy as np
import pytest
from skimage import data

from restoration.card import ModelCard, Tiling
from restoration.images.document import ImageDocument
from restoration.inference.device import call_network, place_network
from restoration.inference.engine import Engine, finish
from restoration.inference.sizing import grid_for
from restoration.registry import MODELS, Registry
from restoration.training import degradations
from restoration.weights import WeightStore

STORE = WeightStore()
AVAILABLE = [card for card in MODELS.values() if STORE.availability(card).available]
HALF = [card for card in AVAILABLE if card.half]
EXACT = [card for card in AVAILABLE if card.tiling is Tiling.EXACT]
MARGIN = [card for card in AVAILABLE if card.tiling is Tiling.MARGIN]


def shaken(picture: np.ndarray) -> np.ndarray:
    """A camera shake of 15 pixels, which deblurrers undo instead of leaving the picture alone."""
    rng = np.random.default_rng(4)
    blurred = degradations.uniform_blur(degradations.to_values(picture), degradations.shake_kernel(rng, 15), 9)
    return degradations.gaussian_noise(rng, degradations.to_picture(255 * blurred), 2)


WIDE = np.pad(data.coffee(), ((0, 0), (0, 112), (0, 0)), mode="symmetric")  # several tiles at the largest margin
PICTURES = {"cat": data.chelsea(), "rocket": data.rocket(), "coffee": WIDE, "shaken": shaken(WIDE)}


def floats(name: str, height: int = 1000, width: int = 1000) -> np.ndarray:
    return np.ascontiguousarray(PICTURES[name][:height, :width]).astype(np.float32) / 255


def tiled(card: ModelCard, pixels: np.ndarray) -> tuple[np.ndarray, int]:
    """The picture through the smallest tiles in fp32, and how many there were."""
    exact = dataclasses.replace(card, half=False)
    engine = Engine(Registry([exact]), STORE, device="cpu", call_seconds=1e-6, backend="torch")
    restoration = finish(engine.stream(ImageDocument(color=pixels), exact))
    return restoration.image.color, restoration.report.tiles


def whole(card: ModelCard, pixels: np.ndarray, precision: str = "fp32") -> np.ndarray:
    return call_network(place_network(STORE.load(card)[0], "cpu"), pixels, "cpu", precision).clip(0, 1)


@pytest.mark.parametrize("card", HALF, ids=lambda card: card.name)
@pytest.mark.parametrize("name", list(PICTURES))
def test_half_precision_stays_close_to_fp32(card: ModelCard, name: str) -> None:
    side = card.size.fixed or 192
    pixels = floats(name, side, side)
    full, half = (whole(card, pixels, precision) for precision in ("fp32", "bf16"))
    errors = np.abs(full - half)
    assert 0 < errors.max() <= 5 / 255
    assert 10 * np.log10(1 / np.square(errors).mean()) > 50


@pytest.mark.parametrize("card", EXACT, ids=lambda card: card.name)
@pytest.mark.parametrize(("height", "width"), [(97, 181), (1, 150), (149, 2)])
def test_tiles_of_exact_cards_equal_the_whole(card: ModelCard, height: int, width: int) -> None:
    pixels = floats("cat", height, width)
    result, count = tiled(card, pixels)
    assert count > 1
    assert np.abs(result - whole(card, pixels)).max() <= 1e-5


@pytest.mark.parametrize("card", MARGIN, ids=lambda card: card.name)
@pytest.mark.parametrize("name", ["rocket", "coffee", "shaken"])
def test_tiles_of_natural_pictures_show_no_seam_at_the_shipped_margin(card: ModelCard, name: str) -> None:
    pixels = floats(name)
    if card.receptive_margin is not None:  # its tiles are small: this part has many seams
        pixels = np.ascontiguousarray(pixels[100:260, 200:440])
    result, count = tiled(card, pixels)
    assert count > 1
    errors = result - whole(card, pixels)
    shaken = card.observes and name == "shaken"  # undoing a shake rings on for hundreds of pixels, weakly
    assert np.abs(errors).max() <= (5 if shaken else 1) / 255
    assert np.quantile(np.abs(errors), 0.99) <= 1 / 255
    grid = grid_for(card, *pixels.shape[:2])
    seams = {tile.core.left for tile in grid.fit(grid.whole, 1.0)} - {0}
    jumps = np.abs(np.diff(errors, axis=1)).mean((0, 2))
    assert seams
    assert max(jumps[seam - 1] for seam in seams) < 0.1 / 255
