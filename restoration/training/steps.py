"""One training step: with pixel losses alone, or against a critic.

Knows nothing of schedules, data or files.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from restoration.errors import WeightsError
from restoration.training import losses
from restoration.training.checkpoint import Rival, Run
from restoration.training.critics import critic_loss, feature_matching, restorer_loss
from restoration.training.losses import Perceptual
from restoration.training.processes import Processes
from restoration.training.recipes import Recipe

_VGG16, _FEATURES = "VGG16 of ImageNet", "feature matching on the critic"


class Step(Protocol):
    """Changes a run's weights by one batch, float (B, 3, h, w) and (B, 3, H, W) in [0, 1].

    context: what the network takes beside the picture, where the recipe's pairs have it.

    Returns: detached scalars: "loss", the restorer's, and "critic".
    """

    def __call__(  # noqa: D102
        self, run: Run, degraded: Tensor, sharp: Tensor, context: Tensor | None = None
    ) -> dict[str, Tensor]: ...


def restoration_loss(recipe: Recipe, output: Tensor, sharp: Tensor) -> Tensor:
    """The recipe's mix of pixels, frequencies and structure. float32 (B, 3, H, W) in [0, 1], twice."""
    error = output - sharp
    loss = losses.charbonnier(error) if recipe.pixel_loss == "charbonnier" else losses.l1(error)
    if recipe.frequency:
        loss = loss + recipe.frequency * losses.frequency_l1(error)
    if recipe.ssim:
        loss = loss + recipe.ssim * losses.ssim_loss(output, sharp)
    return loss


def describe_losses(recipe: Recipe, notes: dict[str, str]) -> str:
    """The recipe's losses in words, with what stood in for what could not be had: for the birth certificate."""
    pixels = {"l1": "L1", "charbonnier": "Charbonnier", "none": ""}[recipe.pixel_loss]
    words = [pixels] if pixels else []
    words += [f"{recipe.frequency:g} frequency L1"] if recipe.frequency else []
    words += [f"{recipe.ssim:g} (1 - SSIM)"] if recipe.ssim else []
    words += [_name(recipe.auxiliary)] if recipe.auxiliary else []
    stage = recipe.adversarial
    if stage is None:
        return " + ".join(words)
    mixed = f"({' + '.join(words)})" if len(words) > 1 else pixels
    words = [f"{stage.adversarial:g} {stage.kind}", f"{stage.pixels:g} {mixed}"]
    used = notes.get("perceptual")
    if used == _VGG16:
        words += [f"{stage.perceptual:g} perceptual"] if stage.perceptual else []
        words += [f"{stage.style:g} Gram style"] if stage.style else []
        return f"{' + '.join(words)} ({used})"
    if used == _FEATURES:
        return f"{' + '.join(words)} + {stage.features:g} {used} (VGG16's ImageNet weights could not be had)"
    return " + ".join(words)


def _name(auxiliary: Callable[..., Any]) -> str:
    """ "0.02 kernel loss" of `partial(kernel_loss, 0.02)`."""
    weights = [f"{weight:g}" for weight in getattr(auxiliary, "args", ())]
    return " ".join([*weights, getattr(auxiliary, "func", auxiliary).__name__.replace("_", " ")])


def make_step(recipe: Recipe, run: Run, processes: Processes, *, bf16: bool) -> Step:
    """The step of a recipe over the run's networks; decides, the first time, what perceptual loss there is.

    Raises:
        WeightsError: the run began with VGG16, whose weights cannot be had now.
    """
    if recipe.adversarial is None:
        return PixelStep(recipe, processes.share(run.network), processes, bf16=bf16)
    perceptual = _find_perceptual(recipe, run.notes)
    if perceptual is not None:
        perceptual.to(processes.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return AdversarialStep(recipe, run, processes, perceptual, bf16=bf16)


def _find_perceptual(recipe: Recipe, notes: dict[str, str]) -> Perceptual | None:
    stage = recipe.adversarial
    if stage is None or not (stage.perceptual or stage.style) or notes.get("perceptual") == _FEATURES:
        return None
    state = losses.fetch_vgg16()
    if state is None and notes.get("perceptual") == _VGG16:
        raise WeightsError("This training began with VGG16's ImageNet weights, which cannot be had now.")
    notes["perceptual"] = _VGG16 if state else _FEATURES
    return Perceptual(state) if state else None


class PixelStep:
    """Forward, loss, backward, clip, optimiser: without a critic."""

    def __init__(self, recipe: Recipe, call: Callable[..., Any], processes: Processes, *, bf16: bool) -> None:
        self.recipe, self.call, self.processes, self.bf16 = recipe, call, processes, bf16

    def __call__(self, run: Run, degraded: Tensor, sharp: Tensor, context: Tensor | None = None) -> dict[str, Tensor]:
        """See `Step`."""
        more = () if context is None else (context,)
        with torch.autocast(degraded.device.type, dtype=torch.bfloat16, enabled=self.bf16):
            output = self.call(degraded, *more) if self.recipe.pixel_loss != "none" else None
            loss = self.recipe.auxiliary(run.network, *more) if self.recipe.auxiliary else torch.zeros(())
        if output is not None:
            loss = loss + restoration_loss(self.recipe, output.float(), sharp)
        descend(loss, run.network, run.optimiser, self.recipe.clip, self.processes)
        return {"loss": loss.detach()}


class AdversarialStep:
    """The critic's step, then the restorer's, on one batch."""

    def __init__(
        self, recipe: Recipe, run: Run, processes: Processes, perceptual: Perceptual | None, *, bf16: bool
    ) -> None:
        assert recipe.adversarial
        assert run.rival
        self.recipe, self.stage, self.processes, self.bf16 = recipe, recipe.adversarial, processes, bf16
        self.rival, self.perceptual = run.rival, perceptual
        self.call, self.ask = processes.share(run.network), processes.share(run.rival.critic)

    def __call__(self, run: Run, degraded: Tensor, sharp: Tensor, context: Tensor | None = None) -> dict[str, Tensor]:
        """See `Step`."""
        assert context is None, "no critic judges a network with a context"
        condition = degraded
        if degraded.shape != sharp.shape:
            condition = F.interpolate(degraded, sharp.shape[-2:], mode="bicubic")
        with self._autocast(degraded):
            made = self.call(degraded).float()
        told = self._train_critic(self.rival, condition, made.detach(), sharp)
        loss = self._judge(self.rival.critic, condition, made, sharp)
        descend(loss, run.network, run.optimiser, self.recipe.clip, self.processes)
        return {"loss": loss.detach(), "critic": told}

    def _train_critic(self, rival: Rival, condition: Tensor, made: Tensor, sharp: Tensor) -> Tensor:
        rival.critic.requires_grad_(True)
        with self._autocast(sharp):
            loss = critic_loss(self.stage.kind, self.ask(sharp, condition), self.ask(made, condition))
        descend(loss, rival.critic, rival.optimiser, self.recipe.clip, self.processes)
        return loss.detach()

    def _judge(self, critic: nn.Module, condition: Tensor, made: Tensor, sharp: Tensor) -> Tensor:
        """What the restorer pays. The critic is asked directly: it gets no gradients here."""
        critic.requires_grad_(False)
        stage = self.stage
        with self._autocast(sharp):
            with torch.no_grad():
                real = critic(sharp, condition)
            fake = critic(made, condition)
            loss = stage.adversarial * restorer_loss(stage.kind, real, fake)
            if self.perceptual is not None:
                content, style = self.perceptual(made, sharp)
                loss = loss + stage.perceptual * content + stage.style * style
            elif stage.features:
                loss = loss + stage.features * feature_matching(real, fake)
        return loss + 2 * stage.pixels * restoration_loss(self.recipe, made, sharp)

    def _autocast(self, like: Tensor) -> torch.autocast:
        return torch.autocast(like.device.type, dtype=torch.bfloat16, enabled=self.bf16)


def descend(
    loss: Tensor, network: nn.Module, optimiser: torch.optim.Optimizer, clip: float, processes: Processes
) -> None:
    """Backward, clipped gradients, one optimiser step; a step whose gradients are not finite is left out."""
    optimiser.zero_grad(set_to_none=True)
    processes.backward(loss)
    norm = nn.utils.clip_grad_norm_(network.parameters(), clip)
    if torch.isfinite(norm):
        optimiser.step()
