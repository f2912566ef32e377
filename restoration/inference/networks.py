"""The networks an engine holds: loaded when first asked for, one copy per device, entered by one thread at a time."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from torch import nn

from restoration.card import ModelCard
from restoration.inference.device import call_network, place_network
from restoration.weights import WeightStore


@dataclass(frozen=True, slots=True)
class Loaded:
    """One network on one device, the name of its weights, and the lock that keeps a second thread out."""

    network: nn.Module
    checkpoint: str
    device: str
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __call__(self, pixels: NDArray[np.float32], precision: str) -> NDArray[np.float32]:
        """(height, width, 3) in 0..1 -> (height * scale, width * scale, 3); a second thread waits here."""
        with self._lock:
            return call_network(self.network, pixels, self.device, precision)


class Networks:
    """Networks by card and device.

    Args:
        store: where weights come from.
    """

    def __init__(self, store: WeightStore) -> None:
        self._store = store
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
                self._loaded[key] = Loaded(place_network(network, device), checkpoint, device)
            return self._loaded[key]
