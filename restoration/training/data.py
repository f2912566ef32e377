"""Photographs to train on: a folder of pictures held as uint8 in memory, and seeded pairs made from it.

Knows nothing of networks. A pair depends on (seed, index) alone, so a resumed run sees what an unbroken one would.
"""

from __future__ import annotations

import csv
import hashlib
import json
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from restoration.errors import DataError, ImageFileError
from restoration.evaluation.protocols import SUFFIXES, read_sharp
from restoration.training.degradations import Picture, resize

Arrays = tuple[Picture | NDArray[np.float32], ...]  # (h, w, C) each
PairMaker = Callable[[Generator, Picture], Arrays]  # one tile -> input, target, and what else a network takes (context)
Say = Callable[[str], None]  # a line for whoever watches
SPLIT = "split.csv"  # beside the pictures: columns `fnames` (below the CSV's folder) and `is_val`
_HELD_OUT = 0.03  # of the photographs, for validation
_YES, _NO = {"true", "1", "yes"}, {"false", "0", "no", ""}
_SHARED = 8  # training pictures that validate where none is held out


@dataclass(frozen=True)
class Pictures:
    """Training and validation tiles, split by photograph so that no photograph is in both.

    unreadable, small, oblong: how many files were left out, and why.
    shared: no photograph is held out: the validation tiles are training tiles.
    """

    train: list[Picture]
    validation: list[Picture]
    unreadable: int = 0
    small: int = 0
    oblong: int = 0
    shared: bool = False

    @property
    def skipped(self) -> int:
        """How many files were left out."""
        return self.unreadable + self.small + self.oblong

    def describe(self) -> str:
        """For the log: how many pictures, what was left out, and whether validation is of training pictures."""
        counted = f"{len(self.train)} pictures to train on, {len(self.validation)} to validate"
        shared = "; none is held out: the validation pictures are training pictures" if self.shared else ""
        return f"{counted}, {self.describe_skipped()}{shared}"

    def describe_skipped(self) -> str:
        """How many files were left out, and why."""
        oblong = f", {self.oblong} not square" if self.oblong else ""
        return f"{self.skipped} skipped ({self.unreadable} unreadable, {self.small} too small{oblong})"


def find_folder(data: Path, folder: str) -> Path:
    """`data/folder` where it is there; else `data` itself when pictures or a split CSV lie right in it.

    Raises:
        DataError: neither is there.
    """
    if (data / folder).is_dir():
        return data / folder
    if data.is_dir() and ((data / SPLIT).is_file() or _pictures_in(data)):
        return data
    raise DataError(f"There is no folder {data / folder} to train on, and {data} itself holds no pictures.")


def load_pictures(folder: Path, minimum: int, *, squares: bool = False) -> Pictures:
    """Reads every picture of a folder, RGB uint8; smaller than `minimum` pixels a side or unreadable ones are skipped.

    Pictures are upright and in sRGB, deeper files rounded to 8 bits, alpha dropped.

    A `split.csv` in the folder says which files there are and which are for validation. Otherwise some photographs are
    held out by a hash of their names; a list `<folder>.json` of {"file", "source", "original"} beside the folder tells
    which tiles come from one photograph.

    Args:
        folder: the pictures.
        minimum: pixels a side.
        squares: larger squares are reduced to `minimum` pixels a side, other shapes are skipped.

    Raises:
        DataError: the folder does not exist or holds no usable picture, or a list cannot be read.
    """
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder} to train on.")
    rows = _split_rows(folder) if (folder / SPLIT).is_file() else _hashed_rows(folder)
    sides: dict[bool, list[Picture]] = {False: [], True: []}
    skipped = dict.fromkeys(("unreadable", "small", "oblong"), 0)
    for path, validating in rows:
        picture = _tile(path, minimum, squares=squares)
        if isinstance(picture, str):
            skipped[picture] += 1
        else:
            sides[validating].append(picture)
    train, validation = sides[False], sides[True]
    pictures = Pictures(train, validation or train[:_SHARED], shared=not validation, **skipped)
    if not train:
        kind = f"{'square ' if squares else ''}picture of at least {minimum} x {minimum} pixels"
        raise DataError(f"The folder {folder} holds no {kind} to train on: {pictures.describe_skipped()}.")
    return pictures


def _tile(path: Path, minimum: int, *, squares: bool) -> Picture | Literal["unreadable", "small", "oblong"]:
    """A picture to train on, or why it is none."""
    try:
        picture = read_sharp(path)
    except ImageFileError:
        return "unreadable"
    height, width = picture.shape[:2]
    if min(height, width) < minimum:
        return "small"
    if squares and height != width:
        return "oblong"
    return resize(picture, (minimum, minimum)) if squares and height > minimum else picture


def _pictures_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)


def _split_rows(folder: Path) -> list[tuple[Path, bool]]:
    path = folder / SPLIT
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = [(row["fnames"], row["is_val"].strip().lower()) for row in csv.DictReader(file)]
    except (KeyError, AttributeError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"The split {path} is not a CSV file with the columns fnames and is_val.") from error
    for name, flag in rows:
        if flag not in _YES | _NO:
            raise DataError(f"The split {path} says neither true nor false in is_val of '{name}'.")
        if not (folder / name).resolve().is_relative_to(folder.resolve()):
            raise DataError(f"The split {path} names '{name}', which lies outside its folder.")
    return [(folder / name, flag in _YES) for name, flag in rows]


def _hashed_rows(folder: Path) -> list[tuple[Path, bool]]:
    listing = folder.with_name(folder.name + ".json")
    try:
        rows = json.loads(listing.read_text(encoding="utf-8")) if listing.is_file() else []
        origins = {row["file"]: f"{row['source']}/{row['original']}" for row in rows}
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"The list {listing} does not hold rows of file, source and original.") from error
    paths = _pictures_in(folder)
    named = [origins.get(path.name, path.stem) for path in paths]
    places = {origin: _place(origin) for origin in named}
    # of several photographs at least one is held out, and a single one is trained on
    border = max(_HELD_OUT, float(np.nextafter(min(places.values()), 1.0))) if len(places) > 1 else 0.0
    return [(path, places[origin] < border) for path, origin in zip(paths, named, strict=True)]


def _place(origin: str) -> float:
    """A photograph's place in 0..1, by the hash of its name."""
    return int(hashlib.sha256(origin.encode()).hexdigest()[:8], 16) / 2**32


class Pairs(Dataset[tuple[Tensor, ...]]):
    """Item i is a pair made from a random tile by a generator seeded with (seed, i), flipped and transposed."""

    def __init__(self, pictures: Sequence[Picture], make: PairMaker, seed: int, *, transpose: bool = True) -> None:
        self.pictures, self.make, self.seed, self.transpose = pictures, make, seed, transpose

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        """-> (input, target) uint8 (3, h, w), and the context (C, h, w) where there is one."""
        rng = np.random.default_rng([self.seed, index])
        tile = self.pictures[int(rng.integers(len(self.pictures)))]
        return tuple(_to_tensor(array) for array in self.make(rng, turned(rng, tile, transpose=self.transpose)))


def turned(rng: Generator, tile: NDArray[Any], *, transpose: bool) -> NDArray[Any]:
    """(H, W, C), mirrored or not, and with `transpose` upside down or not, and with its sides exchanged or not."""
    flip_x, flip_y, swap = rng.random(3) < 0.5
    if flip_x:
        tile = tile[:, ::-1]
    if transpose:
        tile = tile[::-1] if flip_y else tile
        tile = tile.transpose(1, 0, 2) if swap else tile
    return tile


def _to_tensor(picture: Picture | NDArray[np.float32]) -> Tensor:
    return torch.from_numpy(np.array(picture.transpose(2, 0, 1), copy=True, order="C"))


def crop(rng: Generator, tile: Picture, size: int) -> Picture:
    """A random square of `size` pixels."""
    top = int(rng.integers(tile.shape[0] - size + 1))
    left = int(rng.integers(tile.shape[1] - size + 1))
    return np.ascontiguousarray(tile[top : top + size, left : left + size])


def busy_crop(rng: Generator, tile: Picture, size: int, tries: int) -> Picture:
    """Of so many random squares the one whose green varies most from pixel to pixel: flat ones teach little."""
    return max((crop(rng, tile, size) for _ in range(tries)), key=_variation)


def _variation(square: Picture) -> float:
    green = square[..., 1].astype(np.int16)
    return float(sum(np.abs(np.diff(green, axis=axis)).mean() for axis in (0, 1)))


class _Steps:
    """Batches of indices from step `start` on, without end: a step's pairs are shared out among processes in order.

    Process p of n takes `batch` pairs from (step * n + p) * batch on: n processes see what one with an n times larger
    batch would.
    """

    def __init__(self, start: int, batch: int, process: int, processes: int) -> None:
        self.start, self.batch, self.process, self.processes = start, batch, process, processes

    def __iter__(self) -> Iterator[list[int]]:
        step = self.start
        while True:
            first = (step * self.processes + self.process) * self.batch
            yield list(range(first, first + self.batch))
            step += 1


def batches(
    pairs: Pairs, *, start: int, batch: int, workers: int, process: int = 0, processes: int = 1, pinned: bool = False
) -> Iterator[tuple[Tensor, ...]]:
    """Endless batches (B, C, h, w) of what `pairs` gives, from step `start` on, made in worker processes.

    Args:
        process, processes: which share of each step this process takes.
        pinned: in page-locked memory, from where a GPU copies faster.
    """
    loader = DataLoader(
        pairs,
        batch_sampler=_Steps(start, batch, process, processes),  # type: ignore[arg-type]
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        worker_init_fn=_leave_stopping_to_the_parent,
        pin_memory=pinned,
        generator=torch.Generator().manual_seed(pairs.seed),  # the global random state stays alone: resumed runs agree
    )
    return iter(loader)


def _leave_stopping_to_the_parent(_worker: int) -> None:
    """Signals may reach a whole process group: the workers go on until the training has finished its step.

    They end when the loader does, or when the parent is gone.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
