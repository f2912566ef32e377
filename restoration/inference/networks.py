"""The networks an engine holds: loaded when first asked for, one copy per device, entered by one thread at a time.

Each is run by torch, or on the CPU by a faster backend that was found to agree with it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from torch import nn

from restoration.card import ModelCard
from restoration.inference.backends.backend import Backend, BackendFailed, Compile
from restoration.inference.backends.torch_backend import TorchBackend
from restoration.inference.device import (
    choose_precision,
    neutral_context,
    observe_picture,
    place_network,
    return_freed_memory,
)
from restoration.inference.fast import INT8, read_fast
from restoration.inference.folding import fold
from restoration.inference.runner import Ready
from restoration.inference.tiling import Box
from restoration.weights import WeightStore

if TYPE_CHECKING:
    from restoration.inference.backends.exported_backend import AheadOfTime

LARGE_PIXELS = 4_000_000  # computed for one picture: they leave much behind
SMALL_PIXELS = 2_500_000  # computed for one picture: the memory they took may stay for the next one
_LOG = logging.getLogger(__name__)


class Loaded:
    """One network on one device, the name of its weights, what runs it, and the lock that keeps a second thread out.

    Args:
        network: as `place_network` leaves it.
        checkpoint: the name of its weights.
        device: "cpu" or "cuda".
        compile: makes the faster backend for a precision at its first use; None leaves torch alone.
        usual: the precision instead of int8, where that cannot be.
    """

    def __init__(
        self,
        network: nn.Module,
        checkpoint: str,
        device: str,
        compile: Compile | None = None,
        *,
        usual: str = "fp32",
    ) -> None:
        self.network, self.checkpoint, self.device = network, checkpoint, device
        self.notes: tuple[str, ...] = ()
        self._compile, self._usual = compile, usual
        self._backends: dict[str, Backend | None] = {}  # None: only torch can run it
        self._refused = ""  # why there is no int8
        self._lock = threading.Lock()
        self._pixels = 0  # of the picture at hand

    def __call__(
        self,
        pixels: NDArray[np.float32],
        precision: str,
        context: NDArray[np.float32] | None = None,
        part: Box | None = None,
    ) -> NDArray[np.float32]:
        """(height, width, 3) in 0..1 -> (height * scale, width * scale, 3); a second thread waits here.

        On a GPU several of one size, too: (n, height, width, 3).

        Args:
            context: what the last of `observe` was, for a network that observes.
            part: of the pixels, what the answer is for; None = all. For a card with `surroundings`.
        """
        with self._lock:
            self._count(pixels.size // pixels.shape[-1])
            while True:
                backend, used = self._choose(precision, min((part.height, part.width) if part else pixels.shape[-3:-1]))
                try:
                    return backend(pixels, context, part)
                except BackendFailed as failure:
                    self._give_up(failure, used)

    def observe(self, pixels: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
        """Lets the network look at a picture, (height, width, 3) in 0..1: better and better contexts."""
        looks = observe_picture(self.network, pixels, self.device)
        while True:
            with self._lock:
                context = next(looks, None)
            if context is None:
                return
            yield context

    def neutral(self, card: ModelCard) -> NDArray[np.float32] | None:
        """The context for a picture in which there is nothing to see; None for a network that does not observe."""
        return neutral_context(self.network, self.device) if card.observes else None

    def backend(self, precision: str, side: int) -> str:
        """The name of what runs pictures whose shorter side has so many pixels."""
        with self._lock:
            return self._choose(precision, side)[0].name

    def ready(self, precision: str, side: int, began: float) -> Ready:
        """What a worker says of this network; `began` is by `time.perf_counter`."""
        with self._lock:
            backend, used = self._choose(precision, side)
            notes = (self._refused,) if precision == INT8 and self._refused and not self.notes else self.notes
        return Ready(self.checkpoint, time.perf_counter() - began, backend.name, notes, used)

    def prepare(self, precision: str, size: tuple[int, int], calls: int) -> None:
        """Makes ready for so many tiles of one (height, width)."""
        with self._lock:
            self._choose(precision, min(size))[0].prepare(*size, calls)

    def rest(self) -> None:
        """After a picture: keeps what a small one took; cleared anew, it costs the next one a sixth of its time."""
        with self._lock:
            if self._pixels > SMALL_PIXELS:
                self._release()
            self._pixels = 0

    def release(self) -> None:
        """Gives back the memory that only the last pictures needed."""
        with self._lock:
            self._release()
            self._pixels = 0

    def _release(self) -> None:
        for backend in filter(None, self._backends.values()):
            backend.release()
        if self._pixels > LARGE_PIXELS:
            return_freed_memory()

    def _count(self, pixels: int) -> None:
        """Keeps what tiles leave behind from growing with the picture."""
        before, self._pixels = self._pixels, self._pixels + pixels
        if self._pixels // LARGE_PIXELS > before // LARGE_PIXELS:
            return_freed_memory()

    def adopt(self, make: Callable[[str], Backend]) -> None:
        """Makes the faster backend for the usual precision once; without one, torch, and a line in every report."""
        with self._lock:
            if self._usual in self._backends or self.notes:
                return
            try:
                self._backends[self._usual] = make(self._usual)
            except BackendFailed as failure:
                self._give_up(failure, self._usual)

    def _choose(self, precision: str, side: int) -> tuple[Backend, str]:
        """What runs pictures of that shorter side, and in which precision: torch has no int8."""
        if precision == INT8 and (self._refused or not self._compiled(INT8)):
            precision = self._usual
        fast = self._compiled(precision)
        if fast is not None and side >= fast.smallest:
            return fast, precision
        precision = {INT8: self._usual, "fp16": "fp32"}.get(precision, precision)  # fp16 was not verified without
        return TorchBackend(self.network, self.device, precision), precision

    def _compiled(self, precision: str) -> Backend | None:
        """The faster backend; None where there is none (any more)."""
        if self._compile is not None and precision not in self._backends:
            try:
                self._backends[precision] = self._compile(precision)
                return_freed_memory()  # what converting left behind
            except BackendFailed as failure:
                self._give_up(failure, precision)
        return self._backends.get(precision)

    def _give_up(self, failure: BackendFailed, precision: str) -> None:
        """Torch from now on, or after int8 the usual precision; the reason is told once."""
        instead = self._usual if precision == INT8 else "torch"
        _LOG.warning("%s: %s is used instead", failure, instead, exc_info=failure.__cause__)
        if precision == INT8:
            self._refused = f"{failure}: {instead} was used."
            self._backends.pop(INT8, None)
            return
        self.notes = (f"{failure}: this was computed by torch, more slowly.",)
        self._compile, self._backends = None, {}


class Networks:
    """Networks by card and device.

    Args:
        store: where weights come from.
        backend: "torch", or "auto" or "openvino" for the faster one where it agrees.
        cache: the folder for converted networks; None keeps none.
        scheduled: the GPU is lent to a worker for one job, too short a time to compare results first: it runs torch,
            or what was compiled ahead of time.
        ahead: how that is done; None = it is not.
    """

    def __init__(
        self,
        store: WeightStore,
        backend: str = "torch",
        *,
        cache: Path | None = None,
        scheduled: bool = False,
        ahead: AheadOfTime | None = None,
    ) -> None:
        self._store, self._backend, self._cache, self._scheduled = store, backend, cache, scheduled
        self._ahead = ahead
        self._loaded: dict[tuple[str, str], Loaded] = {}
        self._last: Loaded | None = None
        self._lock = threading.Lock()

    def get(self, card: ModelCard, device: str) -> Loaded:
        """The card's network on that device, loaded on the first call; the one before gives its memory back.

        Raises:
            WeightsError: its weights are missing, damaged or do not fit.
        """
        key = (card.name, device)
        with self._lock:
            if key not in self._loaded:
                network, checkpoint = self._store.load(card)
                network = place_network(fold(network, card.size), device)
                compile = self._compiler(card, network, device)
                usual = choose_precision(card, device)
                self._loaded[key] = Loaded(network, checkpoint, device, compile, usual=usual)
            loaded, before = self._loaded[key], self._last
            self._last = loaded
        if before is not None and before is not loaded:
            before.release()
        return loaded

    def ready_for_workers(self, card: ModelCard, device: str) -> None:
        """Loads a network and compiles it ahead of time, where that is done; before workers are made.

        Raises:
            WeightsError: as `get`.
        """
        loaded = self.get(card, device)
        if self._ahead is not None and not self._ahead.chosen(card):
            _LOG.info("'%s' is not compiled ahead of time: torch runs it", card.title)
        elif self._ahead is not None:
            from restoration.inference.backends.exported_backend import exported

            loaded.adopt(partial(exported, card, loaded.network, device=device, ahead=self._ahead))

    def _compiler(self, card: ModelCard, network: nn.Module, device: str) -> Compile | None:
        if self._backend == "torch" or (device == "cuda" and self._scheduled):
            return None
        if device == "cuda":
            from restoration.inference.backends import cuda_backend

            return cuda_backend.compiler(card, network)
        from restoration.inference.backends.openvino_backend import compiler

        return compiler(card, network, self._cache, partial(read_fast, card, self._store))
