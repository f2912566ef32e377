"""What is measured beside the races, by name. Each trial gives a JSON object; one that fails says why in `failed`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from benchmarks import page
from benchmarks.goals import HD, TWELVE
from benchmarks.large_file import TASKS, large_file
from benchmarks.races import OURS, Racer
from benchmarks.subjects import int8_store, picture, published_card
from benchmarks.timing import interleaved
from restoration.card import Tiling
from restoration.images.document import ImageDocument
from restoration.inference.engine import finish
from restoration.inference.fast import INT8

Trial = Callable[[str], dict[str, Any]]
"""The backend that was asked for -> what was measured."""


class TrialFailed(Exception):
    """What was to be measured did not happen; the message says why, without a full stop."""


def torch_path(backend: str) -> dict[str, Any]:
    """DeblurGAN-v2 at 1280 x 720 by torch, whatever backend was asked for, against predict.py's way."""
    racer = Racer(published_card(), backend="torch", peers=["predict.py"])
    racer.engine.warm([racer.card])
    seconds = interleaved(racer.calls(HD))
    return {"seconds": seconds[OURS], "ratio": seconds["predict.py"] / seconds[OURS]}


def tiled(backend: str) -> dict[str, Any]:
    """DeblurGAN-v2 at 4000 x 3000 in tiles against the whole picture at once: how much longer the tiles take."""
    card = published_card()
    racers = {
        "tiled": Racer(card, backend=backend),
        "whole": Racer(replace(card, tiling=Tiling.SEAMS), backend=backend),
    }
    for racer in racers.values():
        racer.engine.warm([racer.card])
    seconds = interleaved({name: racer.ours(TWELVE) for name, racer in racers.items()})
    reports = {name: racer.report for name, racer in racers.items()}
    found = {name: (report.backend, report.precision, report.tiles) for name, report in reports.items() if report}
    if found["tiled"][:2] != found["whole"][:2] or found["whole"][2] != 1 or found["tiled"][2] == 1:
        raise TrialFailed(f"tiled and whole ran as {found['tiled']} and {found['whole']}")
    return {"seconds": seconds["tiled"], "tiles": found["tiled"][2], "ratio": seconds["tiled"] / seconds["whole"]}


def int8(backend: str) -> dict[str, Any]:
    """DeblurGAN-v2 at 1280 x 720 in int8, calibrated here with its random weights, against predict.py's way.

    It is held to int8's tolerance against the network in fp32, as any int8 graph is when it is loaded. `psnr` is that
    of its result against the usual precision's, in dB: random weights, here with a smaller residual than elsewhere,
    say nothing about photographs.
    """
    card = published_card()
    with int8_store(card) as store:
        racer = Racer(card, backend=backend, peers=["predict.py"], store=store)
        racer.engine.warm([card])
        calls = racer.calls(HD) | {OURS: racer.ours(HD, precision="fast")}
        seconds = interleaved(calls)
        report = racer.report
        if report is None or report.precision != INT8:
            raise TrialFailed(
                " ".join(("the int8 graph was not used", *(report.warnings if report else ()))).rstrip(".")
            )
        document = ImageDocument(color=picture(*HD))
        usual, fast = (
            finish(racer.engine.stream(document, card, precision=wish)).image.color.astype(float)
            for wish in ("auto", "fast")
        )
    psnr = 10 * math.log10(255**2 / max(float(((usual - fast) ** 2).mean()), 1e-9))
    return {"seconds": seconds[OURS], "ratio": seconds["predict.py"] / seconds[OURS], "psnr": psnr}


TRIALS: Mapping[str, Trial] = {
    "torch-path": torch_path,
    "int8": int8,
    "light-page": page.light_page,
    "tiled": tiled,
    **{f"100mp-{task}": partial(large_file, task) for task in TASKS},
    "page": page.round_trip,
}


def run(names: Iterable[str], *, backend: str, say: Callable[[str], None]) -> dict[str, dict[str, Any]]:
    """Runs trials one after another; a failure ends its own trial only, and is told."""
    found: dict[str, dict[str, Any]] = {}
    for name in names:
        try:
            found[name] = TRIALS[name](backend)
        except Exception as error:
            found[name] = {"failed": f"{type(error).__name__}: {error}".rstrip(".")}
        say(f"{name:24} " + ", ".join(f"{key} {_short(value)}" for key, value in found[name].items()))
    return found


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
