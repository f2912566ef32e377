"""ECBSR: a chain around which Pillow's bicubic skips."""

import numpy as np
import pytest
import torch
from PIL import Image

from restoration.architectures.ecbsr import ECBSR
from restoration.registry import MODELS


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_without_its_chain_it_is_pillows_bicubic(scale: int) -> None:
    network = ECBSR(scale).requires_grad_(False)
    for parameter in network.parameters():
        parameter.zero_()
    quiet = np.random.default_rng(0).integers(90, 166, (20, 30, 3), dtype=np.uint8)  # Pillow clips between its passes
    bicubic = np.asarray(Image.fromarray(quiet).resize((30 * scale, 20 * scale), Image.Resampling.BICUBIC))
    answer = network(torch.from_numpy(quiet).permute(2, 0, 1)[None] / 255)[0].permute(1, 2, 0).numpy() * 255
    inner = slice(3 * scale, -3 * scale)
    assert np.abs(answer - bicubic)[inner, inner].max() <= 1.2  # Pillow rounds twice
    assert np.abs(answer - bicubic).max() <= 6  # at the edge it takes fewer pixels, we repeat the last ones


def test_the_cards_networks_are_as_small_as_the_documents_say() -> None:
    count = {name: sum(p.numel() for p in MODELS[name].build().parameters()) for name in MODELS if "ecbsr" in name}
    assert count == {"ecbsr-x2": 214_380, "ecbsr-x3": 220_875, "ecbsr-x4": 229_968}


def test_other_scales_are_refused() -> None:
    with pytest.raises(ValueError, match="2, 3 and 4"):
        ECBSR(5)
