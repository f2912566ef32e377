"""What trainings gained by the CPU hour, as one picture.

python -m benchmarks.curves RUN [RUN ...] --out benchmarks/training.png

A RUN is a run folder of `python -m restoration train`. Every panel shows one: PSNR of the validation tiles less that of
their input, in dB, over the minutes of all its CPU threads together.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

from restoration.training.curves import Panel, Point, write_curves
from restoration.training.run_folder import RunFolder


def gain_panel(run: Path) -> Panel:
    """The panel of one run folder.

    Raises:
        ValueError: nothing was measured there, or it was not trained on a CPU.
    """
    environment = json.loads((run / "environment.json").read_text(encoding="utf-8"))
    if "gpu" in environment:
        raise ValueError(f"{run} was trained on a GPU: its minutes are not those of a CPU")
    threads = environment["threads"] * environment["processes"]
    points: list[Point] = [
        (row["seconds"] / 60 * threads, row["psnr"] - row["input_psnr"]) for row in RunFolder(run).rows()
    ]
    points = [point for point in points if all(map(math.isfinite, point))]
    if not points:
        raise ValueError(f"{run} holds no measured validation")
    recipe = json.loads((run / "recipe.json").read_text(encoding="utf-8"))["name"]
    return Panel(f"{recipe}: dB gained, by CPU minutes", [("", points)])


def main() -> None:
    """Reads the run folders and writes the picture."""
    parser = argparse.ArgumentParser(description="Draws what trainings gained by the CPU hour.")
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="a run folder")
    parser.add_argument("--out", type=Path, required=True, metavar="PNG", help="the picture")
    args = parser.parse_args()
    print(write_curves([gain_panel(run) for run in args.runs], args.out))


if __name__ == "__main__":
    main()
