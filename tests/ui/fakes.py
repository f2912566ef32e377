"""An engine of small fake networks behind the real registry, tiling and pipelines: fast, and needs no weights."""

import time
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from restoration.architectures import edsr
from restoration.card import Checkpoint, ModelCard, Provenance, SizeRule, Tiling
from restoration.images.limits import Limits
from restoration.inference.engine import Engine
from restoration.registry import Registry
from restoration.weights import Availability, WeightStore

PAPER = Provenance(paper="none", authors="none", year=2026, url="", code_url="", code_licence="none")


class Sharpen(nn.Module):
    """x + gain * (x - mean of its 3 x 3 neighbours), after nearest-neighbour enlarging."""

    def __init__(self, scale: int, gain: float) -> None:
        super().__init__()
        self.scale, self.gain = scale, gain
        self.still = nn.Parameter(torch.zeros(1), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.interpolate(x, scale_factor=self.scale, mode="nearest") if self.scale > 1 else x
        mean = functional.avg_pool2d(functional.pad(x, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
        return x + self.gain * (x - mean)


class Slow(Sharpen):
    """The same, one fiftieth of a second later."""

    def forward(self, x: Tensor) -> Tensor:
        time.sleep(0.02)
        return super().forward(x)


class Broken(Sharpen):
    """A bug."""

    def forward(self, x: Tensor) -> Tensor:
        raise KeyError("secret detail")


def card(name: str, family: str, task: str, *, scale: int = 1, gain: float = 1.0, **facts: object) -> ModelCard:
    values = {
        "name": name,
        "family": family,
        "title": f"Fake {family}",
        "sentence": f"Sharpens by {gain:g}.",
        "task": task,
        "build": lambda: Sharpen(scale, gain),
        "checkpoints": (Checkpoint(name="fake", filename=f"{name}.safetensors", licence="CC0-1.0"),),
        "provenance": PAPER,
        "scale": scale,
        "receptive_margin": 1,
        "margin": 2,
        "gigaflop_per_megapixel": 0.1,
    }
    return ModelCard(**(values | facts))  # type: ignore[arg-type]


REAL = {each.name: each for each in edsr.CARDS}
CARDS = Registry(
    [
        card("blind-wiener-unet", "blind-wiener-unet", "deblur"),
        card("deblur-strong", "deblur-strong", "deblur", gain=3.0),
        card("deblur-broken", "deblur-broken", "deblur", build=lambda: Broken(1, 1.0)),
        card("deblur-absent", "deblur-absent", "deblur"),
        card("residual-unet-enhance", "residual-unet-enhance", "enhance"),
        card("edsr-baseline-x2", "edsr-baseline", "enlarge", scale=2),
        card("edsr-baseline-x3", "edsr-baseline", "enlarge", scale=3),
        card("edsr-baseline-x4", "edsr-baseline", "enlarge", scale=4),
        replace(REAL["edsr-baseline-x2"], name="heavy-x2", family="heavy", title="Heavy", sentence="Takes its time."),
        card(
            "residual-unet-faces",
            "residual-unet-faces",
            "faces",
            size=SizeRule(multiple_of=256, minimum=256, fixed=256),
            tiling=Tiling.NEVER,
            build=lambda: Slow(1, 1.0),
        ),
    ]
)


class FakeStore(WeightStore):
    """Random or no weights for every card; all but one are available."""

    def availability(self, card: ModelCard) -> Availability:
        return Availability(
            card.name != "deblur-absent", "It was left out on purpose." * (card.name == "deblur-absent")
        )

    def certificate(self, card: ModelCard) -> dict[str, object]:
        score = {"set": "Set5", "psnr": 37.6, "baseline_psnr": 33.7}
        return {"scores": [score], "licence": "CC0-1.0", "sha256": ""}

    def load(self, card: ModelCard) -> tuple[nn.Module, str]:
        torch.manual_seed(0)
        return card.build().eval(), "fake"


SMALL = Limits(megabytes=3, megapixels=4)  # so that tests can break them


def fake_engine(limits: Limits = SMALL) -> Engine:
    """Short calls, so that jobs have many tiles."""
    return Engine(CARDS, FakeStore(), device="cpu", limits=limits, call_seconds=0.15, backend="torch")
