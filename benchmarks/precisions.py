"""Seconds for one 1280 x 720 picture in each precision, on the CPU and on the GPU where there is one.

The format is that of DeepDeblur's published table (0.943 s in fp32 and 0.330 s in fp16 on an RTX 2080 Ti). A precision
stands only where the card's weights were verified in it and the device has its arithmetic.
"""

from __future__ import annotations

import datetime
import platform
import statistics
from collections.abc import Callable, Sequence
from typing import Any

import torch

from benchmarks.goals import HD
from benchmarks.plan import sizes_of
from benchmarks.races import Racer
from benchmarks.timing import seconds_of
from restoration.card import ModelCard
from restoration.inference.fast import PRECISIONS
from restoration.training.run_folder import environment

_ROUNDS = 3


def devices() -> list[str]:
    """What is at hand."""
    return ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


def measure(cards: Sequence[ModelCard], *, backend: str = "auto", say: Callable[[str], None] = print) -> dict[str, Any]:
    """The seconds of cards from uint8 picture to uint8 picture, the median of three after one.

    Returns: JSON values; `rows` holds one object a card, device and precision that was really used.
    """
    rows = [row for device in devices() for card in cards for row in _of_card(card, device, backend, say)]
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "devices": {device: _name(device) for device in devices()},
        "threads": torch.get_num_threads(),
        "versions": {"torch": torch.__version__, "python": platform.python_version()},
        "rows": rows,
    }


def _of_card(card: ModelCard, device: str, backend: str, say: Callable[[str], None]) -> list[dict[str, Any]]:
    rows: dict[str, dict[str, Any]] = {}
    (size,) = sizes_of(card, [HD])
    racer = Racer(card, device=device, backend=backend)
    racer.engine.warm([card])
    for wish in PRECISIONS:
        call = racer.ours(size, precision=wish)
        call()
        seconds = statistics.median(seconds_of(call) for _ in range(_ROUNDS))
        report = racer.report
        assert report is not None
        if report.device == device and report.precision not in rows:  # else it fell back, or there is no such wish
            rows[report.precision] = {
                "model": card.name, "weights": report.checkpoint, "width": size[1], "height": size[0],
                "device": device, "precision": report.precision, "backend": report.backend, "seconds": seconds,
            }  # fmt: skip
            say(f"{card.name:24} {device:5} {report.precision:5} {report.backend:9} {seconds:8.3f} s")
    return list(rows.values())


def table(result: dict[str, Any]) -> str:
    """Markdown: a row for each model and device, a column for each precision."""
    rows = result["rows"]
    precisions = list(dict.fromkeys(["fp32", *(row["precision"] for row in rows)]))
    head = ["seconds a picture", "device", "size", *precisions]
    lines = [f"| {' | '.join(head)} |", f"|---|---|---|{'---:|' * len(precisions)}"]
    for model, device in dict.fromkeys((row["model"], row["device"]) for row in rows):
        own = {row["precision"]: row for row in rows if (row["model"], row["device"]) == (model, device)}
        first = next(iter(own.values()))
        cells = [f"{own[name]['seconds']:.3g} ({own[name]['backend']})" if name in own else "" for name in precisions]
        size = f"{first['width']} x {first['height']}"
        lines.append(f"| {' | '.join([f'`{model}`', result['devices'][device], size, *cells])} |")
    return "\n".join(lines)


def _name(device: str) -> str:
    if device == "cuda":
        return torch.cuda.get_device_name()
    return f"{environment(torch.device('cpu'), 1)['processor']}, {torch.get_num_threads()} threads"
