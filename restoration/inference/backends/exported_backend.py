"""A network compiled ahead of time (torch.export, AOTInductor), for workers that may not compile, as ZeroGPU's.

    main process, before the page is launched                a worker, for each job
    export -> (GPU lent) compile, compare with eager fp32 -> ExportedBackend, or torch with a line in the report

Compiling takes minutes a network, so it is done only where an engine is told how (`AheadOfTime`). It never ran on a
GPU: the tests run it on the CPU, with AOTInductor for a small network, and with stand-ins for the scheduler.
"""

from __future__ import annotations

import logging
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
from restoration.inference.backends.openvino_backend import SMALLEST_SIDE, Run, compare
from restoration.inference.device import call_network, torch_device
from restoration.inference.tiling import Box

LONGEST_SIDE = 8192
_EXAMPLE_SIDES = (65, 97)  # odd after every halving, so that padding is exported, too
_EXAMPLE_STEPS = (3, 5)  # sides of the example for a network on a grid, in steps of the grid
_COARSEST_STEP = 32  # encoders halve five times
_LOG = logging.getLogger(__name__)

Program = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class AheadOfTime:
    """How networks are compiled ahead of time here.

    lend: runs a function where the GPU is, maybe in another process, and gives its answer back: what `compile` made,
        and a number.
    compile: makes an exported network a function that can be handed to other processes (`spaces.aoti_compile`).
    chosen: which cards are worth the minutes; torch runs the others, as it would without all this.
    """

    lend: Callable[[Callable[[], tuple[Program, int]]], tuple[Program, int]]
    compile: Callable[[ExportedProgram], Program]
    chosen: Callable[[ModelCard], bool] = lambda _card: True


class ExportedBackend:
    """A compiled network in one precision.

    Args:
        program: (1, 3, height, width) in 0..1 -> (1, 3, height * scale, width * scale), on the device.
        device: "cpu" or "cuda".
        fixed: the only side it takes, or None.
        step: its sides are multiples of this many pixels.
        otherwise: what runs other sizes; None = their border is repeated up to the next multiple, which is what
            networks do that pad to it themselves.
    """

    name = "exported"

    def __init__(
        self, program: Program, device: str, *, fixed: int | None = None, step: int = 1, otherwise: Run | None = None
    ) -> None:
        self.smallest = fixed or max(SMALLEST_SIDE, step + 1)
        self._program, self._device, self._step, self._otherwise = program, device, step, otherwise

    def prepare(self, height: int, width: int, calls: int) -> None:
        """Nothing: it was compiled for all sizes."""

    def __call__(
        self, pixels: NDArray[np.float32], context: NDArray[np.float32] | None = None, part: Box | None = None
    ) -> NDArray[np.float32]:
        """(height, width, 3) in 0..1 -> (height * scale, width * scale, 3); several, (n, ...), one by one.

        Raises:
            BackendFailed: it cannot run this picture here.
            OutOfMemoryError: there is too little memory for it.
        """
        if pixels.ndim > 3:
            return np.stack([self(each) for each in pixels])
        height, width, _ = pixels.shape
        bottom, right = -height % self._step, -width % self._step
        if (bottom or right) and self._otherwise is not None:
            return self._otherwise(pixels)
        padded = np.pad(pixels, ((0, bottom), (0, right), (0, 0)), mode="edge") if bottom or right else pixels
        try:
            answer = call_network(self._program, padded, self._device, "fp32")
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # of the compiled code, of its loading
            raise BackendFailed("The exported network cannot run here") from error
        scale = answer.shape[0] // padded.shape[0]
        return np.ascontiguousarray(answer[: height * scale, : width * scale])

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

    def backend(program: Program, step: int) -> ExportedBackend:
        own = partial(call_network, network, device=device, precision=precision)
        otherwise = own if step > card.size.multiple_of else None
        return ExportedBackend(program, device, fixed=card.size.fixed, step=step, otherwise=otherwise)

    def work() -> tuple[Program, int]:
        graph, step = _exported_on_a_grid(card, network, precision, device)
        made = ahead.compile(graph), step
        reference = partial(call_network, network, device=device, precision="fp32")
        compare(backend(*made), reference, precision, fixed=card.size.fixed, who="The export")
        return made

    try:
        return backend(*ahead.lend(work))
    except BackendFailed:
        raise
    except Exception as error:  # of the exporter, the compiler, the scheduler
        raise BackendFailed(f"'{card.title}' could not be compiled ahead of time") from error


def _exported_on_a_grid(
    card: ModelCard, network: nn.Module, precision: str, device: str
) -> tuple[ExportedProgram, int]:
    """The network for sides that are multiples of a step, the finest that can be exported, and the step."""
    *finer, last = _steps(card)
    for step in finer:
        try:
            return _program(network, precision, device, card.size.fixed, step), step
        except Exception as error:  # the exporter has many kinds
            _LOG.info("'%s' is exported for a coarser grid: %s", card.title, type(error).__name__)
    return _program(network, precision, device, card.size.fixed, last), last


def _steps(card: ModelCard) -> tuple[int, ...]:
    """The grids to try: the one the network pads to by itself, or any size, and if that fails the coarsest grid."""
    if card.size.fixed or card.size.multiple_of > 1:
        return (card.size.multiple_of,)
    return (1, _COARSEST_STEP)


def _program(network: nn.Module, precision: str, device: str, fixed: int | None, step: int) -> ExportedProgram:
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision)
    height, width = (fixed, fixed) if fixed else _EXAMPLE_SIDES
    sides: Any = None
    if not fixed and step > 1:
        height, width = (step * each for each in _EXAMPLE_STEPS)
        free = [step * Dim(axis, min=2, max=LONGEST_SIDE // step) for axis in ("height", "width")]
        sides = {"x": {2: free[0], 3: free[1]}}
    elif not fixed:
        free = [Dim(axis, min=SMALLEST_SIDE, max=LONGEST_SIDE) for axis in ("height", "width")]
        sides = {"x": {2: free[0], 3: free[1]}}
    # in the memory order of `call_network`: AOTInductor takes the example's strides for those of every picture
    example = torch.rand(1, height, width, 3).to(torch_device(device)).permute(0, 3, 1, 2)
    with torch.no_grad():
        return torch.export.export(_InPrecision(network, device, dtype).eval(), (example,), dynamic_shapes=sides)
