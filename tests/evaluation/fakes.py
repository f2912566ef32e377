"""An engine that runs no network, for the tests of scores and of the command line."""

import dataclasses

import numpy as np

from restoration.architectures import edsr
from restoration.card import SizeRule
from restoration.evaluation import protocols
from restoration.images.limits import Limits
from restoration.inference.report import Progress, Report, Restoration, Size
from restoration.registry import Registry
from restoration.tasks import TASKS
from restoration.weights import Availability, WeightStore


def card_of(task, scale=1, **changes):
    family = TASKS[task].default_model
    name = f"{family}-x{scale}" if task == "enlarge" else family
    return dataclasses.replace(
        edsr.CARDS[0], name=name, family=family, task=task, scale=scale, **changes,
    )  # fmt: skip


CARDS = (
    card_of("deblur"),
    card_of("enhance"),
    *(card_of("enlarge", scale) for scale in (2, 3)),
    card_of("faces", size=SizeRule(fixed=64)),
)


class WillingStore(WeightStore):
    """Every model can be used."""

    def availability(self, card):
        return Availability(True)


class FakeEngine:
    """Changes every picture by `change` after resizing it to the card's scale; counts its calls."""

    def __init__(self, store=None, change=lambda picture: picture, offered=("deblur", "enhance", "enlarge", "faces")):
        self.models, self.store = Registry(CARDS), store or WillingStore()
        self.change, self.offered, self.calls = change, offered, []
        self.precisions = []
        self.limits = Limits(side=300)

    def available(self, task=None):
        return tuple(c for c in self.models.values() if task in (None, c.task) and c.task in self.offered)

    def restore(self, document, model, *, task, scale=None, strength=1.0, precision="auto", on_progress=None):
        self.calls.append((model, task, scale, strength))
        self.precisions.append(precision)
        card = self.models.find(model, task=task, scale=scale)
        enlarged = protocols.enlarge_bicubic(document.color[..., :3], card.scale) if card.scale > 1 else document.color
        color = self.change(enlarged)
        image = dataclasses.replace(document, color=color)
        report = Report(
            task=task, model=card.name, checkpoint="fake", device="cpu", precision="fp32", input=Size.of(document),
            output=Size.of(image), tiles=1,
        )  # fmt: skip
        return Restoration(image=image, report=report)

    def stream(self, document, card, *, strength=1.0, task=None, precision="auto", reuse=False):
        assert isinstance(reuse, bool)
        yield Progress(done=0, total=2, predicted_seconds=0.1)
        yield Progress(done=2, total=2)
        yield self.restore(document, card.name, task=task, scale=card.scale, strength=strength, precision=precision)

    def run_square(self, square, card, precision="auto"):
        assert square.dtype == np.float32
        assert square.min() >= 0
        assert square.max() <= 1
        self.calls.append((card.name, "square"))
        self.precisions.append(precision)
        return self.change(square)
