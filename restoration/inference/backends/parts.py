"""Which part of a network is converted: all of it, or the convolutions behind what only torch can compute.

A network that observes (`ModelCard.observes`) may say where it can be cut: it has a module `restorer`, whose answer is
that of `forward(x, context)`. One that does not stays with torch.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import nn

from restoration.card import ModelCard
from restoration.inference.device import call_network, neutral_context
from restoration.inference.tiling import Box

Context = NDArray[np.float32] | None
Prepare = Callable[[NDArray[np.float32], Context, Box | None], NDArray[np.float32]]
_LAST = "restorer"
_SHAKE = (0.3, 0.4)  # how far the stroke reaches to each side and downwards, in parts of the kernel's side


@dataclass(frozen=True, slots=True)
class Parts:
    """A network cut in two.

    body: what is converted: (B, channels, H, W) -> (B, 3, H * scale, W * scale).
    prepare: the picture (height, width, 3), its context and the part that counts (None = all) -> (height, width,
        channels) of that part, in torch or not at all.
    channels: of the body's input.
    contexts: what to try the network with: the context of a picture in which there is nothing to see and, where a
        context is a blur's kernel, that of a shaken one; None alone for a network that does not observe.
    """

    body: nn.Module
    prepare: Prepare
    channels: int = 3
    contexts: tuple[Context, ...] = (None,)


def parts_of(card: ModelCard, network: nn.Module) -> Parts | None:
    """The parts of a card's network, on the CPU; None when only torch can run it."""
    if not card.observes:
        return Parts(network, _as_it_is)
    body = getattr(network, _LAST, None)
    if not isinstance(body, nn.Module):
        return None
    before = _without_last(network)
    neutral = neutral_context(network, "cpu")

    def prepare(pixels: NDArray[np.float32], context: Context, part: Box | None) -> NDArray[np.float32]:
        known = neutral if context is None else context
        return call_network(
            before, pixels, "cpu", "fp32", known, part=part
        )  # in all threads: 1.75 times as fast as in one

    side = max(card.size.minimum, 64)
    channels = prepare(np.zeros((side, side, 3), np.float32), neutral, None).shape[2]
    stroke = shaken_context(neutral)
    return Parts(body, prepare, channels, (neutral,) if stroke is None else (neutral, stroke))


def shaken_context(neutral: NDArray[np.float32]) -> Context:
    """The kernel of a camera's bent stroke, always the same, in the shape of the neutral one.

    Args:
        neutral: (1, 1, n, n) with sum 1 for a network whose context is a kernel.

    Returns: the same shape, >= 0, sum 1; None for another kind of context.
    """
    if neutral.ndim != 4 or neutral.shape[2] != neutral.shape[3] or abs(float(neutral.sum()) - 1) > 1e-3:
        return None
    side = neutral.shape[3]
    along = np.linspace(-1, 1, 8 * side)
    columns = (side - 1) / 2 + _SHAKE[0] * side * along
    rows = (side - 1) / 2 + _SHAKE[1] * side * (along**2 - 0.5)
    speed = 1.5 + np.sin(3 * along)  # a hand is slower at one end
    stroke = np.zeros((side, side))
    np.add.at(stroke, (np.rint(rows).astype(int), np.rint(columns).astype(int)), speed)
    return (stroke / stroke.sum()).astype(np.float32)[None, None]


def _as_it_is(pixels: NDArray[np.float32], context: Context, part: Box | None) -> NDArray[np.float32]:
    return pixels


def _without_last(network: nn.Module) -> nn.Module:
    """The same network, sharing its weights, whose forward gives what its last module would be given."""
    before = copy.copy(network)
    before.__dict__["_modules"] = {**network._modules, _LAST: nn.Identity()}  # a copy shares the dict itself
    return before
