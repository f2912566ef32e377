"""What is known about a model before it is built: the card.

A card is data. It knows nothing of devices, files on disk, or pages; torch is not imported here
(only named for the type checker).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn


class Tiling(Enum):
    """How a network may be run in tiles.

    EXACT: the margin covers the whole receptive field, tiles equal the whole picture.
    MARGIN: the field is too wide to pay for; a measured margin keeps the difference <= 1/255. (Where a network undoes a
        shake it has measured, ringing reaches further than any margin: 99 % of the samples within 1/255, all within
        5/255, no seam.)
    SEAMS: statistics of the whole picture enter every pixel, so tiles would show.
    NEVER: the network takes one fixed size.
    """

    EXACT = "exact"
    MARGIN = "margin"
    SEAMS = "seams"
    NEVER = "never"


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeRule:
    """Which inputs the network takes, in pixels. Padding to `multiple_of` happens inside forward.

    multiple_of: what the network pads to by itself.
    minimum: the smallest side the network takes; smaller pictures are padded by reflection outside.
    fixed: the only side it takes (a square), or None.
    """

    multiple_of: int = 1
    minimum: int = 1
    fixed: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where the idea comes from."""

    paper: str
    authors: str
    year: int
    url: str
    code_url: str
    code_licence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """One set of weights a card can be run with.

    name: how reports call it.
    filename: the file under `weights/` (bundled) or in the cache (fetched on demand).
    url: where it is published; None for bundled weights.
    sha256: of the whole file; None for bundled weights, whose hash stands in `weights/<model>.json`.
    bytes: the published size, None where it is not known.
    licence: the terms of the weights.
    key_map: turns the published state dict into the network's own; None when they are the same.
    """

    name: str
    filename: str
    licence: str
    url: str | None = None
    sha256: str | None = None
    bytes: int | None = None
    key_map: Callable[[dict[str, Tensor]], dict[str, Tensor]] | None = None

    @property
    def bundled(self) -> bool:
        """Whether the weights travel in the repository."""
        return self.url is None


def trained_here(model: str) -> Checkpoint:
    """The weights of a model that this project trained, bundled under its name."""
    return Checkpoint(name="restoration", filename=f"{model}.safetensors", licence="see weights/README.md")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """The facts about one model.

    name: the id in the CLI, the API, `weights/` and `tests/golden/` ("edsr-baseline-x2").
    family: the name shared by the scales of one model ("edsr-baseline").
    title, sentence: for people.
    task: a task id from `tasks.py`.
    build: makes the network with random weights, on the CPU, in fp32. The network's law: float
        (B, 3, H, W) RGB in [0, 1] in, (B, 3, H * scale, W * scale) out, nominally in [0, 1] (not clamped).
    checkpoints: bundled first, then published ones.
    scale: output side / input side.
    size: which inputs the network takes.
    tiling: how it may be run in tiles.
    receptive_margin: input pixels to each side that can reach an output pixel; None where the whole picture does, and
        for networks with strides. Computed from the network (`tests/laws`), not guessed.
    margin: the context in input pixels each tile is given when shipped.
    surroundings: input pixels around that context which `forward(x, context, part)` is given, too, for what it computes
        before its convolutions.
    gigaflop_per_megapixel: 2 x multiply-adds of the convolutions per million input pixels, for cost estimates.
    observes: the network looks at the picture before its tiles: `observe(x)` yields better and better contexts
        for `forward(x, context)`, from a window of at most this many pixels a side; 0 = it does not.
    half: bf16 was verified on the shipped weights: at most 5/255 from fp32, and over 50 dB (`tests/laws`).
        Whether there is an int8 graph, and what it loses, stands in the certificate (`inference/fast.py`).
    """

    name: str
    family: str
    title: str
    sentence: str
    task: str
    build: Callable[[], nn.Module]
    checkpoints: tuple[Checkpoint, ...]
    provenance: Provenance
    scale: int = 1
    size: SizeRule = field(default_factory=SizeRule)
    tiling: Tiling = Tiling.EXACT
    receptive_margin: int | None = None
    margin: int = 0
    surroundings: int = 0
    gigaflop_per_megapixel: float
    observes: int = 0
    half: bool = False

    @property
    def bundled(self) -> Checkpoint | None:
        """The weights that travel in the repository, if the card has any."""
        return next((checkpoint for checkpoint in self.checkpoints if checkpoint.bundled), None)
