"""Face restore: find the faces, cut each out as the training faces were, run the network, blend the change back in.

Knows which pixels to touch, never how they are computed: that is the engine's business.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from restoration.card import ModelCard
from restoration.images.document import ImageDocument, Samples, require_finite
from restoration.inference.engine import Engine
from restoration.inference.report import Progress, Report, Restoration, Size
from restoration.inference.run import TOGETHER
from restoration.inference.sizing import Place
from restoration.pipelines.detection import Detector, Face, choose_detector
from restoration.pipelines.face_squares import NETWORK_SIDE, Square, blend, cut, face_square, network_input, taken
from restoration.pipelines.request import Request

NO_FACE = "No face was found, so the photo was left untouched."

SMALLEST_FACE = 16  # pixels; below, there is nothing to restore a face from


def stream(
    engine: Engine,
    document: ImageDocument,
    request: Request,
    *,
    detector: Detector | None = None,
    reuse: bool = False,
) -> Generator[Progress | Restoration]:
    """Restores every face of a photo, the largest first.

    Yields a `Progress` before the first face and after each (total: the faces; stage "queue" while another job
    computes), and a `Restoration` last. Closing the generator stops between two faces. Outside the faces' masks the
    result's pixels are the photo's own; alpha, depth and gray are kept. Without a face, or at strength 0, the network
    does not run and the pixels are the photo's own. `report.details` tells the detector and the faces: `box`
    [left, top, width, height] as YuNet frames it, `score` (None from Haar), and `side` of the restored square,
    in pixels.

    Args:
        detector: None takes YuNet if its pinned file lies beside the engine's weights, otherwise Haar.
        reuse: the faces may be blended into the document's own samples, to save memory.

    Raises:
        RestorationError: the model cannot be used, a limit is broken, a float picture holds NaN or infinity, or
            OpenCV is missing or too new.
    """
    card = request.card(engine.models, engine.store)
    engine.limits.check_output(document.height, document.width)
    require_finite(document)
    began = time.perf_counter()
    detector = detector or choose_detector([engine.store.folder])
    found = detector.detect(document.color)
    detected = time.perf_counter()
    faces = [face for face in found if face.size >= SMALLEST_FACE]
    report = _report(engine.place(card, request.precision), document, card, detector, faces)
    warnings = report.warnings + _notes(len(found), len(faces))
    color = document.color
    if faces and request.strength > 0:
        color, report = yield from _restore_faces(
            engine, document, card, request, report=report, faces=faces, reuse=reuse
        )
    else:
        yield Progress(done=0, total=1, seconds_left=0.0, predicted_seconds=0.0, warnings=warnings)
    seconds = {"detect": detected - began, "restore": time.perf_counter() - detected}
    warnings += tuple(sentence for sentence in report.warnings if sentence not in warnings)
    report = replace(report, seconds=seconds, warnings=warnings)
    yield Restoration(image=replace(document, color=color), report=report)


def _restore_faces(
    engine: Engine,
    document: ImageDocument,
    card: ModelCard,
    request: Request,
    *,
    report: Report,
    faces: Sequence[Face],
    reuse: bool,
) -> Generator[Progress, None, tuple[Samples, Report]]:
    """Runs the network on each face; returns the new pixels, and the report with what the engine told of the runs."""
    precision = request.precision
    result, pieces = _begun(document, [face_square(face) for face in faces], reuse)
    predicted = engine.predict_seconds(card, NETWORK_SIDE, NETWORK_SIDE, precision) * len(faces)
    began = time.perf_counter()
    yield Progress(done=0, total=len(faces), seconds_left=predicted, predicted_seconds=predicted)
    for first in range(0, len(faces), TOGETHER):
        group = list(islice(pieces, TOGETHER))
        row = ImageDocument(color=np.concatenate([piece.pixels for piece in group], axis=1))
        for step in engine.stream(row, card, task=report.task, precision=precision):
            if isinstance(step, Restoration):
                report = _joined(report, step.report)
                for piece, restored in zip(group, np.split(step.image.color, len(group), axis=1), strict=True):
                    change = _change(restored - piece.pixels, result.shape[2])
                    blend(result[piece.area], piece.own, piece.square, change, request.strength)
            elif step.stage == "queue":
                yield replace(step, done=first, total=len(faces))
            elif step.done:
                done = first + step.done
                left = (time.perf_counter() - began) / done * (len(faces) - done)
                warnings = (*report.warnings, *(each for each in step.warnings if each not in report.warnings))
                yield Progress(
                    done=done, total=len(faces), seconds_left=left, predicted_seconds=predicted, warnings=warnings
                )
    return result, report


@dataclass(frozen=True, slots=True, kw_only=True)
class _Piece:
    """A face's square and the part of the photo that it covers.

    pixels: what the network takes. area: of the photo. own: the photo there, as it came. square: seen from there.
    """

    pixels: NDArray[np.float32]
    area: tuple[slice, slice]
    own: ImageDocument
    square: Square


def _begun(document: ImageDocument, squares: Sequence[Square], reuse: bool) -> tuple[Samples, Iterator[_Piece]]:
    """The pixels to blend into, and the pieces: of the photo itself, or copied from it where it is blended into."""
    samples = sum(square.side**2 for square in squares) * document.color.shape[2]
    if not (reuse and document.color.flags.writeable and samples < document.color.size):
        return document.color.copy(), (_piece(document, square) for square in squares)
    kept = [taken(document, square) for square in squares]
    return document.color, (_piece(document, *both) for both in zip(squares, kept, strict=True))


def _piece(document: ImageDocument, square: Square, kept: Samples | None = None) -> _Piece:
    """A face's piece; `kept` is its square as it came, where the photo may have changed since."""
    rows, columns = area = _area(document, square)
    inside = Square(square.left - columns.start, square.top - rows.start, square.side)
    if kept is None:
        pixels, own = cut(document, square), document.color[area]
    else:
        pixels = network_input(kept, document.peak)
        height, width = rows.stop - rows.start, columns.stop - columns.start
        own = kept[-inside.top : height - inside.top, -inside.left : width - inside.left]
    return _Piece(pixels=pixels, area=area, own=replace(document, color=own, alpha=None), square=inside)


def _area(document: ImageDocument, square: Square) -> tuple[slice, slice]:
    """The rows and columns of the photo that a square covers."""
    rows = slice(max(0, square.top), min(document.height, square.top + square.side))
    return rows, slice(max(0, square.left), min(document.width, square.left + square.side))


def _change(change: NDArray[np.floating], channels: int) -> NDArray[np.float32]:
    """For a gray photo the mean of the three channels, so that gray stays gray."""
    return (change if channels == 3 else change.mean(axis=2, keepdims=True)).astype(np.float32)


def _report(
    place: Place, document: ImageDocument, card: ModelCard, detector: Detector, faces: Sequence[Face]
) -> Report:
    """What is known before the network runs."""
    size = Size.of(document)
    return Report(
        task=card.task,
        model=card.name,
        checkpoint=card.bundled.name if card.bundled else "",
        device=place.device,
        precision=place.precision,
        input=size,
        output=size,
        tiles=0,
        warnings=document.origin.notes,
        details={"detector": detector.name, "faces": [_facts(face) for face in faces]},
    )


def _joined(report: Report, run: Report) -> Report:
    """The report after one more run of the network."""
    new = tuple(sentence for sentence in run.warnings if sentence not in report.warnings)
    return replace(
        report,
        checkpoint=run.checkpoint,
        device=run.device,
        precision=run.precision,
        backend=run.backend,
        tiles=report.tiles + run.tiles,
        warnings=report.warnings + new,
    )


def _facts(face: Face) -> dict[str, Any]:
    """One face for the report: JSON values."""
    box = [round(value, 1) for value in (face.left, face.top, face.width, face.height)]
    score = None if face.score is None else round(face.score, 3)
    return {"box": box, "score": score, "side": face_square(face).side}


def _notes(found: int, kept: int) -> tuple[str, ...]:
    """The sentences about what was not restored."""
    if not found:
        return (NO_FACE,)
    if found == kept:
        return ()
    left_out = found - kept
    subject = "1 face was" if left_out == 1 else f"{left_out} faces were"
    return (f"{subject} under {SMALLEST_FACE} pixels, too small to restore, and left untouched.",)
