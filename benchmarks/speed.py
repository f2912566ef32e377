"""How long each offered model takes for one photograph on this machine: `python -m benchmarks.speed [FOLDER]`.

Writes `FOLDER/speed-DATE.json` (FOLDER defaults to `benchmarks/results`). The first run of a model, which loads the
weights, is not counted.
"""

from __future__ import annotations

import datetime
import json
import platform
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import torch

from restoration import Engine, restore
from restoration.card import ModelCard

PICTURE = Path(__file__).resolve().parent.parent / "examples" / "astronaut-worn.jpg"
RESULTS = Path(__file__).resolve().parent / "results"
_RUNS = 3


def measure(engine: Engine, card: ModelCard) -> dict[str, Any]:
    """The median wall seconds of a whole restoration with this card, and the input megapixels per second."""
    seconds = []
    result = restore(PICTURE, task=card.task, model=card.name, engine=engine)
    for _ in range(_RUNS):
        start = time.perf_counter()
        result = restore(PICTURE, task=card.task, model=card.name, engine=engine)
        seconds.append(time.perf_counter() - start)
    median = statistics.median(seconds)
    megapixels = result.report.input.width * result.report.input.height / 1e6
    return {
        "model": card.name,
        "task": card.task,
        "seconds": round(median, 3),
        "megapixels_per_second": round(megapixels / median, 3),
        "tiles": result.report.tiles,
    }


def main(folder: Path) -> Path:
    """Measures and prints every available model, writes the results and returns the path of the JSON file."""
    engine = Engine(device="cpu")
    rows = []
    for card in engine.available():
        rows.append(measure(engine, card))
        print(f"{card.name:28} {rows[-1]['seconds']:8.2f} s  {rows[-1]['megapixels_per_second']:8.3f} MP/s", flush=True)
    date = datetime.datetime.now(datetime.UTC).date().isoformat()
    facts = {
        "date": date,
        "picture": PICTURE.name,
        "processor": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "runs": _RUNS,
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"speed-{date}.json"
    path.write_text(json.dumps({**facts, "models": rows}, indent=2) + "\n", encoding="utf-8")
    return path


if __name__ == "__main__":
    print(main(Path(sys.argv[1]) if len(sys.argv) > 1 else RESULTS))
