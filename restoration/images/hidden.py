"""Colours under full transparency: nobody sees them, and nothing that looks at neighbours may either.

A network, or a resize, would draw them into the visible edge as a fringe. So they are painted over with the nearest
visible colour before the work, and put back after it where the picture kept its size.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from restoration.images.document import ImageDocument


def painted_over(document: ImageDocument) -> ImageDocument:
    """The document with every fully transparent pixel in the colour of the nearest one that is not.

    It is the document itself when there is nothing hidden, or nothing else.
    """
    hidden = _hidden(document)
    if hidden is None:
        return document
    import cv2

    # labels: 1.. for each visible pixel in reading order, and for a hidden one the label of the nearest visible
    _, found = cv2.distanceTransformWithLabels(
        hidden.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    labels = np.asarray(found, np.int32)
    sources = np.empty(int(labels.max()) + 1, np.int64)
    visible = np.flatnonzero(~hidden)
    sources[labels.reshape(-1)[visible]] = visible
    flat = document.color.reshape(-1, document.color.shape[2]).copy()
    covered = np.flatnonzero(hidden)
    flat[covered] = flat[sources[labels.reshape(-1)[covered]]]
    return replace(document, color=flat.reshape(document.color.shape))


def with_hidden_colors(result: ImageDocument, original: ImageDocument) -> ImageDocument:
    """The result with the original's colours where the original is fully transparent; itself at another size."""
    hidden = _hidden(original)
    if hidden is None or result.color.shape != original.color.shape or result.color.dtype != original.color.dtype:
        return result
    return replace(result, color=np.where(hidden[..., None], original.color, result.color))


def _hidden(document: ImageDocument) -> NDArray[np.bool_] | None:
    """Where the document is fully transparent; None when that is nowhere or everywhere."""
    if document.alpha is None:
        return None
    hidden = document.alpha <= 0
    return hidden if hidden.any() and not hidden.all() else None
