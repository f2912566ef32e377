"""A network compiled ahead of time (torch.export, AOTInductor), for workers that may not compile, as ZeroGPU's.

    main process, before the page is launched                a worker, for each job
    export -> (GPU lent) compile, compare with eager fp32 -> ExportedBackend, or torch with a line in the report

Compiling takes minutes a network, so it is done only where an engine is told how (`AheadOfTime`). It never ran on a
GPU: the tests run it on the CPU, with AOTInductor for a small network, and with stand-ins for the scheduler.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from restoration.card import ModelCard
from restoration.inference.backends.backend import BackendFailed
from restoration.inference.backends.openvino_backend import SMALLEST_SIDE, compare
from restoration.inference.device import call_network, torch_device

LONGEST_SIDE = 8192
_EXAMPLE_SIDES = (65, 97)  # odd after every halving, so that padding is exported, too

Program = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class AheadOfTime:
    """How networks are compiled ahead of time here.

    lend: runs a function where the GPU is, maybe in another process, and gives its answer back.
    compile: makes an exported network a function that can be handed to other processes (`spaces.aoti_compile`).
    """

    lend: Callable[[Callable[[], Program]], Program]
    compile: Callable[[ExportedProgram], Program]


class ExportedBackend:
    """A compiled network in one precision.

    Args:
        program: (1, 3, height, width) in 0..1 -> (1, 3, height * scale, width * scale), on the device.
        device: "cpu" or "cuda".
        fixed: the only side it takes, or None.
    """

    name = "exported"

    def __init__(self, program: Program, device: str, *, fixed: int | None = None) -> None:
        self.smallest = fixed or SMALLEST_SIDE
        self._program, self._device = program, device

    def prepare(self, height: int, width: int, calls: int) -> None:
        """Nothing: it was compiled for all sizes."""

    def __call__(self, pixels: NDArray[np.float32], context: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """(height, width, 3) in 0..1 -> (height * scale, width * scale, 3); several, (n, ...), one by one.

        Raises:
            BackendFailed: it cannot run this picture here.
            OutOfMemoryError: there is too little memory for it.
        """
        if pixels.ndim > 3:
            return np.stack([self(each) for each in pixels])
        try:
            return call_network(self._program, pixels, self._device, "fp32")
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # of the compiled code, of its loading
            raise BackendFailed("The exported network cannot run here") from error

    def release(self) -> None:
        """Nothing is held between two calls."""


class _InPrecision(nn.Module):
    """A network under autocast, so that precision is a part of what is exported."""

    def __init__(self, network: nn.Module, device: str, dtype: torch.dtype | None) -> None:
        super().__init__()
        self.network, self.device, self.dtype = network, device, dtype

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) float32 -> (B, 3, H * scale, W * scale) float32."""
        with torch.autocast(self.device, dtype=self.dtype, enabled=self.dtype is not None):
            return self.network(x).float()


def exported(card: ModelCard, network: nn.Module, precision: str, device: str, ahead: AheadOfTime) -> ExportedBackend:
    """A card's network, compiled and compared with itself in eager fp32, where the GPU is.

    Args:
        network: on its device, as `place_network` leaves it.

    Raises:
        BackendFailed: it observes, cannot be exported or compiled, or is another picture's.
    """
    if card.observes:
        raise BackendFailed(f"'{card.title}' looks at a picture first and cannot be exported")
    fixed = card.size.fixed

    def work() -> Program:
        program = ahead.compile(_program(network, precision, device, fixed))
        reference = partial(call_network, network, device=device, precision="fp32")
        compare(ExportedBackend(program, device, fixed=fixed), reference, precision, fixed=fixed, who="The export")
        return program

    try:
        return ExportedBackend(ahead.lend(work), device, fixed=fixed)
    except BackendFailed:
        raise
    except Exception as error:  # of the exporter, the compiler, the scheduler
        raise BackendFailed(f"'{card.title}' could not be compiled ahead of time") from error


def _program(network: nn.Module, precision: str, device: str, fixed: int | None) -> ExportedProgram:
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision)
    height, width = (fixed, fixed) if fixed else _EXAMPLE_SIDES
    example = torch.rand(1, 3, height, width).to(torch_device(device))
    sides: Any = None
    if not fixed:
        free = {axis: Dim(axis, min=SMALLEST_SIDE, max=LONGEST_SIDE) for axis in ("height", "width")}
        sides = {"x": {2: free["height"], 3: free["width"]}}
    with torch.no_grad():
        return torch.export.export(_InPrecision(network, device, dtype).eval(), (example,), dynamic_shapes=sides)
