"""Graphs for pictures of one size, beside the one that takes any: OpenVINO runs them in a third to a half of the memory
and 4 to 22 % sooner, because it plans the maps' memory once and puts more of the arithmetic together.

Compiling one takes a tenth of a second: it is done for many tiles, for sizes that come again, and for large pictures,
of which the free graph would take too much memory. Each is believed after its first answer agreed with the free
graph's on a corner of the picture. One that fails is done without, for its size alone; after a wrong one none is used.
"""

from __future__ import annotations

import logging
from collections import Counter, OrderedDict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from restoration.inference.backends.backend import TOLERANCES, BackendFailed
from restoration.inference.backends.compiled_graph import CompiledGraph
from restoration.inference.backends.conversion import import_openvino

LARGE_PIXELS = 400_000
"""Of the answer: the free graph takes 0.1 to 0.45 GB for a million."""
MANY_CALLS, MANY_JOBS = 4, 2
_MOST_GRAPHS, _MOST_REMEMBERED = 2, 100
_CORNER = 64  # pixels of the input that are compared, beside the margin they need
_SEAM = 1 / 255  # what a margin that is measured may leave
_LOG = logging.getLogger(__name__)

Size = tuple[int, int]  # height, width


class FixedShapes:
    """The graphs for single sizes of one network in one precision.

    Args:
        graph: with free sides.
        free: the same, compiled.
        precision: of the tolerance. computed: what the graphs are compiled in: "fp32" or "bf16".
        scale: output side / input side.
        margin: pixels of context by which an answer no longer changes (but for `_SEAM`); None = there is no such.
    """

    def __init__(
        self, graph: Any, free: CompiledGraph, *, precision: str, computed: str, scale: int, margin: int | None
    ) -> None:
        self._graph, self._free, self._computed = graph, free, computed
        self._scale, self._margin = scale, margin
        self._tolerance = TOLERANCES[precision] + _SEAM
        self._graphs: OrderedDict[Size, CompiledGraph] = OrderedDict()
        self._believed: set[Size] = set()
        self._jobs: Counter[Size] = Counter()
        self._failed: set[Size] = set()
        self._refused = False

    def prepare(self, size: Size, calls: int) -> None:
        """Compiles a graph for a size where that pays; `calls` pictures of it will come now."""
        if size in self._graphs:
            self._graphs.move_to_end(size)
            return
        if len(self._jobs) >= _MOST_REMEMBERED:
            self._jobs.clear()
            self._failed.clear()
        self._jobs[size] += 1
        large = size[0] * size[1] * self._scale**2 >= LARGE_PIXELS
        if self._refused or size in self._failed or not (large or calls >= MANY_CALLS or self._jobs[size] >= MANY_JOBS):
            return
        while len(self._graphs) >= _MOST_GRAPHS:
            self._drop(next(iter(self._graphs)))
        try:
            self._graphs[size] = CompiledGraph(self._reshaped(size), self._computed)
        except MemoryError as error:  # there may be more of it another time
            _LOG.warning("%s: no graph for %d x %d", error, *size)
        except (BackendFailed, RuntimeError) as error:
            self._fail(size, error)

    def infer(self, given: NDArray[np.float32], answer: NDArray[np.float32]) -> tuple[int, ...] | None:
        """As `CompiledGraph.infer`; None where there is no graph for that size, or it is not believed."""
        size = given.shape[1], given.shape[2]
        graph = self._graphs.get(size)
        if graph is None:
            return None
        try:
            written = graph.infer(given, answer)
        except BackendFailed as error:
            self._fail(size, error)
            return None
        if size not in self._believed:
            difference = self._difference(given, answer) if written == answer.shape else np.inf
            if not difference <= self._tolerance:  # NaN too
                self._refuse(BackendFailed(f"a graph of fixed shape was off by {255 * difference:.1f}/255"))
                return None
            self._believed.add(size)
        return written

    def release(self) -> None:
        """Frees the memory of their maps."""
        for graph in self._graphs.values():
            graph.release()

    def _reshaped(self, size: Size) -> Any:
        graph = self._graph.clone()
        channels = graph.input().get_partial_shape()[3]
        graph.reshape(import_openvino().PartialShape([1, *size, channels]))
        return graph

    def _difference(self, given: NDArray[np.float32], answer: NDArray[np.float32]) -> float:
        """The greatest difference from the free graph over the upper left corner."""
        seen = [given.shape[1], given.shape[2]]
        known = list(seen)
        if self._margin is not None:
            seen = [min(side, self._margin + _CORNER) for side in known]
            known = [side if side == whole else side - self._margin for side, whole in zip(seen, known, strict=True)]
        corner = np.ascontiguousarray(given[:, : seen[0], : seen[1]])
        expected = np.empty((1, seen[0] * self._scale, seen[1] * self._scale, answer.shape[3]), np.float32)
        if self._free.infer(corner, expected) != expected.shape:
            return np.inf
        rows, columns = (slice(0, side * self._scale) for side in known)
        return float(np.abs(answer[:, rows, columns] - expected[:, rows, columns]).max())

    def _fail(self, size: Size, error: Exception) -> None:
        """The free graph for that size from now on; that is no news for the visitor."""
        _LOG.warning("%s: no graph for %d x %d", error, *size, exc_info=error.__cause__)
        self._failed.add(size)
        self._drop(size)

    def _drop(self, size: Size) -> None:
        self._graphs.pop(size, None)
        self._believed.discard(size)

    def _refuse(self, error: Exception) -> None:
        """The free graph from now on; that is no news for the visitor."""
        _LOG.warning("%s: the graph with free sides is used instead", error)
        self._refused, self._graphs = True, OrderedDict()
