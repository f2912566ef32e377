"""Recipes small enough to be trained in a second, a folder to train them on, and the comparison of two trainings."""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from restoration.architectures.edge_oriented import with_branches
from restoration.architectures.edsr import EDSR
from restoration.training.critics import DoubleScaleCritic, PatchCritic
from restoration.training.data import crop
from restoration.training.loop import train
from restoration.training.recipes import RECIPES, Recipe, enlarge_pairs
from restoration.weights import WeightStore


def make_photos(folder: Path, count: int = 40) -> None:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for index in range(count):
        small = Image.fromarray(rng.integers(0, 255, (12, 12, 3), np.uint8))
        small.resize((64, 64)).save(folder / f"{index}.png")


def soft_pairs(rng: np.random.Generator, tile: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A 32 px square and the same in half the colours."""
    sharp = crop(rng, tile, 32)
    return sharp // 2 * 2, sharp


def small_edsr() -> torch.nn.Module:
    return EDSR(2, blocks=1, width=8)


class Sharpener(torch.nn.Module):
    """Two convolutions, a norm and dropout: something random in every step, and statistics to keep."""

    def __init__(self) -> None:
        super().__init__()
        self.body = torch.nn.Sequential(
            torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.BatchNorm2d(8), torch.nn.Dropout(0.2),
            torch.nn.Conv2d(8, 3, 3, padding=1),
        )  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + 0.1 * self.body(x)


TINY: Recipe = dataclasses.replace(
    RECIPES["edsr-baseline-x2"], folder="photos", pairs=partial(enlarge_pairs, 2, 12),
    validation_pairs=None, tile_minimum=40, batch=4,
    build=small_edsr, warmup_steps=4, initialise=None, learning_rate=2e-3, optimiser="adam",
)  # fmt: skip
MUON = dataclasses.replace(TINY, build=lambda: with_branches(EDSR(2, blocks=1, width=16)), optimiser="muon")
_SMALL: dict[str, Any] = {
    "folder": "photos", "pairs": soft_pairs, "tile_minimum": 40, "batch": 2, "warmup_steps": 4,
}  # fmt: skip
_PIX2PIX, _DEBLURGAN = RECIPES["pix2pix-faces-gan"], RECIPES["deblurgan-v2-resnet-gan"]
assert _PIX2PIX.adversarial
assert _DEBLURGAN.adversarial
PIX2PIX = dataclasses.replace(
    _PIX2PIX, build=Sharpener, starts_from=None, **_SMALL,
    adversarial=dataclasses.replace(
        _PIX2PIX.adversarial, critic=partial(PatchCritic, 8, halvings=2, conditional=True)
    ),
)  # fmt: skip
DEBLURGAN = dataclasses.replace(
    _DEBLURGAN, build=Sharpener, starts_from=None, **_SMALL,
    adversarial=dataclasses.replace(_DEBLURGAN.adversarial, critic=partial(DoubleScaleCritic, 8, full_halvings=3)),
)  # fmt: skip
FASTAI = dataclasses.replace(RECIPES["unet-resnet-enhance"], **_SMALL)


class Clock:
    """Stands in for the module `time`: every look at it takes `tick` seconds."""

    def __init__(self, tick: float) -> None:
        self.tick, self.now = tick, 0.0

    def monotonic(self) -> float:
        self.now += self.tick
        return self.now


def run(recipe: Recipe, data: Path, out: Path, **options: Any) -> Path:
    return train(recipe, data, out, **{"store": WeightStore(), "device": "cpu", "workers": 0, **options})


def read(folder: Path) -> dict[str, Any]:
    """A run folder's checkpoint."""
    return torch.load(folder / "last.pt", weights_only=True)


def differences(a: Any, b: Any, path: str = "") -> list[str]:
    """Where two checkpoints differ, but in the seconds they took."""
    if isinstance(a, torch.Tensor):
        return [] if torch.equal(a, b) else [path]
    if isinstance(a, dict):
        keys = [key for key in {**a, **b} if path or key != "seconds"]
        return [line for key in keys for line in differences(a.get(key), b.get(key), f"{path}/{key}")]
    if isinstance(a, list | tuple):
        return [line for i, (x, y) in enumerate(zip(a, b, strict=True)) for line in differences(x, y, f"{path}/{i}")]
    return [] if a == b else [path]
