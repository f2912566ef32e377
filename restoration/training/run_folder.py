"""The folder of one training: checkpoint, metrics, curves, sheets, and what was trained how and on what.

    last.pt                  the checkpoint that --resume goes on from
    previous.pt, ...         checkpoint, metrics and sheets of a training that a new one in the same folder replaced
    <model>.safetensors      the averaged weights, fp16
    run.json                 the facts of the training, which the birth certificate is made from
    recipe.json              the recipe, field by field
    environment.json         Python, libraries, processor, commit; nothing that names a person or a machine
    metrics.csv, curves.png  one row an evaluation, and the same drawn
    sheets/<step>.jpg        input | output | truth on validation tiles

Knows nothing of networks.
"""

from __future__ import annotations

import csv
import dataclasses
import functools
import importlib.metadata
import json
import math
import os
import platform
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from restoration.training.curves import Panel, Point, write_curves

COLUMNS = (
    "step", "seconds", "loss", "critic_loss", "psnr", "ssim", "learning_rate", "input_psnr", "input_ssim",
    "data_seconds", "step_seconds",
)  # fmt: skip
_LIBRARIES = ("torch", "timm", "numpy", "pillow", "safetensors", "torchvision", "fastai", "accelerate")


class RunFolder:
    """One run folder; made when it is not there."""

    def __init__(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self.path, self.name = path, path.name
        self.checkpoint, self.metrics = path / "last.pt", path / "metrics.csv"

    def begin(self, *, resume_at: int | None) -> bool:
        """Makes room for a new training, or takes back the rows behind the checkpoint that is resumed from.

        Args:
            resume_at: the checkpoint's step; None = a new training.

        Returns: whether an earlier training was put aside.
        """
        if resume_at is not None:
            self._write_rows([row for row in self.rows() if row["step"] <= resume_at])
            return False
        aside = self.checkpoint.is_file()
        for old in (self.checkpoint, self.metrics):
            if old.is_file():
                os.replace(old, old.with_name(f"previous{old.suffix}"))
        sheets, earlier = self.path / "sheets", self.path / "previous_sheets"
        if sheets.is_dir():
            shutil.rmtree(earlier, ignore_errors=True)
            os.rename(sheets, earlier)
        return aside

    def rows(self) -> list[dict[str, float]]:
        """The rows of metrics.csv; cells that are missing or empty are NaN."""
        if not self.metrics.is_file():
            return []
        with self.metrics.open(newline="", encoding="utf-8") as file:
            return [{key: float(row.get(key) or "nan") for key in COLUMNS} for row in csv.DictReader(file)]

    def add_row(self, row: Mapping[str, float | None]) -> None:
        """Adds one evaluation to metrics.csv and draws the curves anew."""
        rows = [*self.rows(), {key: float("nan") if row.get(key) is None else float(row[key]) for key in COLUMNS}]  # type: ignore[arg-type]
        self._write_rows(rows)
        write_curves(_panels(rows), self.path / "curves.png")

    def sheet(self, step: int) -> Path:
        """Where the contact sheet of that step lies."""
        return self.path / "sheets" / f"{step:07}.jpg"

    def write_json(self, name: str, content: Any) -> None:
        """Writes one of the folder's JSON files."""
        (self.path / name).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

    def _write_rows(self, rows: list[dict[str, float]]) -> None:
        part = self.metrics.with_suffix(".part")
        with part.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            writer.writerows([_cell(key, row[key]) for key in COLUMNS] for row in rows)
        os.replace(part, self.metrics)


def _cell(column: str, value: float) -> str:
    if math.isnan(value):  # not measured
        return ""
    return str(int(value)) if column == "step" else f"{value:.6g}"


def _panels(rows: list[dict[str, float]]) -> list[Panel]:
    def line(name: str, column: str) -> tuple[str, list[Point]]:
        return name, [(row["step"], row[column]) for row in rows]

    return [
        Panel("Training loss", [line("", "loss")], logarithmic=True),
        Panel("PSNR in dB, validation tiles", [line("output", "psnr"), line("input", "input_psnr")]),
        Panel("SSIM, validation tiles", [line("output", "ssim"), line("input", "input_ssim")]),
        Panel("Learning rate", [line("", "learning_rate")]),
    ]


def describe(value: Any) -> Any:
    """A recipe, or any part of one, as JSON: functions by name, with the arguments they are bound to."""
    if isinstance(value, functools.partial):
        return {"function": describe(value.func), "arguments": describe([*value.args]), **describe(value.keywords)}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: describe(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): describe(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [describe(item) for item in value]
    return (
        value
        if value is None or isinstance(value, bool | int | float | str)
        else getattr(value, "__qualname__", type(value).__qualname__)
    )


def environment(device: torch.device, processes: int) -> dict[str, Any]:
    """What the training ran on."""
    facts: dict[str, Any] = {"python": platform.python_version(), "system": platform.system()}
    for library in _LIBRARIES:
        try:
            facts[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            continue
    facts |= {"processor": _processor(), "threads": torch.get_num_threads(), "processes": processes}
    if device.type == "cuda":
        facts |= {"gpu": torch.cuda.get_device_name(device), "cuda": torch.version.cuda}
    return facts | _commit()


def _processor() -> str:
    listing = Path("/proc/cpuinfo")
    if listing.is_file():
        for line in listing.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _commit() -> dict[str, Any]:
    """The code's commit and whether it was changed since; nothing where this is not a git checkout."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return {}
    try:
        done = subprocess.run(
            ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12", "--exclude", "*"],
            capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return {}
    commit, _, dirty = done.stdout.strip().partition("-")
    return {"commit": commit, "changed": bool(dirty)}
