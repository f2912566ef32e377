"""The engine: one network over one document, with progress, on the device it was given.

    stream -> Run.plan -> (on_gpu) compute -> run_job -> network

Holds the networks, what they cost on this machine, and the turn: one job computes at a time. The one seam to a GPU
scheduler is `on_gpu`, which wraps the generator that does the computing; everything that passes through it can be
pickled. Knows nothing of pages, commands or tasks that take more than one pass.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from restoration.card import ModelCard
from restoration.images.document import ImageDocument
from restoration.images.limits import Limits
from restoration.inference.backends.backend import choose_backend
from restoration.inference.device import choose_device, choose_precision
from restoration.inference.fast import INT8, check_precision, fast_facts
from restoration.inference.networks import Networks
from restoration.inference.reactions import Classify, classify_error
from restoration.inference.report import Progress, Restoration
from restoration.inference.results import base_of, check_job, finished, report_of
from restoration.inference.run import Run
from restoration.inference.runner import Finished, Job, Observed, Ready, observe, run_job, shortest_side, sizes
from restoration.inference.sizing import Costs, Place, grid_for, most_pixels, probe
from restoration.registry import MODELS, Registry
from restoration.weights import WeightStore

if TYPE_CHECKING:
    from restoration.inference.backends.exported_backend import AheadOfTime

Compute = Callable[[Job], Generator[Ready | Observed | Finished]]
Steps = Generator[Progress | Restoration]

_PATIENCE = 0.2  # seconds between two signs of life while another job computes


class Engine:
    """Runs the cards of a registry over documents.

    Args:
        models: the cards it may run.
        store: where their weights are; None takes the bundled ones.
        device: "auto", "cpu" or "cuda", chosen here once.
        limits: what pictures may measure; `limits` are those of the device, and a job that has to go on on the CPU
            must fit into the CPU's.
        on_gpu: wraps the generator function that computes on the GPU (`spaces.GPU` on ZeroGPU, where it runs in a
            forked worker and this process must not run a network on the GPU). None, or a decorator that gives its
            function back (`spaces.GPU` elsewhere): the GPU is this process's own.
        classify: what to do about an error of the computation.
        call_seconds: no network call is planned to last longer.
        backend: "auto", "torch" or "openvino": what runs networks on the CPU.
        cache: the folder for networks converted for a backend; None keeps none.
        ahead: how `warm` compiles networks for the workers of `on_gpu`; None = it does not.

    Raises:
        OptionError: the device or the backend is unknown or not there.
    """

    def __init__(
        self,
        models: Registry = MODELS,
        store: WeightStore | None = None,
        *,
        device: str = "auto",
        limits: Limits | None = None,
        on_gpu: Callable[[Compute], Compute] | None = None,
        classify: Classify = classify_error,
        call_seconds: float = 0.5,
        backend: str = "auto",
        cache: Path | None = None,
        ahead: AheadOfTime | None = None,
    ) -> None:
        self.models = models
        self.store = store or WeightStore()
        self.device = choose_device(device)
        self._limits = limits or Limits()
        self.limits = self._limits.on(self.device)
        self._backend = choose_backend(backend)
        self._costs = Costs(call_seconds)
        self._call_seconds = call_seconds
        self._classify = classify
        compute: Compute = self._compute
        self._compute_on_gpu = on_gpu(compute) if on_gpu is not None else compute
        self._scheduled = self.device == "cuda" and self._compute_on_gpu != compute
        self._networks = Networks(self.store, self._backend, cache=cache, scheduled=self._scheduled, ahead=ahead)
        self._turn = threading.Lock()  # not reentrant, and any thread may release it: generators wander between threads

    def available(self, task: str | None = None) -> tuple[ModelCard, ...]:
        """The cards (of one task) whose weights are here and good enough to be offered."""
        cards = self.models.values() if task is None else self.models.of_task(task)
        return tuple(card for card in cards if self.store.availability(card).available)

    def has_fast(self, card: ModelCard) -> bool:
        """Whether the fast precision is more than the usual one here: on the CPU, by OpenVINO, with an int8 graph."""
        return self.device == "cpu" and self._backend != "torch" and fast_facts(card, self.store) is not None

    def place(self, card: ModelCard, precision: str = "auto") -> Place:
        """The device and precision a job of this card begins with, by a wish of PRECISIONS (else OptionError)."""
        wish = check_precision(precision)
        if wish == "fast" and self.has_fast(card):
            return Place(self.device, INT8)
        return Place(self.device, "fp32" if wish == "fp32" else choose_precision(card, self.device))

    def predict_seconds(self, card: ModelCard, height: int, width: int, precision: str = "auto") -> float:
        """How long a picture of that size (input pixels) will take; by guess until the card ran once. Runs nothing."""
        place = self.place(card, precision)
        rate = self._costs.seconds_per_megapixel(card, place)
        pixels = most_pixels(card, place, seconds_per_megapixel=rate, call_seconds=self._call_seconds)
        grid = grid_for(card, height, width)
        return sum(tile.context.pixels for tile in grid.fit(grid.whole, pixels)) / 1e6 * rate

    def warm(self, cards: Iterable[ModelCard]) -> None:
        """Loads networks and measures them, in the usual and the fast precision, so that no visitor waits for that.

        With `on_gpu` they are only put on the GPU; do that before the page is launched, in the main thread.
        """
        cards = tuple(cards)
        for card, precision in [(card, wish) for wish in ("auto", "fast") for card in cards]:
            with self._turn:
                self._measure(card, self.place(card, precision))
                if self._scheduled:
                    self._networks.ready_for_workers(card, self.device)

    def restore(
        self,
        document: ImageDocument,
        model: str,
        *,
        task: str,
        scale: int | None = None,
        strength: float = 1.0,
        precision: str = "auto",
        on_progress: Callable[[Progress], None] | None = None,
    ) -> Restoration:
        """Runs one model to the end; the arguments are those of `Registry.find` and `stream`, the errors too."""
        card = self.models.find(model, task=task, scale=scale)
        steps = self.stream(document, card, strength=strength, task=task, precision=precision)
        return finish(steps, on_progress)

    def run_square(self, square: NDArray[np.float32], card: ModelCard, precision: str = "auto") -> NDArray[np.float32]:
        """One call of a fixed-size network.

        Args:
            square: (side, side, 3) RGB in 0..1, side = `card.size.fixed`.
            precision: as for `stream`.

        Returns: (side, side, 3), clipped to 0..1.
        """
        document = ImageDocument(color=np.ascontiguousarray(square, dtype=np.float32))
        return finish(self.stream(document, card, precision=precision)).image.color.astype(np.float32, copy=False)

    def stream(
        self,
        document: ImageDocument,
        card: ModelCard,
        *,
        strength: float = 1.0,
        task: str | None = None,
        precision: str = "auto",
        reuse: bool = False,
    ) -> Steps:
        """Restores a document step by step.

        Yields a `Progress` before the first tile and after every tile (and, while another job computes, one with the
        stage "queue" now and then), and a `Restoration` last. Closing the generator stops between two tiles. A job
        that is begun and neither ended nor closed keeps every other job waiting.

        Args:
            card: one of the engine's models.
            strength: 1 = the network's result, 0 = the input's own pixels (enlarge: its bicubic enlargement).
            task: for the report; the card's own when None.
            precision: "auto", "fp32" or "fast"; without `has_fast` that is "auto", and the report says so.
            reuse: the result may be written over the document's samples, to save memory.

        Raises:
            RestorationError: the result would break a limit, an option is out of range, the weights are missing,
                or the picture cannot be computed here.
            ValueError: the network takes another fixed size.
        """
        check_job(document, card, strength, self.limits)
        place = self.place(card, precision)
        if strength == 0:
            yield Progress(done=0, total=1, seconds_left=0.0, predicted_seconds=0.0)
            yield self._untouched(document, card, task or card.task, place)
            return
        while not self._turn.acquire(timeout=_PATIENCE):
            yield Progress(done=0, total=1, stage="queue")
        try:
            began = time.perf_counter()
            base = base_of(document, card.scale) if strength < 1 else None
            run = Run(
                document, card, place=place, strength=strength, base=base, wish=precision, reuse=reuse,
                limits=self._limits,
            )  # fmt: skip
            yield from self._steps(run, task or card.task, began)
        finally:
            self._turn.release()

    def _steps(self, run: Run, task: str, began: float) -> Steps:
        document, card, prepared = run.document, run.card, 0.0
        while run.tiles:
            try:
                prepared += self._prepare(run)
                yield run.progress()
                yield from self._attempt(run)
            except Exception as error:
                run.recover(error, self._classify)
        seconds = {"prepare": prepared, "observe": run.observed_seconds} if card.observes else {"prepare": prepared}
        seconds["restore"] = time.perf_counter() - began - sum(seconds.values())
        report = replace(
            report_of(document, card, task, Place(run.place.device, run.precision)),
            checkpoint=run.checkpoint, backend=run.backend, tiles=run.kept, seconds=seconds,
        )  # fmt: skip
        yield finished(document, run.result, card, replace(report, warnings=report.warnings + tuple(run.warnings)))

    def _prepare(self, run: Run) -> float:
        """Measures and plans, unless the tiles that are left are planned already; returns the seconds it took."""
        if run.planned:
            return 0.0
        began = time.perf_counter()
        self._measure(run.card, run.place)
        rate = self._costs.seconds_per_megapixel(run.card, run.place)
        run.plan(seconds_per_megapixel=rate, call_seconds=self._call_seconds)
        return time.perf_counter() - began

    def _attempt(self, run: Run) -> Iterator[Progress]:
        """Computes what is left of a run, until it is done or something fails."""
        scheduled = self._scheduled and run.place.device == "cuda"
        compute = self._compute_on_gpu if scheduled else self._compute
        with closing(compute(run.job())) as events:
            for event in events:
                if isinstance(event, Ready):
                    run.meet(event)
                    continue
                if isinstance(event, Observed):
                    run.see(event)
                    yield replace(run.progress(), stage="observe")
                    continue
                tile = run.tiles[0]
                run.keep(event)
                if event.index or not scheduled:  # a worker's first call pays for its start
                    self._costs.learn(run.card, run.place, pixels=tile.context.pixels, seconds=event.seconds)
                yield run.progress()
        if run.tiles:
            raise RuntimeError("the worker ended before its tiles did")

    def _compute(self, job: Job) -> Generator[Ready | Observed | Finished]:
        """The generator that crosses the seam: computes a job on its device, in this process or in a fork of it."""
        began = time.perf_counter()
        loaded = self._networks.get(self.models[job.model], job.device)
        ready = partial(loaded.ready, job.precision, shortest_side(job))
        yield ready(began)
        loaded.prepare(job.precision, *sizes(job).most_common(1)[0])
        try:
            context = yield from observe(loaded.observe, job)
            yield from run_job(partial(loaded, precision=job.precision, context=context), job)
        finally:
            loaded.rest()
        yield ready(began)  # what ran it in the end

    def _measure(self, card: ModelCard, place: Place) -> None:
        """Measures a card at its first use, where this process may run it."""
        scheduled = self._scheduled and place.device == "cuda"
        if scheduled or self._costs.measured(card, place):
            return
        loaded = self._networks.get(card, place.device)
        call = partial(loaded, precision=place.precision, context=loaded.neutral(card))
        pixels, seconds = probe(call, card, long_enough=self._call_seconds / 8)
        loaded.release()
        self._costs.observe(card, place, pixels=pixels, seconds=seconds)

    def _untouched(self, document: ImageDocument, card: ModelCard, task: str, place: Place) -> Restoration:
        """Strength 0: the input's own pixels, or its bicubic enlargement."""
        report = report_of(document, card, task, place)
        return finished(document, base_of(document, card.scale), card, report)


def finish(
    steps: Iterable[Progress | Restoration], on_progress: Callable[[Progress], None] | None = None
) -> Restoration:
    """Drives a stream to its `Restoration`, telling `on_progress` of every step before it."""
    for step in steps:
        if isinstance(step, Restoration):
            return step
        if on_progress:
            on_progress(step)
    raise RuntimeError("the stream ended without a result")
