"""Where finished tiles go: a new array, or the picture itself, behind the last tile that still has to see it.

Pure numpy; knows nothing of networks.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from restoration.images.document import Samples
from restoration.inference.tiling import Box, Tile


class Canvas:
    """The result of a job, while it is made.

    Args:
        color: (height, width, channels), the picture.
        scale: output side / input side.
        reuse: write over the picture, where that can be: at scale 1, and if the array may be written.
    """

    def __init__(self, color: Samples, scale: int, *, reuse: bool = False) -> None:
        height, width, channels = color.shape
        self._scale, self._over = scale, reuse and scale == 1 and color.flags.writeable
        shape = (height * scale, width * scale, channels)
        self._result: Samples = color if self._over else np.empty(shape, color.dtype)  # pyright: ignore[reportAttributeAccessIssue]
        self._waiting: list[tuple[Box, Samples]] = []

    def put(self, core: Box, samples: Samples, left: Collection[Tile]) -> None:
        """Keeps a finished core.

        Args:
            core: in pixels of the input.
            samples: its result.
            left: the tiles that are still to be computed.
        """
        if not self._over:
            self._result[core.slices(self._scale)] = samples
            return
        self._waiting.append((core, samples))
        seen_from = min((tile.area.top for tile in left), default=len(self._result))
        unseen = [(box, made) for box, made in self._waiting if box.bottom <= seen_from]
        self._waiting = [(box, made) for box, made in self._waiting if box.bottom > seen_from]
        for box, made in unseen:
            self._result[box.slices()] = made

    @property
    def result(self) -> Samples:
        """(height * scale, width * scale, channels), complete once no tile is left."""
        return self._result
