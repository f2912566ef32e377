"""The network itself, run by torch: the fallback that is always there, and the reference for every other backend."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import nn

from restoration.inference.device import call_network
from restoration.inference.tiling import Box


class TorchBackend:
    """A network on its device, as `place_network` leaves it, in one precision."""

    name = "torch"
    smallest = 1

    def __init__(self, network: nn.Module, device: str, precision: str) -> None:
        self._network, self._device, self._precision = network, device, precision

    def __call__(
        self, pixels: NDArray[np.float32], context: NDArray[np.float32] | None = None, part: Box | None = None
    ) -> NDArray[np.float32]:
        """(height, width, 3) in 0..1 -> (height * scale, width * scale, 3), of the part alone where one is given."""
        return call_network(self._network, pixels, self._device, self._precision, context, part=part)

    def prepare(self, height: int, width: int, calls: int) -> None:
        """Nothing: torch takes pictures as they come."""

    def release(self) -> None:
        """Nothing is held between two calls."""
