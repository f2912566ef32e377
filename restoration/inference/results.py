"""What surrounds a network's pixels: what they are mixed with, the alpha beside them, and the report before it ran."""

from __future__ import annotations

from dataclasses import replace

from restoration.card import ModelCard
from restoration.images.document import ImageDocument, Samples
from restoration.images.resizing import resize_alpha, resize_color
from restoration.inference.report import Report, Restoration, Size
from restoration.inference.sizing import Place


def base_of(document: ImageDocument, scale: int) -> Samples:
    """What a network's result is mixed with: the input, or its bicubic enlargement."""
    return document.color if scale == 1 else resize_color(document, (document.height * scale, document.width * scale))


def report_of(document: ImageDocument, card: ModelCard, task: str, place: Place) -> Report:
    """What is known of a report without running anything."""
    size = Size.of(document)
    return Report(
        task=task,
        model=card.name,
        checkpoint=card.bundled.name if card.bundled else "",
        device=place.device,
        precision=place.precision,
        input=size,
        output=replace(size, width=size.width * card.scale, height=size.height * card.scale),
        tiles=0,
        seconds={"restore": 0.0},
        warnings=document.origin.notes,
    )


def finished(document: ImageDocument, color: Samples, card: ModelCard, report: Report) -> Restoration:
    """Puts the color beside the alpha, which is enlarged apart and never goes through a network."""
    alpha = document.alpha
    if alpha is not None and card.scale != 1:
        alpha = resize_alpha(document, color.shape[:2])
    return Restoration(image=replace(document, color=color, alpha=alpha), report=report)
