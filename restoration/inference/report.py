"""What a job tells while it runs and when it is done. Plain data: no torch, no files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from restoration.images.document import ImageDocument


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """The facts of one picture file.

    width, height: pixels.
    format: Pillow's format name ("JPEG").
    bits: per channel (8, 16, or 32 for float).
    """

    width: int
    height: int
    format: str
    bits: int

    @classmethod
    def of(cls, document: ImageDocument) -> Size:
        """The size of a document, in its origin's format."""
        origin = document.origin
        return cls(width=document.width, height=document.height, format=origin.format, bits=origin.bits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a job is.

    done, total: tiles; total is at least 1 and grows when the job goes on with smaller tiles.
    seconds_left: the estimate from what was done so far; None while the job waits for its turn.
    predicted_seconds: the estimate for the whole job before it began; None while it waits.
    stage: "queue" (another job is computing), "observe" (the network looks at a window of the picture) or "restore".
    warnings: sentences for the visitor, known so far.
    """

    done: int
    total: int
    seconds_left: float | None = None
    predicted_seconds: float | None = None
    stage: str = "restore"
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How a result was made.

    task: a task id.
    model, checkpoint: the names of the card and of its weights.
    device: "cpu" or "cuda", where the last tile was computed.
    precision: "fp32", "bf16" or "int8", of the last tile.
    backend: "torch", "openvino", "cuda" or "exported": what computed the last tile.
    input, output: the two pictures.
    tiles: network calls that were kept; 0 when the network did not run.
    seconds: wall time by stage: "prepare", "observe" where a network does, "restore"; callers add "decode", "encode".
    warnings: sentences for the visitor: what reading changed first, then what happened here.
    details: what only this task knows (faces found); JSON values only.
    """

    task: str
    model: str
    checkpoint: str
    device: str
    precision: str
    input: Size
    output: Size
    tiles: int
    backend: str = "torch"
    seconds: Mapping[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """JSON values only; seconds are rounded to milliseconds, `details` stands only when there are any."""
        report = {
            "task": self.task,
            "model": self.model,
            "checkpoint": self.checkpoint,
            "device": self.device,
            "precision": self.precision,
            "backend": self.backend,
            "input": asdict(self.input),
            "output": asdict(self.output),
            "tiles": self.tiles,
            "seconds": {stage: round(seconds, 3) for stage, seconds in self.seconds.items()},
            "warnings": list(self.warnings),
        }
        return report | ({"details": dict(self.details)} if self.details else {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Restoration:
    """A finished picture and how it was made."""

    image: ImageDocument
    report: Report
