"""Networks, cards, a store and an engine that need no weights."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restoration.card import Checkpoint, ModelCard, Provenance, Tiling
from restoration.images.document import ImageDocument, Origin
from restoration.inference.engine import Compute, Engine
from restoration.inference.reactions import classify_zerogpu
from restoration.registry import Registry
from restoration.weights import Availability, WeightStore

PROVENANCE = Provenance(paper="none", authors="none", year=2024, url="", code_url="", code_licence="none")
REFUSALS = [
    "ZeroGPU quota exceeded",
    "ZeroGPU pending credits exceeded",
    "ZeroGPU illegal duration",
    "ZeroGPU queue timeout",
    "ZeroGPU client error",
]
TINY_CALLS = 1e-9  # as call_seconds: every tile is as small as tiles get


class Identity(nn.Module):
    """Gives back what it sees."""

    def forward(self, x: Tensor) -> Tensor:
        return x.clone()


class Doubling(nn.Module):
    """Repeats every pixel along both sides."""

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(x, scale_factor=2.0, mode="nearest")


class Inverting(nn.Module):
    """1 - x, so that what was computed can be told from what was copied."""

    def forward(self, x: Tensor) -> Tensor:
        return 1 - x


class ThreeConvolutions(nn.Module):
    """A field of exactly 3 pixels, with zero padding, like a real network."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(8, 8, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(8, 3, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class Strided(nn.Module):
    """Means over blocks of 8 pixels of the picture's own grid, padded right and bottom inside."""

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        padded = F.pad(x, (0, -width % 8, 0, -height % 8), mode="replicate")
        means = F.interpolate(F.avg_pool2d(padded, 8), scale_factor=8.0, mode="nearest")
        return x - means[:, :, :height, :width]


class Watched(nn.Module):
    """Calls `watch` with the input, and gives back its answer, or the input."""

    def __init__(self, watch: Callable[[Tensor], Tensor | None]) -> None:
        super().__init__()
        self.watch = watch

    def forward(self, x: Tensor) -> Tensor:
        answer = self.watch(x)
        return x.clone() if answer is None else answer


class Counter:
    """Counts calls, remembers their sizes, and notices when two threads are inside at once."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.sizes: list[tuple[int, int]] = []
        self.inside = 0
        self.most_inside = 0
        self._seconds = seconds
        self._lock = threading.Lock()

    def __call__(self, x: Tensor) -> None:
        with self._lock:
            self.inside += 1
            self.most_inside = max(self.most_inside, self.inside)
            self.sizes.append((x.shape[2], x.shape[3]))
        time.sleep(self._seconds)
        with self._lock:
            self.inside -= 1


class FakeStore(WeightStore):
    """Builds the card's network and says it has weights; remembers what was loaded."""

    def __init__(self, missing: dict[str, str] | None = None) -> None:
        super().__init__()
        self.missing = missing or {}
        self.loads: list[str] = []

    def availability(self, card: ModelCard) -> Availability:
        reason = self.missing.get(card.name)
        return Availability(reason is None, reason or "")

    def load(self, card: ModelCard) -> tuple[nn.Module, str]:
        self.loads.append(card.name)
        return card.build(), "fake weights"


def make_card(build: Callable[[], nn.Module], *, name: str = "fake", **facts: Any) -> ModelCard:
    """A card with everything that is not under test filled in."""
    defaults: dict[str, Any] = {
        "family": name,
        "title": name.title(),
        "sentence": "A fake.",
        "task": "enlarge" if facts.get("scale", 1) > 1 else "enhance",
        "checkpoints": (Checkpoint(name="fake weights", filename=f"{name}.safetensors", licence="none"),),
        "provenance": PROVENANCE,
        "gigaflop_per_megapixel": 1.0,
        "tiling": Tiling.EXACT,
    }
    return ModelCard(name=name, build=build, **(defaults | facts))


def watched_card(watch: Callable[[Tensor], Tensor | None], **facts: Any) -> ModelCard:
    """A card whose network calls `watch`."""
    return make_card(lambda: Watched(watch), **facts)


def make_engine(*cards: ModelCard, **options: Any) -> Engine:
    """An engine on the CPU with a fake store and the smallest tiles, unless said otherwise."""
    settings: dict[str, Any] = {"device": "cpu", "store": FakeStore(), "call_seconds": TINY_CALLS, "backend": "torch"}
    return Engine(Registry(cards), **(settings | options))


def picture(
    height: int, width: int, *, dtype: str = "uint8", channels: int = 3, seed: int = 0, alpha: bool = False
) -> ImageDocument:
    """Random samples over the whole range of a depth."""
    draw = np.random.default_rng(seed)

    def samples(shape: tuple[int, ...]) -> Any:
        if dtype == "float32":
            return draw.random(shape, dtype=np.float32)
        return draw.integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)

    return ImageDocument(
        color=samples((height, width, channels)),
        alpha=samples((height, width)) if alpha else None,
        origin=Origin(format="PNG", bits={"uint8": 8, "uint16": 16, "float32": 32}[dtype], gray=channels == 1),
    )


def seeded(build: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    """The same random weights every time."""

    def built() -> nn.Module:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return build().eval()

    return built


class PageError(Exception):
    """Looks like the page framework's error: a message and a title."""

    def __init__(self, message: str, title: str = "Error") -> None:
        super().__init__(message)
        self.message, self.title = message, title


def refusing(error: Exception) -> Callable[[Compute], Compute]:
    """A scheduler that never gives a GPU."""

    def on_gpu(compute):
        def refused(job):
            raise error
            yield

        return refused

    return on_gpu


def scheduled_engine(card: ModelCard, on_gpu: Callable[[Compute], Compute], **options: Any) -> Engine:
    """An engine whose GPU stands behind a scheduler."""
    return make_engine(card, device="cuda", on_gpu=on_gpu, classify=classify_zerogpu, **options)
