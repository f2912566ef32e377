"""What is measured: cards with their weights, and pictures.

DeblurGAN-v2 over MobileNetV2 has no bundled weights. It is measured with seeded random ones whose stored statistics are
those of the picture it is given, so that stored statistics and the picture's own give the same result.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from restoration.architectures.deblurgan_v2 import DeblurGANv2, published_mobilenet
from restoration.architectures.norms import Norm
from restoration.card import ModelCard, Tiling
from restoration.errors import OptionError
from restoration.images.reading import read_image
from restoration.inference.fast import fast_filename
from restoration.registry import MODELS
from restoration.weights import Availability, WeightStore

PHOTOGRAPH = Path(__file__).resolve().parent.parent / "examples" / "coffee-small.png"
PUBLISHED = "deblurgan-v2-mobilenet"
_MARGIN = 64  # of the tiles; unlike a trained card's, it is not measured
_CALIBRATION_SIDE = 512
_RESIDUAL = 0.01  # standard deviation: random weights amplify bf16's rounding, and are kept from it by a small result
_INT8_RESIDUAL = 0.002  # of the int8 trial; see `SmallerStore`


def subjects(names: Iterable[str] | None = None) -> list[ModelCard]:
    """The available cards and DeblurGAN-v2 over MobileNetV2, or those that are named.

    Raises:
        OptionError: a name is none of them.
    """
    store = WeightStore()
    cards = {card.name: card for card in MODELS.values() if store.availability(card).available}
    cards[PUBLISHED] = published_card()
    wanted = list(names) if names is not None else list(cards)
    unknown = [name for name in wanted if name not in cards]
    if unknown:
        raise OptionError(f"'{unknown[0]}' is not measured; what is: {', '.join(cards)}.")
    return [cards[name] for name in wanted]


def published_card() -> ModelCard:
    """DeblurGAN-v2 over MobileNetV2 with stored statistics, so that it can be tiled and its norms folded."""
    card = MODELS[PUBLISHED]
    build = partial(published_mobilenet, "frozen")
    return replace(card, build=build, tiling=Tiling.MARGIN, margin=_MARGIN, half=True)


class BenchmarkStore(WeightStore):
    """The bundled weights, and seeded ones for DeblurGAN-v2 over MobileNetV2."""

    residual = _RESIDUAL

    def availability(self, card: ModelCard) -> Availability:
        """As the bundled store; the seeded ones are always there."""
        return Availability(True) if card.name == PUBLISHED else super().availability(card)

    def load(self, card: ModelCard) -> tuple[nn.Module, str]:
        """As the bundled store; the seeded ones are called "random, calibrated"."""
        if card.name != PUBLISHED:
            return super().load(card)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            network = card.build().eval()
        calibrate(network, picture(_CALIBRATION_SIDE, _CALIBRATION_SIDE), self.residual)
        return network, "random, calibrated"


class SmallerStore(BenchmarkStore):
    """With seeded weights that add less to a picture.

    Int8's rounding changes most of what random weights add, even on the picture they were calibrated on: with the usual
    residual the result is 42 to 50 dB from the network's, and int8 must reach 48. They restore nothing anyway: the race
    is about speed, for which the last convolution's factor does not count.
    """

    residual = _INT8_RESIDUAL


class Int8Store(SmallerStore):
    """With an int8 graph of DeblurGAN-v2 over MobileNetV2.

    Args:
        folder: holds the graph.
        content: the graph.
    """

    def __init__(self, folder: Path, content: bytes) -> None:
        super().__init__(folder)
        (folder / fast_filename(PUBLISHED)).write_bytes(content)
        self._hash = hashlib.sha256(content).hexdigest()

    def certificate(self, card: ModelCard) -> dict[str, Any] | None:
        """Of the graph; the loss in dB is taken as none, because random weights restore nothing."""
        if card.name != PUBLISHED:
            return None
        return {"sha256": "random", "fast": {"made_from": "random", "sha256": self._hash, "loss_db": 0.0}}


@contextmanager
def int8_store(card: ModelCard) -> Iterator[Int8Store]:
    """A store with an int8 graph of a card, calibrated on pieces of the photograph; it is there within the block.

    Raises:
        OptionError: NNCF or OpenVINO is not installed.
    """
    from restoration.evaluation.quantization import int8_file

    whole = picture(_CALIBRATION_SIDE, 2 * _CALIBRATION_SIDE)
    pieces = [whole[:_CALIBRATION_SIDE, left : left + _CALIBRATION_SIDE] for left in (0, _CALIBRATION_SIDE)]
    with TemporaryDirectory() as folder:
        yield Int8Store(Path(folder), int8_file(card, SmallerStore(), pieces))


def calibrate(network: nn.Module, pixels: NDArray[np.uint8], residual: float = _RESIDUAL) -> None:
    """Stores the statistics of one picture in the norms.

    Args:
        residual: the standard deviation of what the network adds to that picture, unless it is smaller already.
    """
    assert isinstance(network, DeblurGANv2)
    norms = [module for module in network.modules() if isinstance(module, Norm)]
    hooks = [norm.register_forward_pre_hook(_store_statistics) for norm in norms]
    x = as_tensor(pixels)
    with torch.no_grad():
        network(x)
        for hook in hooks:
            hook.remove()
        added = float((network(x) - x).std())
        for parameter in (network.final.weight, network.final.bias):
            if parameter is not None:
                parameter.mul_(min(1.0, residual / max(added, 1e-6)))


def _store_statistics(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    assert isinstance(norm, Norm)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.running_mean.copy_(inputs[0].mean((0, 2, 3)))
    norm.running_var.copy_(inputs[0].var((0, 2, 3), correction=0))


def picture(height: int, width: int) -> NDArray[np.uint8]:
    """(height, width, 3): a photograph, mirrored as often as needed."""
    small = read_image(PHOTOGRAPH).color
    widths = [(0, max(0, side - have)) for side, have in zip((height, width), small.shape[:2], strict=True)]
    padded = np.pad(small, [*widths, (0, 0)], mode="symmetric")
    return np.ascontiguousarray(padded[:height, :width].astype(np.uint8, copy=False))


def as_tensor(pixels: NDArray[np.uint8]) -> Tensor:
    """(H, W, 3) uint8 -> (1, 3, H, W) float32 in 0..1, in memory order."""
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].contiguous().float() / 255


def parse_size(text: str) -> tuple[int, int]:
    """ "1280x720" -> (height 720, width 1280).

    Raises:
        OptionError: it is not WIDTHxHEIGHT, or a side is under 64 pixels.
    """
    parts: list[Any] = text.lower().split("x")
    if len(parts) != 2 or not all(part.isdecimal() for part in parts) or min(map(int, parts)) < 64:
        raise OptionError(f"A size is WIDTHxHEIGHT in pixels, at least 64x64, not '{text}'.")
    return int(parts[1]), int(parts[0])
