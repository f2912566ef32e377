"""Face restore: find the faces, cut each out as the training faces were, run the network, blend the change back in.

What is blended in is the network's *change* (its result minus its input, at 256 x 256), resampled to the face's size
and added to the photo's own pixels. A face larger than 256 pixels thereby keeps the detail that the network never
saw (and its finest noise with it); for a smaller face it is the same as pasting the result, without the loss of a trip
up to 256 and back. A network that changes nothing leaves every pixel as it was, at any size.

Knows which pixels to touch, never how they are computed: that is the engine's business.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from restoration.card import ModelCard
from restoration.images.document import ImageDocument, Samples, require_finite
from restoration.inference.engine import Engine
from restoration.inference.report import Progress, Report, Restoration, Size
from restoration.inference.sizing import Place
from restoration.pipelines.detection import Detector, Face, choose_detector
from restoration.pipelines.request import Request

NO_FACE = "No face was found, so the photo was left untouched."

NETWORK_SIDE = 256
# The square around YuNet's box, as the training faces were cut. In the 200 training portraits that had room on all
# sides (the others stop at their picture's border and are tighter) the box's larger side is 167 of 256 pixels, so
# the square is 1.53 times as large, and its centre lies 4.2 pixels above the box's, 2.5 % of the box.
# sqrt(width * height) would give 1.78 and does not fit.
SQUARE_PER_BOX = 1.5
RAISED_PER_BOX = 0.03
SMALLEST_FACE = 16  # pixels; below, there is nothing to restore a face from

FEATHER_FROM = 0.72  # of the way from the centre to the border: the face's box lies within, hair and neck fade out
BAND_PIXELS = 1_000_000  # how much of a face is blended at a time, so that a huge face needs no huge float copy


@dataclass(frozen=True, slots=True)
class Square:
    """A square of the picture in whole pixels; may reach out of the picture."""

    left: int
    top: int
    side: int


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
    for done, piece in enumerate(pieces):
        pixels = piece.pixels
        for step in engine.stream(ImageDocument(color=pixels), card, task=report.task, precision=precision):
            if isinstance(step, Restoration):
                change = _change(step.image.color - pixels, result.shape[2])
                blend(result[piece.area], piece.own, piece.square, change, request.strength)
                report = _joined(report, step.report)
            elif step.stage == "queue":
                yield replace(step, done=done, total=len(faces))
        left = (time.perf_counter() - began) / (done + 1) * (len(faces) - done - 1)
        yield Progress(
            done=done + 1,
            total=len(faces),
            seconds_left=left,
            predicted_seconds=predicted,
            warnings=report.warnings,
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


def _begun(document: ImageDocument, squares: Sequence[Square], reuse: bool) -> tuple[Samples, Iterable[_Piece]]:
    """The pixels to blend into, and the pieces: of the photo itself, or copied from it where it is blended into."""
    areas = [_area(document, square) for square in squares]
    samples = sum(document.color[area].size for area in areas)
    if not (reuse and document.color.flags.writeable and samples < document.color.size):
        return document.color.copy(), (_piece(document, *both) for both in zip(squares, areas, strict=True))
    kept = [_piece(document, *both) for both in zip(squares, areas, strict=True)]
    return document.color, [replace(each, own=replace(each.own, color=each.own.color.copy())) for each in kept]


def _piece(document: ImageDocument, square: Square, area: tuple[slice, slice]) -> _Piece:
    rows, columns = area
    return _Piece(
        pixels=cut(document, square),
        area=area,
        own=replace(document, color=document.color[area], alpha=None),
        square=Square(square.left - columns.start, square.top - rows.start, square.side),
    )


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


def face_square(face: Face) -> Square:
    """The square that is restored around a detected face."""
    side = max(2, round(SQUARE_PER_BOX * face.size))
    x = face.left + face.width / 2
    y = face.top + face.height / 2 - RAISED_PER_BOX * face.size
    return Square(round(x - side / 2), round(y - side / 2), side)


def cut(document: ImageDocument, square: Square) -> NDArray[np.float32]:
    """The square as the network takes it: (256, 256, 3), 0..1. Beyond its border the picture is mirrored.

    Bicubic; antialiased when the square is larger than 256. Gray is repeated three times.
    """
    rows = _mirrored(square.top, square.side, document.height)
    columns = _mirrored(square.left, square.side, document.width)
    channels = [
        _resized(_unit(document.color[rows[:, None], columns, channel], document.peak), (NETWORK_SIDE, NETWORK_SIDE))
        for channel in range(document.color.shape[2])
    ]
    return np.clip(np.stack(channels * (3 // len(channels)), axis=-1), 0, 1)


def blend(
    result: Samples, document: ImageDocument, square: Square, change: NDArray[np.float32], strength: float = 1.0
) -> None:
    """Blends the changed face over `result`, in place, under a mask that fades to 0 at the square's border.

    Where an earlier face already changed `result`, this one is laid over it: no change is added twice.

    Args:
        result: (height, width, channels), the document's dtype.
        document: the photo as it came.
        square: which part; its pixels inside the picture are written, in bands of rows.
        change: (256, 256, channels), restored minus input, in 0..1 units.
        strength: 0..1, multiplies the mask.
    """
    left, right = max(0, square.left), min(document.width, square.left + square.side)
    first, last = max(0, square.top), min(document.height, square.top + square.side)
    columns = slice(left - square.left, right - square.left)
    whole_numbers, peak = document.color.dtype.kind == "u", np.float32(document.peak)
    step = max(1, BAND_PIXELS // square.side)
    for top in range(first, last, step):
        band = slice(top, min(top + step, last))
        rows = slice(band.start - square.top, band.stop - square.top)
        weight = np.float32(strength) * face_mask(square.side, rows)[:, columns, None]
        own, area = document.color[band, left:right], result[band, left:right]
        restored = own + peak * _resampled(change, square.side, rows)[:, columns]
        restored = np.clip(restored, np.minimum(own, 0), np.maximum(own, peak))  # float files may hold more than 0..1
        mixed = area + weight * (restored - area)
        area[...] = np.rint(mixed) if whole_numbers else mixed


def face_mask(side: int, rows: slice) -> NDArray[np.float32]:
    """Rows of the (side, side) mask: 1 over the face, a smooth fall, exactly 0 at the border. side >= 2.

    A rounded square (|u|^4 + |v|^4 = 1), smoothstep from `FEATHER_FROM` to 1 of its radius.
    """
    across = (2 * np.arange(side, dtype=np.float32) + 1 - side) / (side - 1)
    radius = (across[rows, None] ** 4 + across**4) ** 0.25
    inside = np.clip((1 - radius) / (1 - FEATHER_FROM), 0, 1)
    return (inside * inside * (3 - 2 * inside)).astype(np.float32, copy=False)


def _mirrored(start: int, length: int, size: int) -> NDArray[np.intp]:
    """Indices start .. start + length - 1, reflected at the borders of 0 .. size - 1 as often as needed."""
    period = max(1, 2 * (size - 1))
    folded = np.arange(start, start + length) % period
    return np.minimum(folded, period - folded)


def _unit(values: Samples, peak: float) -> NDArray[np.float32]:
    """Samples as float32 0..1; what a float file may hold beyond is brought into the range."""
    return np.clip(values.astype(np.float32) / np.float32(peak), 0, 1)


def _resized(
    values: NDArray[np.float32], size: tuple[int, int], box: tuple[float, float, float, float] | None = None
) -> NDArray[np.float32]:
    """One channel to (height, width), bicubic, antialiased when it shrinks; `box` is (left, top, right, bottom)."""
    image = Image.fromarray(np.ascontiguousarray(values))
    return np.asarray(image.resize((size[1], size[0]), Image.Resampling.BICUBIC, box=box), dtype=np.float32)


def _resampled(change: NDArray[np.float32], side: int, rows: slice) -> NDArray[np.float32]:
    """Some rows of `change` resampled to (side, side): (rows, side, channels)."""
    scale = change.shape[0] / side
    box = (0, rows.start * scale, change.shape[1], rows.stop * scale)
    size = (rows.stop - rows.start, side)
    return np.stack([_resized(change[..., channel], size, box) for channel in range(change.shape[2])], axis=-1)
