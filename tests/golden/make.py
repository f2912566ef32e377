"""Writes `<model>.png`: what each available card makes of a fixed picture, in eager fp32 on the CPU.

python -m tests.golden.make [MODEL ...]
"""

import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from skimage import data

from restoration.card import ModelCard
from restoration.registry import MODELS
from restoration.weights import WeightStore

FOLDER = Path(__file__).parent


def source(card: ModelCard) -> np.ndarray:
    """The fixed input: a cat's eye, or an astronaut's face where the network takes one size; uint8 (H, W, 3)."""
    if card.size.fixed:
        face = Image.fromarray(data.astronaut()[20:200, 130:310])
        return np.asarray(face.resize((card.size.fixed, card.size.fixed), Image.Resampling.BICUBIC))
    return np.ascontiguousarray(data.chelsea()[80:145, 130:213])


def output(card: ModelCard) -> np.ndarray:
    """What the bundled weights make of it, rounded to uint8."""
    network, _ = WeightStore().load(card)
    x = torch.from_numpy(source(card).astype(np.float32) / 255).permute(2, 0, 1)[None]
    with torch.inference_mode():
        y = network(x)[0].permute(1, 2, 0).numpy()
    return np.rint(np.clip(y, 0, 1) * 255).astype(np.uint8)


def main(names: list[str]) -> None:
    """Writes the golden pictures of the named cards, or of all available ones."""
    store = WeightStore()
    for card in MODELS.values():
        if store.availability(card).available and (not names or card.name in names):
            Image.fromarray(output(card)).save(FOLDER / f"{card.name}.png", optimize=True)
            print(f"{card.name}.png")


if __name__ == "__main__":
    main(sys.argv[1:])
