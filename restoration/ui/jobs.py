"""One job: read the photo, restore it, write the result, as a generator that can be closed at any step.

Knows nothing of pages; the engine is given, and lets one job compute at a time.
"""

from __future__ import annotations

import secrets
import shutil
import time
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from restoration.errors import OptionError
from restoration.images.document import ImageDocument
from restoration.images.preview import preview_size, reduced
from restoration.images.reading import read_image
from restoration.images.writing import FORMATS, output_format, result_name, write_image
from restoration.inference.engine import Engine
from restoration.inference.report import Progress, Restoration
from restoration.pipelines.request import Request
from restoration.pipelines.restore import stream
from restoration.pipelines.written import as_written
from restoration.tasks import TASKS
from restoration.ui.desk import Desk
from restoration.ui.uploads import Photo, upload_folder


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be done, and in which file format the result is wanted.

    output_format: one of FORMATS. quality: 1 to 100; None chooses as `write_image` does.

    Raises:
        OptionError: the format or the quality is not one of those; the values may come from anybody's JSON.
    """

    request: Request
    output_format: str = "same"
    quality: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.output_format, str) or self.output_format not in FORMATS:
            raise OptionError(f"The output format must be one of {', '.join(FORMATS)}, not {self.output_format!r:.40}.")
        object.__setattr__(self, "quality", _checked_quality(self.quality))


def _checked_quality(quality: object) -> int | None:
    if quality is None:
        return None
    whole = isinstance(quality, int) or (isinstance(quality, float) and quality.is_integer())
    if isinstance(quality, bool) or not whole or not 1 <= quality <= 100:  # pyright: ignore[reportOperatorIssue]
        raise OptionError(f"The quality must be a whole number from 1 to 100, not {quality!r:.40}.")
    return int(quality)  # pyright: ignore[reportArgumentType]


@dataclass(frozen=True, slots=True)
class Stage:
    """The job has come to a stage: "decode" or "encode"."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """The job is done.

    path: the full-quality file, in a folder of its own inside the upload cache.
    report: the JSON report of the API.
    before, after: the documents, `reduced` for previews; neither shares memory with the other.
    """

    path: Path
    report: dict[str, Any]
    before: ImageDocument
    after: ImageDocument


_IN_ADDRESSES = str.maketrans("%#", "__")  # the name ends an address, unquoted
Steps = Generator[Stage | Progress | Done]


def stream_job(
    engine: Engine, photo: Photo, order: Order, desk: Desk | None = None, *, identity: str | None = None
) -> Steps:
    """Does a job; closing the generator ends it between two tiles.

    Yields the stages and the engine's progress, and a `Done` last.

    Args:
        desk: where jobs are watched; None for one of its own.
        identity: of the request, for the log.

    Raises:
        RestorationError: the file, an option or a limit stands against it; one sentence.
    """
    facts = {"task": order.request.task, "model": order.request.model}
    return (desk or Desk()).watch(_steps(engine, photo, order, facts), identity=identity, facts=facts)


def _steps(engine: Engine, photo: Photo, order: Order, facts: dict[str, Any]) -> Steps:
    """The job itself; `facts` are what the log says of it."""
    card = order.request.card(engine.models, engine.store)
    facts["model"] = card.name
    limits = engine.limits
    yield Stage("decode")
    began = time.perf_counter()
    document = read_image(photo.source, limits=limits, name=photo.name)
    decode_seconds = time.perf_counter() - began
    facts |= {"format": document.origin.format, "height": document.height, "width": document.width}
    limits.check_output(document.height * card.scale, document.width * card.scale)
    output_format(_as_large_as_result(document, card.scale), order.output_format)
    before = reduced(document, preview_size(_as_large_as_result(document, card.scale)))
    restoration = yield from _restore(engine, document, order)
    del document  # its samples may be the result's now
    yield Stage("encode")
    began = time.perf_counter()
    after = reduced(restoration.image, preview_size(restoration.image))
    report = as_written(restoration.report, restoration.image, order.output_format)
    path = _write(restoration.image, order, card.scale)
    seconds = {"decode": decode_seconds, **report.seconds, "encode": time.perf_counter() - began}
    yield Done(path=path, report=replace(report, seconds=seconds).as_json(), before=before, after=after)


def _restore(engine: Engine, document: ImageDocument, order: Order) -> Generator[Progress, None, Restoration]:
    with closing(stream(engine, document, order.request, reuse=True)) as steps:
        for step in steps:
            if isinstance(step, Restoration):
                return step
            yield step
    raise RuntimeError("the restoration ended without a result")


def _as_large_as_result(document: ImageDocument, scale: int) -> ImageDocument:
    """A stand-in of the result's size that takes no memory: whether its format can hold it is asked before the work."""
    height, width, channels = document.color.shape
    return replace(
        document,
        color=np.broadcast_to(document.color[:1, :1], (height * scale, width * scale, channels)),
        alpha=None,
    )


def _write(image: ImageDocument, order: Order, scale: int) -> Path:
    """Writes the result, which is not needed afterwards, into a new folder of the upload cache, which nobody can guess.

    Nothing stays on an error.
    """
    folder = upload_folder() / secrets.token_hex(16)
    folder.mkdir(parents=True)
    name = result_name(image.origin.name, TASKS[order.request.task].suffix, scale).translate(_IN_ADDRESSES)
    try:
        return write_image(image, folder / name, format=order.output_format, quality=order.quality, reuse=True)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
