"""A torch network as an OpenVINO graph with free height and width.

The frontend is called directly. `openvino.convert_model` takes several times as long, and reports what is converted
to its maker; importing OpenVINO reports that too, unless its telemetry package cannot be imported while it is.

Knows nothing of precision, caches or cards.
"""

from __future__ import annotations

import importlib
import sys
import threading
import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from restoration.inference.backends.backend import BackendFailed

# Odd after every halving: code that only runs where halves do not meet (padding, resizing to a skip) is in the trace,
# and does nothing at the sizes that would not need it.
EXAMPLE_SIDES = (65, 97)
MIDDLE = np.float32(0.45)  # about the mean of photographs: bf16 is finest around zero, and this becomes zero
_TELEMETRY = "openvino_telemetry"
_ONE_IMPORT = threading.Lock()


def import_openvino() -> Any:
    """The module, imported without its telemetry.

    Raises:
        BackendFailed: it is not installed, or cannot be loaded here.
    """
    try:
        return import_unreported("openvino")
    except ImportError as error:
        raise BackendFailed("OpenVINO is not installed here") from error
    except Exception as error:
        raise BackendFailed("OpenVINO cannot be loaded here") from error


def import_unreported(name: str) -> Any:
    """OpenVINO or NNCF, imported while their telemetry package cannot be. Raises what the import raises."""
    with _ONE_IMPORT:
        hidden = name not in sys.modules and _TELEMETRY not in sys.modules
        modules: dict[str, Any] = sys.modules  # None makes an import fail
        if hidden:
            modules[_TELEMETRY] = None
        try:
            return importlib.import_module(name)
        finally:
            if hidden:
                modules.pop(_TELEMETRY, None)


def convert(network: nn.Module, *, channels: int = 3, side: int | None = None) -> Any:
    """The graph: (1, height, width, channels) -> (1, height * scale, width * scale, 3), channels last as pictures are.

    It takes and gives pictures less `MIDDLE`.

    Args:
        network: on the CPU, in evaluation mode, in fp32, its weights frozen. `forward` takes one batch.
        channels: of its input.
        side: the only side it takes; None leaves both sides free.

    Raises:
        BackendFailed: OpenVINO is not there, or does not know the network's arithmetic.
    """
    openvino = import_openvino()
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    try:
        frontend: Any = FrontEndManager().load_by_framework("pytorch")
        height, width = (side, side) if side else EXAMPLE_SIDES
        decoder = TorchScriptPythonDecoder(_traced(network, (height, width, channels)))
        loaded = frontend.load(decoder)  # lives until the graph is made, and so must the decoder
        graph = frontend.convert(loaded)
        graph.reshape(openvino.PartialShape([1, side or -1, side or -1, channels]))
    except Exception as error:
        raise BackendFailed("OpenVINO does not know this network's arithmetic") from error
    return graph


def _traced(network: nn.Module, shape: tuple[int, int, int]) -> torch.jit.ScriptFunction:
    """The calls of one forward pass; as a function, not a module, so that the weights are plain constants."""

    def channels_last(x: Tensor) -> Tensor:
        return (network(x.permute(0, 3, 1, 2) + middle) - middle).permute(0, 2, 3, 1)

    middle = float(MIDDLE)

    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # about branches on sizes: `OpenVinoBackend` compares other sizes
        example = torch.rand(1, *shape, generator=torch.Generator().manual_seed(0))
        return torch.jit.trace(channels_last, example, check_trace=False)  # pyright: ignore[reportReturnType]
