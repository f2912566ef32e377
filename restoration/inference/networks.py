"""The networks an engine holds: loaded when first asked for, one copy per device, entered by one thread at a time.

Each is run by torch, or on the CPU by a faster backend that was found to agree with it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from restoration.card import ModelCard
from restoration.inference.backends.backend import Backend, BackendFailed, Compile
from restoration.inference.backends.torch_backend import TorchBackend
from restoration.inference.device import neutral_context, observe_picture, place_network
from restoration.inference.folding import fold_norms
from restoration.inference.runner import Ready
from restoration.weights import WeightStore

_LOG = logging.getLogger(__name__)


class Loaded:
    """One network on one device, the name of its weights, what runs it, and the lock that keeps a second thread out.

    Args:
        network: as `place_network` leaves it.
        checkpoint: the name of its weights.
        device: "cpu" or "cuda".
        compile: makes the faster backend for a precision at its first use; None leaves torch alone.
    """

    def __init__(self, network: nn.Module, checkpoint: str, device: str, compile: Compile | None = None) -> None:
        self.network, self.checkpoint, self.device = network, checkpoint, device
        self.notes: tuple[str, ...] = ()
        self._compile = compile
        self._backends: dict[str, Backend] = {}
        self._lock = threading.Lock()

    def __call__(
        self, pixels: NDArray[np.float32], precision: str, context: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """(height, width, 3) in 0..1 -> (height * scale, width * scale, 3); a second thread waits here.

        Args:
            context: what the last of `observe` was, for a network that observes.
        """
        with self._lock:
            backend = self._choose(precision, min(pixels.shape[:2]))
            try:
                return backend(pixels, context)
            except BackendFailed as failure:
                self._give_up(failure)
            return self._torch(precision)(pixels, context)

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
            return self._choose(precision, side).name

    def ready(self, precision: str, side: int, began: float) -> Ready:
        """What a worker says of this network; `began` is by `time.perf_counter`."""
        backend = self.backend(precision, side)
        return Ready(self.checkpoint, time.perf_counter() - began, backend, self.notes)

    def release(self) -> None:
        """Gives back the memory that only the last picture needed."""
        with self._lock:
            for backend in self._backends.values():
                backend.release()

    def _choose(self, precision: str, side: int) -> Backend:
        if self._compile is not None and precision not in self._backends:
            try:
                self._backends[precision] = self._compile(precision) or self._torch(precision)
            except BackendFailed as failure:
                self._give_up(failure)
        fast = self._backends.get(precision)
        return fast if fast is not None and side >= fast.smallest else self._torch(precision)

    def _torch(self, precision: str) -> Backend:
        return TorchBackend(self.network, self.device, precision)

    def _give_up(self, failure: BackendFailed) -> None:
        """Torch from now on; the reason is told once."""
        _LOG.warning("%s: torch is used instead", failure, exc_info=failure.__cause__)
        self.notes = (f"{failure}: this was computed by torch, more slowly.",)
        self._compile, self._backends = None, {}


class Networks:
    """Networks by card and device.

    Args:
        store: where weights come from.
        backend: "torch", or "auto" or "openvino" for the faster one on the CPU, where it agrees.
        cache: the folder for converted networks; None keeps none.
    """

    def __init__(self, store: WeightStore, *, backend: str = "torch", cache: Path | None = None) -> None:
        self._store, self._backend, self._cache = store, backend, cache
        self._loaded: dict[tuple[str, str], Loaded] = {}
        self._lock = threading.Lock()

    def get(self, card: ModelCard, device: str) -> Loaded:
        """The card's network on that device, loaded on the first call.

        Raises:
            WeightsError: its weights are missing, damaged or do not fit.
        """
        key = (card.name, device)
        with self._lock:
            if key not in self._loaded:
                network, checkpoint = self._store.load(card)
                network = place_network(fold_norms(network, card.size.fixed), device)
                self._loaded[key] = Loaded(network, checkpoint, device, self._compiler(card, network, device))
            return self._loaded[key]

    def _compiler(self, card: ModelCard, network: nn.Module, device: str) -> Compile | None:
        if device != "cpu" or self._backend == "torch":
            return None
        from restoration.inference.backends.openvino_backend import compiler

        return compiler(card, network, self._cache)
