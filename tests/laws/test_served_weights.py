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
from restoration.weights import WeightStore

STORE = WeightStore()
AVAILABLE = [card for card in MODELS.values() if STORE.availability(card).available]
HALF = [card for card in AVAILABLE if card.half]
TILED = [card for card in AVAILABLE if card.tiling in (Tiling.EXACT, Tiling.MARGIN)]
PICTURES = {
    "cat": data.chelsea()[:288, :352],
    "rocket": data.rocket()[60:348, 100:452],
    "coffee": data.coffee()[100:388, 60:412],
}


def floats(name: str, card: ModelCard) -> np.ndarray:
    side = card.size.fixed
    picture = PICTURES[name][:side, :side] if side else PICTURES[name]
    return np.ascontiguousarray(picture).astype(np.float32) / 255


@pytest.mark.parametrize("card", HALF, ids=lambda card: card.name)
@pytest.mark.parametrize("name", list(PICTURES))
def test_half_precision_stays_within_two_levels_of_fp32(card: ModelCard, name: str) -> None:
    network = place_network(STORE.load(card)[0], "cpu")
    pixels = floats(name, card)
    full, half = (call_network(network, pixels, "cpu", precision).clip(0, 1) for precision in ("fp32", "bf16"))
    assert np.abs(full - half).max() <= 2 / 255
    assert 10 * np.log10(1 / np.square(full - half).mean()) > 50
    assert np.abs(full - half).max() > 0


@pytest.mark.parametrize("card", TILED, ids=lambda card: card.name)
@pytest.mark.parametrize("name", list(PICTURES))
def test_tiles_of_natural_pictures_equal_the_whole(card: ModelCard, name: str) -> None:
    """EXACT within 1e-5, MARGIN within 1/255 at the shipped margin; nothing stands out along the seams."""
    exact = dataclasses.replace(card, half=False)
    pixels = floats(name, card)
    if card.tiling is Tiling.EXACT:
        pixels = np.ascontiguousarray(pixels[:173, :199])
    whole = call_network(place_network(STORE.load(card)[0], "cpu"), pixels, "cpu", "fp32").clip(0, 1)
    engine = Engine(Registry([exact]), STORE, device="cpu", call_seconds=1e-6)
    tiled = finish(engine.stream(ImageDocument(color=pixels), exact))
    assert tiled.report.tiles > 1
    errors = np.abs(tiled.image.color - whole)
    assert errors.max() <= (1e-5 if card.tiling is Tiling.EXACT else 1 / 255)
    if card.tiling is Tiling.MARGIN:
        grid = grid_for(exact, *pixels.shape[:2])
        cores = [tile.core for tile in grid.fit(grid.whole, 1.0)]
        columns = sorted({core.left for core in cores if core.left})
        assert columns
        jump = np.abs(np.diff(tiled.image.color - whole, axis=1)).mean((0, 2))
        assert max(jump[column - 1] for column in columns) < 0.2 / 255
