"""One OpenVINO graph, compiled for the CPU in one precision, and its inference request."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from restoration.inference.backends.backend import BackendFailed
from restoration.inference.backends.conversion import import_openvino

_PRECISIONS = {"fp32": "f32", "bf16": "bf16"}
_REMEMBERED_KERNELS = 500  # of some 50 a shape; without a bound, memory grows with every new size of picture


class CompiledGraph:
    """One thread at a time may be inside.

    Args:
        graph: (1, height, width, channels) -> (1, height * scale, width * scale, 3).
        precision: "fp32" or "bf16".

    Raises:
        BackendFailed: it cannot be compiled here.
        MemoryError: there is too little memory to compile it.
    """

    def __init__(self, graph: Any, precision: str) -> None:
        self._request: Any = None
        try:
            self._compiled = _core().compile_model(graph, "CPU", _properties(precision))
        except Exception as error:
            raise _failure(error, "OpenVINO cannot compile this network here") from error

    def infer(self, given: NDArray[np.float32], answer: NDArray[np.float32]) -> tuple[int, ...]:
        """Writes the graph's answer; returns the shape it really has.

        Raises:
            BackendFailed: OpenVINO failed.
            MemoryError: it could not allocate what it needs.
        """
        tensor = import_openvino().Tensor
        try:
            request = self._request or self._compiled.create_infer_request()
            self._request = request
            request.set_input_tensor(tensor(given, shared_memory=True))
            request.set_output_tensor(tensor(answer, shared_memory=True))
            request.infer()
            return tuple(request.get_output_tensor().shape)
        except Exception as error:
            self._request = None
            raise _failure(error, "OpenVINO failed on this picture") from error

    def release(self) -> None:
        """Frees the request and the memory of its maps; the next call takes them again."""
        if self._request is not None:
            self._request = None
            self._compiled.release_memory()


def _failure(error: Exception, sentence: str) -> Exception:
    """What to raise for an error of OpenVINO's, which has no kind of its own for memory."""
    if "alloc" in str(error).lower():
        return MemoryError("OpenVINO could not allocate memory")
    return BackendFailed(sentence)


@cache
def _core() -> Any:
    return import_openvino().Core()


def _properties(precision: str) -> dict[str, Any]:
    return {
        "INFERENCE_PRECISION_HINT": _PRECISIONS[precision],
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "ENABLE_CPU_PINNING": False,  # others may use the same cores
        "CPU_RUNTIME_CACHE_CAPACITY": _REMEMBERED_KERNELS,
    }
