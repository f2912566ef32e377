"""Every backend equals the network in eager fp32 on the shipped weights: natural pictures, awkward sizes, tiles."""

import dataclasses
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import convolve
from skimage import data

from restoration.card import ModelCard, Tiling
from restoration.images.document import ImageDocument
from restoration.inference.backends.backend import LEAST_PSNR, TOLERANCES
from restoration.inference.backends.openvino_backend import SMALLEST_SIDE
from restoration.inference.device import call_network, cpu_has_bf16, neutral_context
from restoration.inference.engine import Engine, finish
from restoration.inference.fast import fast_facts
from restoration.inference.networks import Loaded, Networks
from restoration.registry import MODELS, Registry
from restoration.weights import WeightStore

STORE = WeightStore()
AVAILABLE = [card for card in MODELS.values() if STORE.availability(card).available]
TILED = [card for card in AVAILABLE if card.tiling in (Tiling.EXACT, Tiling.MARGIN)]
NETWORKS = Networks(STORE, backend="auto")
PICTURES = {"cat": data.chelsea(), "rocket": data.rocket(), "coffee": data.coffee()}
SIZES = [(97, 65), (SMALLEST_SIDE, 86), (32, 70), (1, 90)]
SHORTEST_TILE = 32


@cache
def loaded(name: str) -> Loaded:
    return NETWORKS.get(MODELS[name], "cpu")


def floats(name: str, height: int, width: int) -> NDArray[np.float32]:
    picture = PICTURES[name][40 : 40 + height, 90 : 90 + width]
    assert picture.shape == (height, width, 3)
    return np.ascontiguousarray(picture).astype(np.float32) / np.float32(255)


def contexts(card: ModelCard) -> list[NDArray[np.float32] | None]:
    """For a network that observes: nothing to see, and a camera that moved along a bent stroke."""
    if not card.observes:
        return [None]
    neutral = neutral_context(loaded(card.name).network, "cpu")
    stroke = np.zeros_like(neutral)
    middle = stroke.shape[-1] // 2
    for step, weight in zip(range(-12, 13), np.random.default_rng(3).uniform(0.5, 1.5, 25), strict=True):
        stroke[0, 0, middle + step * abs(step) // 24, middle + step] = weight
    return [neutral, stroke / stroke.sum()]


def shaken(pixels: NDArray[np.float32], context: NDArray[np.float32] | None) -> NDArray[np.float32]:
    if context is None:
        return pixels
    planes = [convolve(pixels[..., channel], context[0, 0], mode="nearest") for channel in range(3)]
    return np.ascontiguousarray(np.stack(planes, axis=2).astype(np.float32))


def precisions(card: ModelCard) -> list[str]:
    int8 = ["int8"] if fast_facts(card, STORE) else []
    return (["fp32", "bf16"] if card.half and cpu_has_bf16() else ["fp32"]) + int8


def assert_equal(card: ModelCard, pixels: NDArray[np.float32], precision: str) -> None:
    for number, context in enumerate(contexts(card)):
        seen = shaken(pixels, context)
        expected = call_network(loaded(card.name).network, seen, "cpu", "fp32", context)
        difference = np.abs(loaded(card.name)(seen, precision, context) - expected)
        size = f"{card.name} in {precision} at {pixels.shape[:2]}, context {number}"
        assert difference.max() <= TOLERANCES[precision], f"{size}: off by {255 * difference.max():.3f}/255"
        psnr = -10 * np.log10(max(float(np.square(difference).mean()), 1e-12))
        assert psnr > LEAST_PSNR.get(precision, 0), f"{size}: {psnr:.1f} dB"


@pytest.mark.parametrize("card", AVAILABLE, ids=lambda card: card.name)
def test_available_cards_are_run_by_the_fast_backend(card: ModelCard) -> None:
    for precision in precisions(card):
        ready = loaded(card.name).ready(precision, card.size.fixed or 64, 0.0)
        assert (ready.backend, ready.precision) == ("openvino", precision), ready.notes


@pytest.mark.parametrize("card", AVAILABLE, ids=lambda card: card.name)
def test_the_fast_backend_equals_eager_fp32_on_natural_pictures(card: ModelCard) -> None:
    side = card.size.fixed or 80
    for name in PICTURES:
        for precision in precisions(card):
            assert_equal(card, floats(name, side, side), precision)


@pytest.mark.parametrize("card", TILED, ids=lambda card: card.name)
def test_the_fast_backend_equals_eager_fp32_at_awkward_sizes(card: ModelCard) -> None:
    for height, width in SIZES:
        for precision in precisions(card):
            assert_equal(card, floats("cat", height, width), precision)


@pytest.mark.parametrize("card", TILED, ids=lambda card: card.name)
def test_tiles_by_the_fast_backend_equal_tiles_by_torch(card: ModelCard) -> None:
    """The smallest tiles, in fp32, through the whole engine; whole = tiles by torch is a law of its own."""
    exact = dataclasses.replace(card, half=False)
    width = 2 * max(SHORTEST_TILE, card.size.minimum, 2 * card.margin) + 5
    color = floats("rocket", 40, min(width, 250))
    color = np.pad(color, ((0, 0), (0, width - color.shape[1]), (0, 0)), mode="symmetric")
    results = []
    for backend in ("openvino", "torch"):
        engine = Engine(Registry([exact]), STORE, device="cpu", call_seconds=1e-6, backend=backend)
        results.append(finish(engine.stream(ImageDocument(color=color), exact)))
    fast, slow = results
    assert (fast.report.backend, slow.report.backend) == ("openvino", "torch")
    assert fast.report.tiles == slow.report.tiles > 1
    assert np.abs(fast.image.color - slow.image.color).max() <= TOLERANCES["fp32"]
