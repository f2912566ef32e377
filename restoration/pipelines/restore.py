"""From a checked request to a finished picture: the dispatcher, and `restore`, the call for Python programs."""

from __future__ import annotations

import os
import time
from collections.abc import Generator
from contextlib import closing
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from restoration.images.document import ImageDocument
from restoration.images.hidden import painted_over, with_hidden_colors
from restoration.images.limits import Limits
from restoration.images.reading import read_image
from restoration.inference.engine import Engine, finish
from restoration.inference.environment import settings_from_environment
from restoration.inference.report import Progress, Restoration
from restoration.pipelines.request import Request
from restoration.tasks import FACES


def stream(
    engine: Engine, document: ImageDocument, request: Request, *, reuse: bool = False
) -> Generator[Progress | Restoration]:
    """Does what a request asks, step by step: every `Progress`, then the `Restoration`.

    Colours under full transparency take no part in it, see `images.hidden`.

    Closing the generator stops the computation between two network calls.

    Args:
        reuse: the document is not needed afterwards: its samples may be overwritten, to save memory.

    Raises:
        RestorationError: a model, a limit or the picture stands against it; one sentence.
    """
    with closing(_steps(engine, painted_over(document), request, reuse)) as steps:
        for step in steps:
            if isinstance(step, Restoration):
                step = replace(step, image=with_hidden_colors(step.image, document))  # noqa: PLW2901
            yield step


def _steps(engine: Engine, document: ImageDocument, request: Request, reuse: bool) -> Generator[Progress | Restoration]:
    if request.task == FACES.id:
        from restoration.pipelines import faces

        yield from faces.stream(engine, document, request, reuse=reuse)
        return
    card = request.card(engine.models, engine.store)
    yield from engine.stream(
        document, card, strength=request.strength, task=request.task, precision=request.precision, reuse=reuse
    )


def restore(
    source: str | Path | bytes | ImageDocument,
    *,
    task: str,
    model: str | None = None,
    scale: int | None = None,
    strength: float = 1.0,
    precision: str = "auto",
    engine: Engine | None = None,
) -> Restoration:
    """Restores one photograph.

    Args:
        source: a path, a file's bytes, or a document that was read already.
        task: "deblur", "enhance", "enlarge" or "faces".
        model: a family or card name; None takes the task's default.
        scale: 2, 3 or 4, for enlarge only.
        strength: 0 (the input's pixels) to 1 (the network's result).
        precision: "auto", "fp32", or "fast": int8 on the CPU where the model has it; elsewhere the report says so.
        engine: what to run it on; None takes one that all such calls of this process share, with the limits,
            the backend and the cache that the environment names now.

    Returns: the picture (`write_image` saves it) and the report.

    Raises:
        RestorationError: the file or an option is not good; one sentence.
    """
    request = Request(task=task, model=model, scale=scale, strength=strength, precision=precision)
    engine = engine or _shared_engine()
    if isinstance(source, ImageDocument):
        return finish(stream(engine, source, request))
    began = time.perf_counter()
    document = read_image(source, limits=engine.limits)
    decoded = time.perf_counter() - began
    restoration = finish(stream(engine, document, request, reuse=True))
    seconds = {"decode": decoded, **restoration.report.seconds}
    return replace(restoration, report=replace(restoration.report, seconds=seconds))


def _shared_engine() -> Engine:
    return _engine(**settings_from_environment(os.environ))


@lru_cache(maxsize=1)
def _engine(*, limits: Limits, backend: str, cache: Path) -> Engine:
    """Made anew only when the environment says something else than at the last call."""
    return Engine(limits=limits, backend=backend, cache=cache)
