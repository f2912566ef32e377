"""What a network computes here, beside what it is drawn with: folding leaves arithmetic out."""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from restoration.card import ModelCard
from restoration.inference.device import neutral_context
from restoration.inference.folding import fold

_SIDE = 256  # pixels: a tile's, more or less, whose borders are a part of the work


def computed_part(card: ModelCard, network: nn.Module) -> float:
    """The part (0..1] of a network's arithmetic, convolutions and matrices, that is left when it is folded.

    Args:
        network: the card's, on the CPU, in evaluation mode, with its weights: whether a fold is right depends on them.
    """
    return _operations(card, fold(network, card.size)) / _operations(card, network)


def _operations(card: ModelCard, network: nn.Module) -> int:
    side = card.size.fixed or _SIDE
    context = (torch.from_numpy(neutral_context(network, "cpu")).to("meta"),) if card.observes else ()
    shapes = copy.deepcopy(network).to("meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        shapes(torch.rand(1, 3, side, side, device="meta"), *context)
    return counter.get_total_flops()
