"""The tile runner: cut a tile, call the network, finish its pixels in the document's own depth.

Pure numpy: the network is any callable, so this runs the same in this process, in a forked GPU worker, and in tests.
Everything that crosses to a worker is a plain value or an array (`Job` in; `Ready`, `Observed` and `Finished` out).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from restoration.images.document import Samples
from restoration.inference.tiling import Box, Tile

Observe = Callable[[NDArray[np.float32]], Iterator[NDArray[np.float32]]]
Call = Callable[..., NDArray[np.float32]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What a worker needs to compute some tiles of one picture.

    model: the card's name.
    device, precision: where and how.
    color: (height, width, 1 or 3), the document's samples.
    base: what a strength below 1 mixes with, at the output's size; None at strength 1.
    strength: 0..1.
    scale: output side / input side.
    minimum: the smallest side the network takes, pixels.
    window: what the network is to observe before its tiles; None when it does not, or has done so.
    context: what it observed, handed to every tile.
    low, high: results are clipped to this range (1.0 is white).
    tiles: what is left to do.
    batch: how many tiles at once; above 1 only where all are of one size.
    seconds: the predicted computing time; a scheduler is asked for GPU time by it.
    """

    model: str
    device: str
    precision: str
    color: Samples
    base: Samples | None = None
    strength: float = 1.0
    scale: int = 1
    minimum: int = 1
    window: Box | None = None
    context: NDArray[np.float32] | None = None
    low: float = 0.0
    high: float = 1.0
    tiles: tuple[Tile, ...]
    batch: int = 1
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Ready:
    """The worker has its network; after the last tile, it says again what ran it.

    checkpoint: the name of the weights.
    seconds: since the worker began.
    backend: its name.
    notes: sentences for the visitor about the backend.
    precision: in which it computes, where that is not what the job asked for; "" = it is.
    """

    checkpoint: str
    seconds: float
    backend: str = "torch"
    notes: tuple[str, ...] = ()
    precision: str = ""


@dataclass(frozen=True, slots=True)
class Observed:
    """The network has looked at the picture's window once more.

    context: what it knows now.
    complete: this was the last look.
    seconds: of all looks so far.
    """

    context: NDArray[np.float32]
    complete: bool
    seconds: float


@dataclass(frozen=True, slots=True)
class Finished:
    """One tile is done.

    index: into the job's tiles.
    samples: the core's pixels in the document's depth; None when the network gave NaN or infinity.
    seconds: of the network call alone.
    """

    index: int
    samples: Samples | None
    seconds: float


def run_job(call: Call, job: Job) -> Generator[Finished]:
    """Computes a job's tiles in order; closing the generator stops between two calls.

    Args:
        call: (h, w, 3) float32 in 0..1 -> (h * scale, w * scale, 3); with batches, (n, ...) -> (n, ...), too. Where
            tiles have surroundings, `call(pixels, part=box)` answers for a part of the pixels alone.
    """
    for first in range(0, len(job.tiles), job.batch):
        tiles = job.tiles[first : first + job.batch]
        pictures = [network_input(job.color, tile.area, minimum=job.minimum) for tile in tiles]
        pixels = pictures[0] if len(tiles) == 1 else np.stack(pictures)
        del pictures
        part = _part(tiles[0], pixels)
        started = time.perf_counter()
        answer = call(pixels) if part is None else call(pixels, part=part)
        seconds = (time.perf_counter() - started) / len(tiles)
        height, width = pixels.shape[-3:-1] if part is None else (part.height, part.width)
        expected = (*pixels.shape[:-3], height * job.scale, width * job.scale, 3)
        if answer.shape != expected:
            raise ValueError(f"{job.model} made {answer.shape} of {pixels.shape}, not {expected}")
        del pixels  # finishing takes memory, too
        for index, tile in enumerate(tiles, first):
            yield Finished(index, _finish(answer if len(tiles) == 1 else answer[index - first], job, tile), seconds)


def _part(tile: Tile, pixels: NDArray[np.float32]) -> Box | None:
    """The part of what was cut that the network is to answer for; None for all of it."""
    if tile.area == tile.context:
        return None
    part = tile.context.within(tile.area)
    height = part.height if tile.area.height > part.height else pixels.shape[-3]  # continued to the least side
    width = part.width if tile.area.width > part.width else pixels.shape[-2]
    return Box(part.top, part.left, part.top + height, part.left + width)


def sizes(job: Job) -> Counter[tuple[int, int]]:
    """How many pictures of each (height, width) in pixels the network is given."""
    contexts = (tile.context for tile in job.tiles)
    return Counter((max(job.minimum, each.height), max(job.minimum, each.width)) for each in contexts)


def shortest_side(job: Job) -> int:
    """The shortest side of all pictures the network is given, pixels."""
    return min(map(min, sizes(job)))


def observe(look: Observe, job: Job) -> Generator[Observed, None, NDArray[np.float32] | None]:
    """Lets the network look at the job's window, if there is one; returns the context for the tiles.

    Args:
        look: (h, w, 3) float32 in 0..1 -> better and better contexts.
    """
    context = job.context
    if job.window is not None:
        began = time.perf_counter()
        for context in look(network_input(job.color, job.window, minimum=job.minimum)):
            yield Observed(context, False, time.perf_counter() - began)
        if context is not None:
            yield Observed(context, True, time.perf_counter() - began)
    return context


def network_input(color: Samples, box: Box, *, minimum: int = 1) -> NDArray[np.float32]:
    """A box of a document's samples as a network takes it: (h, w, 3) float32 in 0..1, new memory.

    Gray is repeated to three channels; sides under `minimum` are continued by reflection at the bottom and right.
    """
    pixels = to_float(color[box.slices()])
    if pixels.shape[2] == 1:
        pixels = np.repeat(pixels, 3, axis=2)
    for axis in (0, 1):
        missing = minimum - pixels.shape[axis]
        if missing > 0:
            widths = [(0, missing if axis == side else 0) for side in range(3)]
            pixels = np.pad(pixels, widths, mode="reflect" if pixels.shape[axis] > 1 else "edge")
    return np.ascontiguousarray(pixels)


def to_float(samples: Samples) -> NDArray[np.float32]:
    """uint8, uint16 or float32 samples -> float32 with white at 1.0, new memory."""
    return samples.astype(np.float32) / _white(samples.dtype)


def from_float(values: NDArray[np.float32], dtype: np.dtype[Any], *, low: float = 0.0, high: float = 1.0) -> Samples:
    """Float values (white at 1.0) -> samples of a depth: clipped, and rounded to the nearest integer.

    Works in the memory of `values`.
    """
    np.clip(values, low, high, out=values)
    if dtype.kind != "u":
        return values.astype(np.float32)
    values *= _white(dtype)
    return np.rint(values, out=values).astype(dtype)


def _white(dtype: np.dtype[Any]) -> np.float32:
    return np.float32(np.iinfo(dtype).max if dtype.kind == "u" else 1)


def _finish(answer: NDArray[np.float32], job: Job, tile: Tile) -> Samples | None:
    """Cuts the core out of the network's answer, makes gray gray again, mixes by strength, and rounds."""
    core = tile.core
    values: NDArray[np.float32] = answer[core.within(tile.context).slices(job.scale)]
    if not np.isfinite(values).all():
        return None
    if job.color.shape[2] == 1:
        values = values.mean(axis=2, keepdims=True, dtype=np.float32)
    if job.base is not None:
        strength = np.float32(job.strength)
        base = to_float(job.base[core.slices(job.scale)])
        values = (values * strength + base * (1 - strength)).astype(np.float32, copy=False)
    return from_float(values, job.color.dtype, low=job.low, high=job.high)
