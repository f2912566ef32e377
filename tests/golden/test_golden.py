"""The bundled weights still make the pictures they made when they were adopted."""

import numpy as np
import pytest
from PIL import Image

from restoration.registry import MODELS
from restoration.weights import WeightStore
from tests.golden.make import FOLDER, output, source

AVAILABLE = [name for name, card in MODELS.items() if WeightStore().availability(card).available]


@pytest.mark.parametrize("name", AVAILABLE)
def test_the_golden_picture_is_reproduced(name: str) -> None:
    golden = np.asarray(Image.open(FOLDER / f"{name}.png")).astype(int)
    errors = np.abs(output(MODELS[name]) - golden)
    counts = np.bincount(errors.ravel(), minlength=4)[:4]
    assert errors.max() <= 1, f"pixels off by 0, 1, 2, 3: {counts}"
    assert counts[1] < 0.01 * errors.size


@pytest.mark.parametrize("name", AVAILABLE)
def test_the_golden_picture_is_not_the_input(name: str) -> None:
    golden = np.asarray(Image.open(FOLDER / f"{name}.png"))
    card = MODELS[name]
    given = source(card)
    plain = Image.fromarray(given).resize((golden.shape[1], golden.shape[0]), Image.Resampling.BICUBIC)
    assert golden.shape[0] == given.shape[0] * card.scale
    assert np.abs(golden.astype(int) - np.asarray(plain)).mean() > 0.3


def test_every_golden_picture_has_its_weights() -> None:
    assert {path.stem for path in FOLDER.glob("*.png")} == set(AVAILABLE)
