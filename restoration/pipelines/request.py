"""What a visitor asks for, checked: the same rules for the page, the API, the command line and Python.

Needs no torch and no network: only the tasks, the cards and what weights are here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING

from restoration.errors import OptionError, WeightsError
from restoration.inference.fast import check_precision
from restoration.tasks import ENLARGE, TASKS

if TYPE_CHECKING:
    from restoration.card import ModelCard
    from restoration.registry import Registry
    from restoration.weights import WeightStore

SCALES = (2, 3, 4)
DEFAULT_SCALE = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One wish, checked when it is made.

    task: a task id.
    model: a family ("edsr-baseline") or card name ("edsr-baseline-x2"); None takes the task's default.
    scale: 2, 3 or 4, for enlarge only; None takes a named card's own, or 2.
    strength: 0 (the input's pixels) to 1 (the network's result).
    precision: "auto" (bf16 where it was verified), "fp32", or "fast" (int8 where the model has it, else as "auto").

    Raises:
        OptionError: a value has the wrong type or is out of range; one sentence.
    """

    task: str
    model: str | None = None
    scale: int | None = None
    strength: float = 1.0
    precision: str = "auto"

    def __post_init__(self) -> None:
        if not isinstance(self.task, str) or self.task not in TASKS:
            raise OptionError(f"There is no task {self.task!r:.40}; the tasks are {', '.join(TASKS)}.")
        if self.model is not None and (not isinstance(self.model, str) or not self.model):
            raise OptionError(f"The model must be given by its name, not as {self.model!r:.40}.")
        object.__setattr__(self, "scale", _checked_scale(self.scale, self.task))
        object.__setattr__(self, "strength", _checked_strength(self.strength))
        object.__setattr__(self, "precision", check_precision(self.precision))

    def card(self, models: Registry, store: WeightStore) -> ModelCard:
        """The card that serves this request.

        Raises:
            UnknownModel: no card or family has that name.
            OptionError: the model serves another task, or contradicts the scale.
            WeightsError: it cannot be used here; the sentence says why.
        """
        name = self.model or TASKS[self.task].default_model
        scale = self.scale
        if scale is None and any((card.family, card.scale) == (name, DEFAULT_SCALE) for card in models.values()):
            scale = None if name in models else DEFAULT_SCALE
        card = models.find(name, task=self.task, scale=scale)
        availability = store.availability(card)
        if not availability.available:
            raise WeightsError(f"The model '{card.name}' cannot be used here. {availability.reason}")
        return card


def _checked_scale(scale: object, task: str) -> int | None:
    if scale is None:
        return None
    if task != ENLARGE.id:
        raise OptionError(f"A scale can only be given for {ENLARGE.id}, not for {task}.")
    if isinstance(scale, bool) or not isinstance(scale, Real) or scale not in SCALES:
        raise OptionError(f"The scale can be 2, 3 or 4, not {scale!r:.40}.")
    return int(float(scale))


def _checked_strength(strength: object) -> float:
    if isinstance(strength, bool) or not isinstance(strength, Real) or not math.isfinite(strength):
        raise OptionError(f"The strength must be a number from 0 to 1, not {strength!r:.40}.")
    number = float(strength)
    if not 0 <= number <= 1:
        raise OptionError(f"The strength must lie between 0 and 1, but is {number:g}.")
    return number
