"""What is left of a network's arithmetic when it is folded."""

import pytest

from benchmarks.counting import computed_part
from restoration.registry import MODELS
from restoration.weights import WeightStore

STORE = WeightStore()


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("edsr-baseline-x2", 0.9, 0.91),
        ("edsr-baseline-x4", 0.66, 0.68),
        ("ecbsr-x2", 1.0, 1.0),
        ("pix2pix-faces", 1.0, 1.0),
    ],
)
def test_what_folding_leaves_out_does_not_count(name: str, low: float, high: float) -> None:
    """By hand, per input pixel of x2: the tail's 295 + 14 thousand multiplications and additions, of 2,745, become 38;
    the four strips at the borders of 256 x 256 pixels take 3 / 64 of what they were."""
    assert low <= computed_part(MODELS[name], STORE.load(MODELS[name])[0]) <= high


def test_networks_that_observe_are_counted_with_a_context() -> None:
    card = MODELS["blind-wiener-mobilenet"]
    assert 0.5 < computed_part(card, STORE.load(card)[0]) < 1
