"""What surrounds a network's pixels: what is refused before it runs, and the report that is known then; what its answer
is mixed with, and the alpha beside it.
"""

from __future__ import annotations

from dataclasses import replace

from restoration.card import ModelCard
from restoration.errors import OptionError
from restoration.images.document import ImageDocument, Samples, require_finite
from restoration.images.limits import Limits
from restoration.images.resizing import resize_alpha, resize_color
from restoration.inference.report import Report, Restoration, Size
from restoration.inference.sizing import Place


def check_job(document: ImageDocument, card: ModelCard, strength: float, limits: Limits) -> None:
    """Refuses what no engine can do.

    Raises:
        RestorationError: the strength is not in 0..1, the result would break a limit, or the picture is not finite.
        ValueError: the network takes another fixed size; a row of such squares is taken, too.
    """
    if not 0 <= strength <= 1:
        raise OptionError(f"The strength must lie between 0 and 1, but is {strength}.")
    side = card.size.fixed
    if side and (document.height, document.width % side) != (side, 0):
        raise ValueError(f"{card.name} takes {side} x {side} pixels, not {document.width} x {document.height}")
    if not side:  # a row of squares is no picture of anybody's
        limits.check_output(document.height * card.scale, document.width * card.scale)
    require_finite(document)


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
