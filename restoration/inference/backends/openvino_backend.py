"""OpenVINO's CPU plugin: compiled for one precision, and believed only after a comparison with the network itself.

One graph with free sides takes any picture, others are made for sizes that pay (`fixed_shapes`). Memory of large
pictures is given back by `release`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

from restoration.card import ModelCard, Tiling
from restoration.errors import WeightsError
from restoration.inference.backends.backend import LEAST_PSNR, TOLERANCES, Backend, BackendFailed, Compile
from restoration.inference.backends.compiled_graph import CompiledGraph
from restoration.inference.backends.conversion import MIDDLE, convert, import_openvino
from restoration.inference.backends.fixed_shapes import FixedShapes
from restoration.inference.backends.graph_cache import GraphCache
from restoration.inference.backends.packed_graph import unpack
from restoration.inference.backends.parts import Context, Parts, Prepare, parts_of
from restoration.inference.device import call_network, choose_precision
from restoration.inference.fast import INT8
from restoration.inference.tiling import Box

SMALLEST_SIDE = 33  # encoders halve five times: below, a map is one pixel, and OpenVINO pools that to nothing
CHECK_SIDES = ((64, 96), (83, 70))  # on the networks' own grid, and off it

Run = Callable[[NDArray[np.float32]], NDArray[np.float32]]


class OpenVinoBackend:
    """One compiled network, with one inference request: one thread at a time may be inside.

    Args:
        graph: as `convert` makes it.
        precision: "fp32" or "bf16".
        prepare: the picture, its context and the part that counts -> (height, width, channels) float32 of that part,
            what the graph takes.
        scale: output side / input side.
        fixed: the only side the network takes, or None.
        margin: pixels of context by which an answer no longer changes; None = all of the picture counts.
        tolerated: the precision whose tolerance holds, where that is another one: "int8".

    Raises:
        BackendFailed: the graph cannot be compiled here.
    """

    name = "openvino"

    def __init__(
        self,
        graph: Any,
        precision: str,
        prepare: Prepare,
        *,
        scale: int = 1,
        fixed: int | None = None,
        margin: int | None = None,
        tolerated: str | None = None,
    ) -> None:
        self.smallest = fixed or SMALLEST_SIDE
        self._prepare, self._scale = prepare, scale
        self._graph = CompiledGraph(graph, precision)
        self._fixed: FixedShapes | None = None
        if fixed is None:
            self._fixed = FixedShapes(
                graph, self._graph, precision=tolerated or precision, computed=precision, scale=scale, margin=margin
            )

    def prepare(self, height: int, width: int, calls: int) -> None:
        """Compiles a graph for pictures of that size, where it pays."""
        if self._fixed is not None and min(height, width) >= self.smallest:
            self._fixed.prepare((height, width), calls)

    def __call__(
        self, pixels: NDArray[np.float32], context: NDArray[np.float32] | None = None, part: Box | None = None
    ) -> NDArray[np.float32]:
        """(height, width, 3) in 0..1, contiguous -> (height * scale, width * scale, 3), of the part alone where one is
        given.

        Raises:
            BackendFailed: OpenVINO failed, or gave a picture of another size.
            MemoryError: it could not allocate what it needs.
        """
        prepared = self._prepare(pixels, context, part)
        height, width, _ = prepared.shape
        answer = np.empty((1, height * self._scale, width * self._scale, pixels.shape[2]), np.float32)
        given = np.subtract(prepared, MIDDLE, out=None if np.may_share_memory(prepared, pixels) else prepared)[None]
        written = self._fixed.infer(given, answer) if self._fixed is not None else None
        if written is None:
            written = self._graph.infer(given, answer)
        if written != answer.shape:
            raise BackendFailed(f"OpenVINO made {written} of a picture that should become {answer.shape}")
        answer += MIDDLE
        return answer[0]

    def release(self) -> None:
        """Frees the requests and the memory of their maps."""
        self._graph.release()
        if self._fixed is not None:
            self._fixed.release()


def compiler(
    card: ModelCard, network: nn.Module, cache_folder: Path | None, read_int8: Callable[[], bytes] | None = None
) -> Compile:
    """What makes a card's network an `OpenVinoBackend` in a precision.

    Args:
        network: on the CPU, as `place_network` leaves it.
        cache_folder: where converted networks are kept; None keeps none.
        read_int8: the file of the int8 graph, or WeightsError; None = there is none.
    """
    return partial(_compiled, card, network, cache_folder, read_int8)


def _compiled(
    card: ModelCard,
    network: nn.Module,
    cache_folder: Path | None,
    read_int8: Callable[[], bytes] | None,
    precision: str,
) -> Backend | None:
    """The first of the graphs there are that agrees with the network; None when torch is its only way.

    Raises:
        BackendFailed: none agrees, or there is no OpenVINO.
    """
    parts = parts_of(card, network)
    if parts is None:
        return None
    import_openvino()
    if precision == INT8:
        return _compiled_int8(card, network, parts, read_int8)
    disk = GraphCache(cache_folder, card.name, parts.body) if cache_folder else None
    failure = BackendFailed()
    for graph, fresh in _graphs(parts, card.size.fixed, disk):
        try:
            backend = _verified(card, network, parts, graph, precision)
        except (BackendFailed, MemoryError) as error:
            failure = BackendFailed(str(error))
            if disk:
                disk.remove()
            continue
        if disk and fresh:
            disk.write(graph)
        return backend
    raise failure


def _compiled_int8(card: ModelCard, network: nn.Module, parts: Parts, read_int8: Callable[[], bytes] | None) -> Backend:
    """The graph that ships; what is not int8 in it is computed in the card's usual precision."""
    try:
        content = read_int8() if read_int8 else None
    except WeightsError as error:
        raise BackendFailed(str(error).rstrip(".")) from error
    if content is None:
        raise BackendFailed(f"The model '{card.name}' has no fast precision")
    return _verified(card, network, parts, unpack(content), INT8)


def _verified(card: ModelCard, network: nn.Module, parts: Parts, graph: Any, precision: str) -> Backend:
    """A graph, compiled and compared with the network in eager fp32.

    Raises:
        BackendFailed: it cannot be compiled, or is another picture's.
        MemoryError: it could not allocate what it needs.
    """
    computed = choose_precision(card, "cpu") if precision == INT8 else precision
    backend = OpenVinoBackend(
        graph,
        computed,
        parts.prepare,
        scale=card.scale,
        fixed=card.size.fixed,
        margin=card.margin if card.tiling in (Tiling.EXACT, Tiling.MARGIN) else None,
        tolerated=precision,
    )
    reference = partial(call_network, network, device="cpu", precision="fp32")
    for context in parts.contexts:
        runs = partial(backend, context=context), partial(reference, context=context)
        compare(*runs, precision, fixed=card.size.fixed, context=context)
    backend.release()
    return backend


def _graphs(parts: Parts, fixed: int | None, disk: GraphCache | None) -> Iterator[tuple[Any, bool]]:
    """The graphs to try, and whether each is fresh."""
    if disk and (kept := disk.read()) is not None:
        yield kept, False
    yield convert(parts.body, channels=parts.channels, side=fixed), True


def compare(
    backend: Run,
    reference: Run,
    precision: str,
    *,
    fixed: int | None = None,
    context: Context = None,
    who: str = "OpenVINO",
) -> None:
    """Runs both on small pictures.

    Args:
        who: how the sentence calls the backend.
        context: what both are given beside the pictures, which are blurred by it where it is a kernel.

    Raises:
        BackendFailed: a result differs by more than the precision's tolerance, in one sample or on the whole.
    """
    for height, width in ((fixed, fixed),) if fixed else CHECK_SIDES:
        pixels = blurred(check_picture(height, width), context)
        answer, expected = backend(pixels), reference(pixels)
        difference = np.abs(answer - expected).max() if answer.shape == expected.shape else np.inf
        if not difference <= TOLERANCES[precision]:  # NaN too
            raise BackendFailed(f"{who}'s result was off by {255 * difference:.1f}/255 in {precision}")
        psnr = -10 * np.log10(max(float(np.square(answer - expected).mean()), 1e-12))
        if psnr < LEAST_PSNR.get(precision, 0):
            raise BackendFailed(f"{who}'s result was only {psnr:.0f} dB from the network's in {precision}")


def check_picture(height: int, width: int) -> NDArray[np.float32]:
    """(height, width, 3) in 0..1, somewhat like a photograph: slow shading, hard edges, a little noise."""
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    shading = 0.5 + 0.25 * np.sin(rows / 23) * np.cos(columns / 31)
    edges = 0.2 * ((rows // 13 + columns // 17) % 2) - 0.1
    noise = np.random.default_rng(0).normal(0, 0.02, (height, width, 3))
    tints = np.array([1.0, 0.9, 0.8])
    return np.clip((shading + edges)[..., None] * tints + noise, 0, 1).astype(np.float32)


def blurred(pixels: NDArray[np.float32], context: Context) -> NDArray[np.float32]:
    """The picture as a camera that moved along a kernel, (1, 1, n, n), saw it; unchanged by any other context."""
    if context is None or context.ndim != 4:
        return pixels
    kernel = torch.from_numpy(context).flip(2, 3)
    beside = context.shape[3] // 2
    planes = torch.from_numpy(pixels).permute(2, 0, 1)[:, None]
    seen = F.conv2d(F.pad(planes, (beside,) * 4, mode="replicate"), kernel)
    height, width, _ = pixels.shape
    return np.ascontiguousarray(seen[:, 0, :height, :width].permute(1, 2, 0).numpy())
