"""What a network costs on this machine, and how large a tile may therefore be.

A cost is seconds per million context pixels for one card on one device in one precision. It comes from a short probe
at first use and is kept fresh by every tile that follows; before either, it is guessed from the card's arithmetic.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from math import lcm
from statistics import median

import numpy as np
from numpy.typing import NDArray

from restoration.card import ModelCard, Tiling
from restoration.inference.device import free_gpu_bytes
from restoration.inference.tiling import SMALLEST_CORE, Grid

DEEPEST_STRIDE = 32
"""Encoders here halve a picture up to five times."""

_GUESSED_GIGAFLOPS = {  # two cores of 2024; measured 150-220, 300-430 and 450-650
    ("cpu", "fp32"): 100.0,
    ("cpu", "bf16"): 200.0,
    ("cpu", "int8"): 300.0,
}
_GUESSED_GPU_GIGAFLOPS = 5000.0  # far below any GPU of the last years: the first plan errs on small tiles
_MOST_OUTPUT_PIXELS = {"cpu": 2e6, "cuda": 8e6}
# A megapixel of output takes 0.1 to 0.3 GB by OpenVINO; by torch in fp32, of EDSR x2, about 0.7 GB.
_MOST_BYTES, _BYTES_PER_OUTPUT_PIXEL = 1000.0, {"bf16": 600.0, "fp16": 600.0}  # on a GPU: an estimate, with room
_OBSERVING_SHARE = 0.35  # what only torch computes, in front of the network and of more than a tile, takes memory, too
_REMEMBERED = 15
_PROBE_SIDES = (64, 512)
_PROBE_CALLS = 3


@dataclass(frozen=True, slots=True)
class Place:
    """Where and how a network runs: device "cpu" or "cuda", precision "fp32", "bf16", "fp16" or "int8"."""

    device: str
    precision: str


class Costs:
    """Seconds per megapixel, learned; safe to share between threads.

    Args:
        call_seconds: how long the largest calls are meant to last.
    """

    def __init__(self, call_seconds: float) -> None:
        self._call_seconds = call_seconds
        self._seen: dict[tuple[str, Place], deque[float]] = {}
        self._lock = threading.Lock()

    def measured(self, card: ModelCard, place: Place) -> bool:
        """Whether anything was measured yet."""
        with self._lock:
            return (card.name, place) in self._seen

    def seconds_per_megapixel(self, card: ModelCard, place: Place) -> float:
        """The median of the last measurements; a guess from the card's arithmetic before the first."""
        with self._lock:
            seen = self._seen.get((card.name, place))
            if seen:
                return median(seen)
        speed = _GUESSED_GIGAFLOPS.get((place.device, place.precision), _GUESSED_GPU_GIGAFLOPS)
        return max(card.gigaflop_per_megapixel, 1.0) / speed

    def learn(self, card: ModelCard, place: Place, *, pixels: int, seconds: float) -> None:
        """Adds a finished tile, unless it was so small that its fixed costs say nothing about large ones."""
        expected = self.seconds_per_megapixel(card, place) * pixels / 1e6
        if seconds <= expected or expected >= self._call_seconds / 4:
            self.observe(card, place, pixels=pixels, seconds=seconds)

    def observe(self, card: ModelCard, place: Place, *, pixels: int, seconds: float) -> None:
        """Adds one measured call; the median forgives the odd one that was disturbed."""
        with self._lock:
            seen = self._seen.setdefault((card.name, place), deque(maxlen=_REMEMBERED))
            seen.append(max(seconds, 1e-6) / (pixels / 1e6))


def probe(call: Callable[[NDArray[np.float32]], object], card: ModelCard, *, long_enough: float) -> tuple[int, float]:
    """Times calls of growing size until one lasts `long_enough` seconds; each size is called once before, unmeasured.

    Returns: the pixels of the last size, and the seconds of its quickest call of three: what the machine costs, not
        what else it was doing.
    """
    side, largest = _PROBE_SIDES
    side = card.size.fixed or -(-max(side, card.size.minimum) // card.size.multiple_of) * card.size.multiple_of
    while True:
        pixels = np.full((side, side, 3), 0.5, dtype=np.float32)
        call(pixels)
        seconds = min(_seconds(call, pixels) for _ in range(_PROBE_CALLS))
        if card.size.fixed or seconds >= long_enough or side >= largest:
            return side * side, seconds
        side *= 2


def _seconds(call: Callable[[NDArray[np.float32]], object], pixels: NDArray[np.float32]) -> float:
    started = time.perf_counter()
    call(pixels)
    return time.perf_counter() - started


def grid_for(card: ModelCard, height: int, width: int) -> Grid:
    """The rules a card's tiles obey on a picture of that size (pixels)."""
    strided = card.tiling is not Tiling.EXACT and card.receptive_margin is None
    return Grid(
        height=height,
        width=width,
        margin=card.margin,
        align=lcm(card.size.multiple_of, DEEPEST_STRIDE) if strided else card.size.multiple_of,
        smallest=max(SMALLEST_CORE, card.size.minimum, 2 * card.margin),  # or the margins cost more than the picture
        surroundings=card.surroundings,
    )


def most_pixels(card: ModelCard, place: Place, *, seconds_per_megapixel: float, call_seconds: float) -> float:
    """The largest context one call may have: by time, and by memory."""
    if card.tiling in (Tiling.SEAMS, Tiling.NEVER):
        return float("inf")
    by_memory = _most_output_pixels(place) / card.scale**2 * (_OBSERVING_SHARE if card.observes else 1.0)
    return min(by_memory, call_seconds / seconds_per_megapixel * 1e6)


def _most_output_pixels(place: Place) -> float:
    """What the device's memory holds; of a GPU's, half of what is free now, the rest being for its libraries."""
    most = _MOST_OUTPUT_PIXELS[place.device]
    if place.device != "cuda":
        return most
    return min(most, 0.5 * free_gpu_bytes() / _BYTES_PER_OUTPUT_PIXEL.get(place.precision, _MOST_BYTES))
