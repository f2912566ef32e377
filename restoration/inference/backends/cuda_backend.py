"""The network itself on a GPU: channels-last, through pinned memory, and as a CUDA graph where a shape comes again.

A graph replays a whole forward pass as one launch, which counts for small pictures (faces, small tiles): a large tile
keeps the GPU busy anyway, and its graph would hold its maps' memory. Squares of a fixed size (faces) come in batches;
other tiles do not, because a larger tile takes the same memory as a batch and computes less margin.

Believed only after a comparison with the network in fp32, made here at the first use. No GPU was at hand when this was
written; what the comparison finds wrong is left to `TorchBackend`, and the report says so.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from restoration.card import ModelCard
from restoration.inference.backends.backend import LEAST_PSNR, TOLERANCES, BackendFailed, Compile
from restoration.inference.backends.openvino_backend import CHECK_SIDES, blurred, check_picture
from restoration.inference.backends.parts import Context, shaken_context
from restoration.inference.device import call_network, computing, neutral_context, torch_device
from restoration.inference.tiling import Box

LARGEST_GRAPH = 512 * 512
"""Pixels of one picture: beyond, launching takes no time that counts. A batch of faces always has its graph."""
_MOST_GRAPHS = 4
_REPEATS = 3  # of each picture in the comparison: as it is, captured, replayed

Forward = Callable[..., Tensor]
Shape = tuple[int, ...]
Capture = Callable[[Forward, tuple[Tensor, ...]], Forward]


class CudaBackend:
    """A network in one precision. One thread at a time may be inside.

    Args:
        network: on its device, as `place_network` leaves it; it is laid out channels-last.
        precision: "fp32", "bf16" or "fp16".
        capture: makes a forward pass a graph for inputs of these shapes; None = never.
    """

    name, smallest = "cuda", 1

    def __init__(self, network: nn.Module, precision: str, capture: Capture | None) -> None:
        self._network = network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        self._precision, self._capture = precision, capture
        self._graphs: OrderedDict[tuple[Shape, Box | None], Forward | None] = OrderedDict()  # None: seen once

    def __call__(
        self, pixels: NDArray[np.float32], context: Context = None, part: Box | None = None
    ) -> NDArray[np.float32]:
        """(height, width, 3) in 0..1, contiguous -> (height * scale, width * scale, 3); or (n, ...) -> (n, ...)."""
        pictures = pixels.reshape(-1, *pixels.shape[-3:])
        more = () if context is None else (_to_device(context),)
        inputs = (_to_device(pictures).permute(0, 3, 1, 2), *more)
        with computing("cuda", self._precision):
            forward = self._forward((*pictures.shape[:3], len(inputs)), part)
            answer = forward(*inputs).float().permute(0, 2, 3, 1)
            return _to_host((answer[0] if pixels.ndim == 3 else answer).contiguous())

    def prepare(self, height: int, width: int, calls: int) -> None:
        """Nothing: what runs pictures of a shape is made while they come."""

    def release(self) -> None:
        """Keeps the graphs: they are small, and what they are for comes again."""

    def _forward(self, shape: Shape, part: Box | None) -> Forward:
        """What answers for a part of pictures of a shape: the network, or from the second one on its graph."""
        network: Forward = self._network if part is None else partial(self._network, part=part.slices())
        if self._capture is None or shape[1] * shape[2] > LARGEST_GRAPH:
            return network
        if (shape, part) not in self._graphs:
            self._graphs[shape, part] = None
            while len(self._graphs) > _MOST_GRAPHS:
                self._graphs.popitem(last=False)
            return network
        self._graphs.move_to_end((shape, part))
        return self._graphs[shape, part] or partial(self._captured, network, (shape, part))

    def _captured(self, network: Forward, key: tuple[Shape, Box | None], *inputs: Tensor) -> Tensor:
        assert self._capture is not None
        graph = self._graphs[key] = self._capture(network, inputs)
        return graph(*inputs)


def capture_graph(forward: Forward, inputs: tuple[Tensor, ...]) -> Forward:
    """A CUDA graph of a forward pass, and what feeds it: the answer is overwritten by the next call."""
    kept = tuple(each.clone() for each in inputs)
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):  # libraries choose their kernels and take their memory before the capture
        for _ in range(_REPEATS):
            forward(*kept)
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        answer = forward(*kept)

    def replay(*given: Tensor) -> Tensor:
        for place, value in zip(kept, given, strict=True):
            place.copy_(value, non_blocking=True)
        graph.replay()
        return answer

    return replay


def compiler(card: ModelCard, network: nn.Module, capture: Capture | None = capture_graph) -> Compile:
    """What makes a card's network a `CudaBackend` in a precision.

    Args:
        network: on the GPU, as `place_network` leaves it.
        capture: for tests.
    """
    return partial(_verified, card, network, capture)


def _verified(card: ModelCard, network: nn.Module, capture: Capture | None, precision: str) -> CudaBackend:
    """The backend, with graphs where they agree with the network in fp32, without them otherwise.

    Raises:
        BackendFailed: it does not agree without graphs either.
        OutOfMemoryError: there is no memory for the comparison.
    """
    expected = _expected(card, network)
    failure = BackendFailed()
    for allowed in dict.fromkeys((capture, None)):
        backend = CudaBackend(network, precision, allowed)
        try:
            _compare(backend, expected, precision)
        except BackendFailed as differs:
            failure = differs
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:  # of CUDA, of a library, of a capture
            failure = BackendFailed("The GPU's faster way cannot run this network")
            failure.__cause__ = error
        else:
            return CudaBackend(network, precision, allowed)
    network.to(memory_format=torch.contiguous_format)  # pyright: ignore[reportCallIssue]
    raise failure


def _expected(card: ModelCard, network: nn.Module) -> list[tuple[NDArray[np.float32], Context, NDArray[np.float32]]]:
    """Pictures, contexts, and the network's own answers in fp32."""
    fixed = card.size.fixed
    contexts: tuple[Context, ...] = (None,)
    if card.observes:
        neutral = neutral_context(network, "cuda")
        contexts = tuple(each for each in (neutral, shaken_context(neutral)) if each is not None)
    found = []
    for context in contexts:
        for height, width in ((fixed, fixed),) if fixed else CHECK_SIDES:
            for picture in (check_picture(height, width), check_picture(height, width)[::-1, ::-1].copy()):
                pixels = blurred(picture, context)
                found.append((pixels, context, call_network(network, pixels, "cuda", "fp32", context)))
    return found


def _compare(
    backend: CudaBackend, expected: list[tuple[NDArray[np.float32], Context, NDArray[np.float32]]], precision: str
) -> None:
    """Runs every picture three times, so that graphs are captured and fed with another picture than their first."""
    for _ in range(_REPEATS):
        for pixels, context, wanted in expected:
            errors = np.abs(backend(pixels, context) - wanted)
            worst = float(errors.max())
            psnr = -10 * np.log10(max(float(np.square(errors).mean()), 1e-12))
            if not worst <= TOLERANCES[precision] or psnr < LEAST_PSNR.get(precision, 0):  # NaN too
                raise BackendFailed(f"The GPU's faster way was off by {255 * worst:.1f}/255 in {precision}")


def _to_device(values: NDArray[np.float32]) -> Tensor:
    """A copy on the GPU, through pinned memory where there is a GPU."""
    there = torch_device("cuda")
    here = torch.from_numpy(values)
    return (here.pin_memory() if there.type == "cuda" else here).to(there, non_blocking=True)


def _to_host(values: Tensor) -> NDArray[np.float32]:
    """A copy in this process's memory; waits for the GPU."""
    if values.device.type != "cuda":
        return values.clone().numpy()
    host = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
    host.copy_(values, non_blocking=True)
    torch.cuda.synchronize()
    return host.numpy()
