"""Which part of a network is converted: all of it, or the convolutions behind what only torch can compute.

A network that observes (`ModelCard.observes`) may say where it can be cut: it has a method `features` and a module
`restorer`, and `forward(x, context)` is `restorer(features(x, context))`. One that does not stays with torch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from restoration.card import ModelCard
from restoration.inference.device import neutral_context

Prepare = Callable[[NDArray[np.float32], NDArray[np.float32] | None], NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Parts:
    """A network cut in two.

    body: what is converted: (B, channels, H, W) -> (B, 3, H * scale, W * scale).
    prepare: the picture (height, width, 3) and its context -> (height, width, channels), in torch or not at all.
    channels: of the body's input.
    neutral: a context to try the network with; None for a network that does not observe.
    """

    body: nn.Module
    prepare: Prepare
    channels: int = 3
    neutral: NDArray[np.float32] | None = None


def parts_of(card: ModelCard, network: nn.Module) -> Parts | None:
    """The parts of a card's network, on the CPU; None when only torch can run it."""
    if not card.observes:
        return Parts(network, _as_it_is)
    features, body = getattr(network, "features", None), getattr(network, "restorer", None)
    if features is None or not isinstance(body, nn.Module):
        return None
    neutral = neutral_context(network, "cpu")

    def prepare(pixels: NDArray[np.float32], context: NDArray[np.float32] | None) -> NDArray[np.float32]:
        return _features(features, pixels, neutral if context is None else context)

    side = max(card.size.minimum, 64)
    channels = prepare(np.zeros((side, side, 3), np.float32), neutral).shape[2]
    return Parts(body, prepare, channels, neutral)


def _as_it_is(pixels: NDArray[np.float32], context: NDArray[np.float32] | None) -> NDArray[np.float32]:
    return pixels


def _features(features: Any, pixels: NDArray[np.float32], context: NDArray[np.float32]) -> NDArray[np.float32]:
    with torch.inference_mode():
        x = torch.from_numpy(pixels).permute(2, 0, 1).unsqueeze(0)
        made: torch.Tensor = features(x, torch.from_numpy(context))[0]
        return made.permute(1, 2, 0).contiguous().numpy()
