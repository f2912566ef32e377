"""What the engine does about an error: the names of the reactions and the two classifiers.

Knows the words the ZeroGPU scheduler uses, but imports neither it nor the page's framework: an error is recognised by
its `title` and `message` attributes.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

import torch

from restoration import errors


class Reaction(Enum):
    """RETRY_SMALLER: halve the tiles. CPU: go on there. SHOW: raise it to the visitor. BUG: CPU once, and log it."""

    RETRY_SMALLER = "retry smaller"
    CPU = "cpu"
    SHOW = "show"
    BUG = "bug"


Classify = Callable[[BaseException], Reaction]

_WORKER_ERROR = "ZeroGPU worker error"
_OUT_OF_MEMORY = ("OutOfMemoryError", "MemoryError")
_OWN_ERRORS = frozenset(
    name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, errors.RestorationError)
)


def classify_error(error: BaseException) -> Reaction:
    """The reaction where no scheduler stands between: memory, our own sentences, and bugs."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return Reaction.RETRY_SMALLER
    if isinstance(error, RuntimeError) and "can't allocate memory" in str(error):  # torch's allocator for the CPU
        return Reaction.RETRY_SMALLER
    return Reaction.SHOW if isinstance(error, errors.RestorationError) else Reaction.BUG


def classify_zerogpu(error: BaseException) -> Reaction:
    """The reaction on a ZeroGPU Space, where errors of the worker arrive as a title and a class name.

    Every refusal of the scheduler (titles "ZeroGPU ...", or a plain RuntimeError) leads to the CPU; so do our own
    errors from the worker, because only the CPU's copy of them still has its sentence. An error with any other title
    was raised by the page itself and is shown.
    """
    title, message = str(getattr(error, "title", "")), str(getattr(error, "message", error))
    if title == _WORKER_ERROR:
        if any(name in message for name in _OUT_OF_MEMORY):
            return Reaction.RETRY_SMALLER
        known = message in _OWN_ERRORS or message == "GPU task aborted"
        return Reaction.CPU if known else Reaction.BUG
    if title.startswith("ZeroGPU "):
        return Reaction.CPU
    reaction = classify_error(error)
    if reaction is Reaction.BUG and title:
        return Reaction.SHOW
    return Reaction.CPU if reaction is Reaction.BUG and type(error) is RuntimeError else reaction


def cpu_sentence(error: BaseException, reaction: Reaction) -> str:
    """Why a job went on on the CPU, for the report."""
    if reaction is Reaction.RETRY_SMALLER:
        return "The GPU's memory was too small even for small tiles: this was computed on the CPU."
    if reaction is Reaction.BUG:
        return "The GPU failed unexpectedly: this was computed on the CPU."
    title = str(getattr(error, "title", "")) or "no answer"
    hint = " Signing in to Hugging Face gives more GPU time." if "quota" in title else ""
    return f"The GPU was not available ({title}): this was computed on the CPU.{hint}"
