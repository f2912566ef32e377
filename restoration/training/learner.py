"""The engine of fastai recipes: a real `Learner` with the one-cycle schedule; what our loop does beside is callbacks.

The one place of the training that imports fastai. The optimiser is torch's (Adam, or Muon and Adam) behind
fastai's wrapper, so that a checkpoint is the same file as our loop's. Knows nothing of files.
Sources: one-cycle (Smith and Topin 2018); fastai (Howard and Gugger 2020), whose defaults for both schedules are kept.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import fastai.callback.schedule  # noqa: F401  # gives Learner its fit_one_cycle
import torch
from fastai.callback.core import (
    Callback,
    CancelFitException,  # pyright: ignore[reportAttributeAccessIssue]
    CancelStepException,  # pyright: ignore[reportAttributeAccessIssue]
    TrainEvalCallback,
)
from fastai.data.core import DataLoaders
from fastai.learner import Learner
from fastai.optimizer import OptimWrapper
from torch import Tensor, nn

from restoration.errors import OptionError
from restoration.training.session import ENCODER, PRETRAINED, Session
from restoration.training.steps import restoration_loss

_ENDLESS = 1_000_000_000  # batches of an epoch that ends when the session says so


class Feed:
    """The session's batches as what fastai calls a DataLoader; remembers how long each was waited for."""

    def __init__(self, session: Session) -> None:
        self.session, self.waited, self.dataset = session, 0.0, session.pictures.train

    def __len__(self) -> int:
        return self.session.length.steps or _ENDLESS

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        feed = self.session.feed()
        while True:
            waiting = time.monotonic()
            batch = next(feed)
            self.waited = time.monotonic() - waiting
            yield batch

    def to(self, device: torch.device) -> Feed:
        """Batches are where they are needed already."""
        return self


class LearnerCallback(Callback):
    """fastai's, with a type for what it acts on."""

    learn: Any = None


class Journal(LearnerCallback):
    """Time, EMA, checkpoints, metrics and display: the session's part of every step.

    fastai asks for a batch before it says so: the session's clock is asked by `begin`, before the first, and after
    every step for the next one.
    """

    order = 50  # after everything that changes weights, before the scheduler (60) of the next batch

    def __init__(self, session: Session, feed: Feed) -> None:
        super().__init__()
        self.session, self.feed, self.progress = session, feed, 0.0

    def before_fit(self) -> None:
        """Stops before the first step where nothing is left to do."""
        self._advance()

    def before_batch(self) -> None:
        """Tells fastai's schedules how far the training is."""
        self.learn.pct_train = self.progress

    def after_batch(self) -> None:
        """Counts the step."""
        groups = self.session.run.optimiser.param_groups
        for group in groups:
            for name in {"lr", "momentum"} & group.keys():
                group[name] = float(group[name])  # the schedule leaves NumPy's numbers, which no checkpoint may hold
        self.session.took({"loss": self.learn.loss.detach()}, groups[-1]["lr"], self.feed.waited)
        self._advance()

    def _advance(self) -> None:
        progress = self.session.advance()
        if progress is None:
            raise CancelFitException
        self.progress = progress


class Clip(LearnerCallback):
    """Clipped gradients; a step whose gradients are not finite is left out."""

    order = 10

    def __init__(self, largest: float) -> None:
        super().__init__()
        self.largest = largest

    def before_step(self) -> None:
        """Between backward and the optimiser."""
        norm = nn.utils.clip_grad_norm_(self.learn.model.parameters(), self.largest)
        if not torch.isfinite(norm):
            raise CancelStepException


class OneMomentum(LearnerCallback):
    """Adam's first beta follows Muon's momentum, which alone fastai's schedule finds where there are both."""

    order = 70  # after the schedule

    def before_batch(self) -> None:
        """A group of Adam's in which the schedule left the other's name."""
        for group in self.learn.opt.opt.param_groups:
            if "betas" in group and "momentum" in group:
                group["betas"] = (float(group["momentum"]), group["betas"][1])


class FreezeFirst(LearnerCallback):
    """Holds a pretrained encoder, but for its norms, for a part of the training, then lets it follow.

    Not by the optimiser's groups, as fastai does: Muon's are other ones.
    """

    order = 55

    def __init__(self, encoder: nn.Module, part: float) -> None:
        super().__init__()
        modules = (each for each in encoder.modules() if not isinstance(each, nn.BatchNorm2d))
        self.parameters = [parameter for each in modules for parameter in each.parameters(recurse=False)]
        self.part = part

    def before_batch(self) -> None:
        """By progress alone, so that a resumed training is in the phase it left."""
        for parameter in self.parameters:
            parameter.requires_grad_(self.learn.pct_train >= self.part)


class Autocast(nn.Module):
    """The network in bf16, or as it is; answers in float32."""

    def __init__(self, network: nn.Module, bf16: bool) -> None:
        super().__init__()
        self.network, self.bf16 = network, bf16

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, 3, H, W), both in [0, 1]; not fastai's subclass of Tensor."""
        with torch.autocast(x.device.type, dtype=torch.bfloat16, enabled=self.bf16):
            output = self.network(x)
        return output.as_subclass(Tensor).float()


def learn(session: Session) -> None:
    """Trains the session's run until it is to stop.

    Raises:
        OptionError: there are several processes, or a critic.
    """
    recipe, run = session.recipe, session.run
    if session.processes.count > 1:
        raise OptionError(f"The recipe '{recipe.name}' is trained by fastai's Learner, which runs in one process here.")
    if recipe.adversarial:
        raise OptionError(f"The recipe '{recipe.name}' has a critic, which fastai's Learner does not train here.")
    feed = Feed(session)

    def wrapped(_params: Any, **_defaults: Any) -> OptimWrapper:
        return OptimWrapper(opt=run.optimiser)  # the run's own, whose state a checkpoint may have filled

    callbacks: list[Callback] = [TrainEvalCallback(), Journal(session, feed), Clip(recipe.clip), OneMomentum()]
    if PRETRAINED in run.notes:
        callbacks.append(FreezeFirst(run.network.get_submodule(ENCODER), recipe.frozen))
    learner: Any = Learner(
        DataLoaders(feed, feed, device=session.processes.device),
        Autocast(run.network, session.bf16),
        loss_func=partial(restoration_loss, recipe),
        opt_func=wrapped,  # type: ignore[arg-type]
        default_cbs=False,  # they draw and print
        cbs=callbacks,
    )
    learner.fit_one_cycle(1, recipe.learning_rate)
