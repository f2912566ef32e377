"""One job from its plan to its last tile: what is left to do, where it is done, and what happens when that fails.

The state machine of the engine, apart from threads and networks. Tiles that are finished stay finished; the rest is
cut smaller, computed in full precision, or moved to the CPU.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from restoration.card import ModelCard, Tiling
from restoration.errors import ImageFileError, RestorationError
from restoration.images.document import ImageDocument, Samples
from restoration.images.limits import Limits
from restoration.inference.canvas import Canvas
from restoration.inference.fast import INT8
from restoration.inference.observing import observed_window
from restoration.inference.reactions import Classify, Reaction, cpu_sentence
from restoration.inference.report import Progress
from restoration.inference.runner import Finished, Job, Observed, Ready
from restoration.inference.sizing import Place, grid_for, most_pixels
from restoration.inference.tiling import Box, Tile

LONG_SECONDS = 60.0
LONG_CALL_SECONDS = 1.0
OBSERVING_SECONDS = 6.0
"""Per million pixels of the window: what measuring blur takes on one core of 2024."""
TOGETHER = 8
"""Squares of a fixed size in one call on a GPU; other tiles fill it alone, since one larger tile has less margin."""
_MOST_HALVINGS = 4
_LOG = logging.getLogger(__name__)


class NonFiniteResult(Exception):
    """The network gave NaN or infinity for a tile."""


class Run:
    """The state of one job.

    Args:
        document: the picture; its color is read tile by tile.
        card: the network to run.
        place: where to begin.
        strength: above 0, up to 1.
        base: what strength mixes with, at the output's size; None at strength 1.
        wish: the precision that was asked for, one of PRECISIONS.
        reuse: the result may be written over the document's samples.
        limits: of every device; None for none.
    """

    def __init__(
        self,
        document: ImageDocument,
        card: ModelCard,
        *,
        place: Place,
        strength: float,
        base: Samples | None,
        wish: str = "auto",
        reuse: bool = False,
        limits: Limits | None = None,
    ) -> None:
        self.document, self.card, self.place = document, card, place
        self.checkpoint, self.backend, self.precision = "", "torch", place.precision
        self.kept = 0
        self.planned = False
        self.predicted_seconds = self.observed_seconds = 0.0
        self.warnings: dict[str, None] = {}  # a set that keeps its order
        self._strength, self._base, self._wish, self._limits = strength, base, wish, limits
        self._range = _value_range(document.color)
        self._canvas = Canvas(document.color, card.scale, reuse=reuse)
        self._grid = grid_for(card, document.height, document.width)
        self.tiles = deque(_squares(self._grid.whole, card.size.fixed))
        self._batch = TOGETHER if place.device != "cpu" and card.size.fixed else 1
        self._context: NDArray[np.float32] | None = None
        self._window = observed_window(document.color, card.observes) if card.observes else None
        self._halvings = 0
        self._began, self._done_pixels, self._rate = 0.0, 0, 0.0
        if wish == "fast" and place.precision != INT8:
            self.warn(f"There is no fast precision of '{card.title}' here: {place.precision} was used.")

    def plan(self, *, seconds_per_megapixel: float, call_seconds: float) -> None:
        """Cuts what is left so that no call is planned above `call_seconds`, and predicts how long it takes."""
        if self.card.tiling not in (Tiling.SEAMS, Tiling.NEVER):
            pixels = most_pixels(
                self.card, self.place, seconds_per_megapixel=seconds_per_megapixel, call_seconds=call_seconds
            )
            self._replace_tiles(part for tile in self.tiles for part in self._grid.fit(tile.core, pixels))
        self.planned, self._rate = True, seconds_per_megapixel
        self.predicted_seconds = self._left_megapixels() * seconds_per_megapixel + self._observing_seconds()
        longest = max(tile.context.pixels for tile in self.tiles) / 1e6 * seconds_per_megapixel
        self._warn_of_time(longest)

    def job(self) -> Job:
        """What is left, as a worker takes it; the clock for the time left begins to run."""
        self._began, self._done_pixels = time.perf_counter(), 0
        low, high = self._range
        return Job(
            model=self.card.name,
            device=self.place.device,
            precision=self.place.precision,
            color=self.document.color,
            base=self._base,
            strength=self._strength,
            scale=self.card.scale,
            minimum=self.card.size.minimum,
            window=self._window,
            context=self._context,
            low=low,
            high=high,
            tiles=tuple(self.tiles),
            batch=self._batch,
            seconds=self._left_megapixels() * self._rate + self._observing_seconds(),
        )

    def meet(self, ready: Ready) -> None:
        """Takes down which weights are used, what runs them, and in which precision."""
        self.checkpoint, self.backend = ready.checkpoint, ready.backend
        self.precision = ready.precision or self.place.precision
        for note in ready.notes:
            self.warn(note)

    def see(self, observed: Observed) -> None:
        """Keeps what the network observed, once it is complete: later attempts need not look again."""
        if observed.complete:
            self._context, self._window = observed.context, None
            self.observed_seconds = observed.seconds
            self._began = time.perf_counter()

    def keep(self, finished: Finished) -> None:
        """Writes the next tile into the result.

        Raises:
            NonFiniteResult: the network gave NaN or infinity.
        """
        if finished.samples is None:
            raise NonFiniteResult(self.card.name)
        tile = self.tiles.popleft()
        self._canvas.put(tile.core, finished.samples, self.tiles)
        self.kept += 1
        self._done_pixels += tile.context.pixels

    @property
    def result(self) -> Samples:
        """The picture, (height * scale, width * scale, channels), once no tile is left."""
        return self._canvas.result

    def progress(self) -> Progress:
        """How far it is; the time left goes by this attempt's own speed once it has one."""
        rate = (time.perf_counter() - self._began) / self._done_pixels * 1e6 if self._done_pixels else self._rate
        return Progress(
            done=self.kept,
            total=self.kept + len(self.tiles),
            seconds_left=self._left_megapixels() * rate,
            predicted_seconds=self.predicted_seconds,
            warnings=tuple(self.warnings),
        )

    def recover(self, error: Exception, classify: Classify) -> None:
        """Changes the plan so that the job can go on after an error.

        Raises:
            RestorationError: there is no way left, and a person can do something about it.
            Exception: the error itself: it is to be shown, or it is a bug on the CPU.
        """
        self._done_pixels = 0
        if isinstance(error, NonFiniteResult):
            self._recover_numbers(error)
            return
        reaction = classify(error)
        if reaction is Reaction.SHOW:
            raise error
        if reaction is Reaction.RETRY_SMALLER and self._batch > 1:
            self._batch = 1
        elif reaction is Reaction.RETRY_SMALLER and self._halve():
            self.warn("The memory was too small for the planned tiles: smaller ones were used.")
        elif self.place.device != "cpu":
            if reaction is Reaction.BUG:
                _LOG.error("unexpected error on the GPU, going on on the CPU", exc_info=error)
            self._move(Place("cpu", self._cpu_precision()), cpu_sentence(error, reaction))
        elif reaction is Reaction.RETRY_SMALLER:
            raise RestorationError(
                f"This machine's memory is too small for '{self.card.title}' on this picture."
            ) from error
        else:
            raise error

    def warn(self, sentence: str) -> None:
        """Adds a sentence for the visitor, once."""
        self.warnings.setdefault(sentence)

    def _left_megapixels(self) -> float:
        """Millions of context pixels that are still to be computed."""
        return sum(tile.context.pixels for tile in self.tiles) / 1e6

    def _observing_seconds(self) -> float:
        """How long the looks at the picture will take, while they are still to come."""
        return self._window.pixels / 1e6 * OBSERVING_SECONDS if self._window else 0.0

    def _recover_numbers(self, error: NonFiniteResult) -> None:
        """Half precision -> fp32 -> smaller tiles on a GPU -> the CPU in fp32."""
        device, precision = self.place.device, self.place.precision
        if precision != "fp32":
            self._move(
                Place(device, "fp32"), "The fast precision gave numbers that are not finite: fp32 was used instead."
            )
        elif device != "cpu" and not self._halvings and self._halve():
            self.warn("The GPU gave numbers that are not finite: smaller tiles were used.")
        elif device != "cpu":
            self._move(Place("cpu", "fp32"), "The GPU gave numbers that are not finite: this was computed on the CPU.")
        else:
            sentence = f"'{self.card.title}' gives numbers that are not finite for this picture: try another model."
            raise RestorationError(sentence) from error

    def _cpu_precision(self) -> str:
        from restoration.inference.device import choose_precision

        return "fp32" if self._wish == "fp32" else choose_precision(self.card, "cpu")

    def _halve(self) -> bool:
        """Cuts all that is left in two along both sides; False when that is not possible any more."""
        if self._halvings >= _MOST_HALVINGS or self.card.tiling in (Tiling.SEAMS, Tiling.NEVER):
            return False
        smaller = self._grid.halve(self.tiles)
        if len(smaller) == len(self.tiles):
            return False
        self._halvings += 1
        self._replace_tiles(smaller)
        return True

    def _move(self, place: Place, sentence: str) -> None:
        if place.device != self.place.device and self._limits is not None:
            self._check_limits(self._limits.on(place.device))
        self.place, self.planned, self._halvings, self._batch = place, False, 0, 1
        self.warn(sentence)

    def _check_limits(self, limits: Limits) -> None:
        """Those of the device that is left.

        Raises:
            ImageFileError: the picture or its result is too large for it.
        """
        document, scale = self.document, self.card.scale
        try:
            limits.check_input(document.height, document.width)
            limits.check_output(document.height * scale, document.width * scale)
        except ImageFileError as error:
            reason = str(error)
            raise ImageFileError(
                f"The GPU cannot be used now, and the CPU takes less: {reason[0].lower()}{reason[1:]}"
            ) from error

    def _replace_tiles(self, tiles: Iterable[Tile]) -> None:
        self.tiles = deque(tiles)

    def _warn_of_time(self, longest_call: float) -> None:
        """The sentences about long jobs and about calls that cannot be stopped half-way."""
        if self.predicted_seconds > LONG_SECONDS:
            about = f"This will take about {self.predicted_seconds:.0f} s on this machine"
            self.warn(f"{about}; it can be stopped." if len(self.tiles) > 1 else f"{about}.")
        if self.card.tiling is Tiling.SEAMS:
            self.warn(
                "This model must see the whole picture at once, so there is no progress and no stopping half-way."
            )
        elif longest_call > LONG_CALL_SECONDS:
            self.warn(
                f"One step takes about {longest_call:.1f} s with this model on this machine: stopping waits for it."
            )


def _squares(whole: Box, side: int | None) -> Iterator[Tile]:
    """The tiles before a plan: the picture, or the squares of a row of them."""
    for left in range(0, whole.right, side or whole.right):
        square = Box(0, left, whole.bottom, left + (side or whole.right))
        yield Tile(square, square, square)


def _value_range(color: Samples) -> tuple[float, float]:
    """What results are clipped to: 0..1, wider where a float file already holds more."""
    if color.dtype.kind == "u":
        return 0.0, 1.0
    return min(0.0, float(color.min())), max(1.0, float(color.max()))
