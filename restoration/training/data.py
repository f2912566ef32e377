"""Photographs to train on: a folder of pictures held as uint8 in memory, and seeded pairs made from it.

Knows nothing of networks. A pair depends on (seed, index) alone, so a resumed run sees what an unbroken one would.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.random import Generator
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from restoration.errors import DataError
from restoration.training.degradations import Picture

PairMaker = Callable[[Generator, Picture], tuple[Picture, Picture]]  # one tile -> (input, target)
_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp"}
_HELD_OUT = 0.03  # of the photographs, for validation


@dataclass(frozen=True)
class Pictures:
    """Training and validation tiles, split by photograph so that no photograph is in both."""

    train: list[Picture]
    validation: list[Picture]
    skipped: int


def load_pictures(folder: Path, minimum: int) -> Pictures:
    """Reads every picture of a folder, RGB uint8; smaller than `minimum` pixels a side or unreadable ones are skipped.

    A list `<folder>.json` of {"file", "original"} beside the folder tells which tiles come from one photograph.

    Raises:
        DataError: the folder does not exist or holds no usable picture.
    """
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder} to train on.")
    listing = folder.with_name(folder.name + ".json")
    rows = json.loads(listing.read_text()) if listing.is_file() else []
    origins = {row["file"]: f"{row['source']}/{row['original']}" for row in rows}
    train: list[Picture] = []
    validation: list[Picture] = []
    skipped = 0
    for path in sorted(p for p in folder.iterdir() if p.suffix.lower() in _SUFFIXES):
        try:
            with Image.open(path) as image:
                picture = np.asarray(image.convert("RGB"))
        except (UnidentifiedImageError, OSError):
            skipped += 1
            continue
        if min(picture.shape[:2]) < minimum:
            skipped += 1
            continue
        (validation if _held_out(origins.get(path.name, path.stem)) else train).append(picture)
    if not train:
        raise DataError(
            f"The folder {folder} holds no picture of at least {minimum} x {minimum} pixels ({skipped} skipped)."
        )
    return Pictures(train, validation or train[:8], skipped)


def _held_out(origin: str) -> bool:
    return int(hashlib.sha256(origin.encode()).hexdigest()[:8], 16) / 2**32 < _HELD_OUT


class Pairs(Dataset[tuple[Tensor, Tensor]]):
    """Item i is a pair made from a random tile by a generator seeded with (seed, i), flipped and transposed."""

    def __init__(self, pictures: Sequence[Picture], make: PairMaker, seed: int, *, transpose: bool = True) -> None:
        self.pictures, self.make, self.seed, self.transpose = pictures, make, seed, transpose

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """-> (input, target) uint8 (3, h, w)."""
        rng = np.random.default_rng([self.seed, index])
        tile = self.pictures[int(rng.integers(len(self.pictures)))]
        return tuple(_to_tensor(p) for p in self.make(rng, _turned(rng, tile, self.transpose)))  # type: ignore[return-value]


def _turned(rng: Generator, tile: Picture, transpose: bool) -> Picture:
    flip_x, flip_y, swap = rng.random(3) < 0.5
    if flip_x:
        tile = tile[:, ::-1]
    if transpose:
        tile = tile[::-1] if flip_y else tile
        tile = tile.transpose(1, 0, 2) if swap else tile
    return tile


def _to_tensor(picture: Picture) -> Tensor:
    return torch.from_numpy(np.array(picture.transpose(2, 0, 1), copy=True, order="C"))


def crop(rng: Generator, tile: Picture, size: int) -> Picture:
    """A random square of `size` pixels."""
    top = int(rng.integers(tile.shape[0] - size + 1))
    left = int(rng.integers(tile.shape[1] - size + 1))
    return np.ascontiguousarray(tile[top : top + size, left : left + size])


class _Steps:
    """Batches of indices from step `start` on, without end: step s holds s * batch ... s * batch + batch - 1."""

    def __init__(self, start: int, batch: int) -> None:
        self.start, self.batch = start, batch

    def __iter__(self) -> Iterator[list[int]]:
        step = self.start
        while True:
            yield list(range(step * self.batch, (step + 1) * self.batch))
            step += 1


def batches(pairs: Pairs, *, start: int, batch: int, workers: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless (input, target) uint8 batches (B, 3, h, w) from step `start` on, made in worker processes."""
    loader = DataLoader(
        pairs,
        batch_sampler=_Steps(start, batch),  # type: ignore[arg-type]
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        generator=torch.Generator().manual_seed(
            pairs.seed
        ),  # leaves the global random state alone: a resumed run agrees
    )
    return iter(loader)
