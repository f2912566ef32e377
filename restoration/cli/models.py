"""`models`: what there is to choose from, and how much each model was measured to gain."""

from __future__ import annotations

import argparse
import json
from typing import Any

from restoration.cli.engines import EngineMaker


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command to the parser."""
    parser = commands.add_parser(
        "models", help="list the models", description="Lists the models: which can be used, and what they gain."
    )
    parser.add_argument("--json", action="store_true", help="print a JSON list")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace, make_engine: EngineMaker) -> int:
    """Prints a line or a JSON object per model card."""
    rows = rows_of_models()
    if args.json:
        print(json.dumps(rows, indent=2, ensure_ascii=False))
        return 0
    width = max(len(row["name"]) for row in rows)
    for row in rows:
        state = f"x{row['scale']}  {_gain(row)}" if row["available"] else f"not available: {row['reason']}"
        print(f"{row['name']:{width}}  {row['task']:8}  {state}")
    return 0


def rows_of_models() -> list[dict[str, Any]]:
    """A row per card: name, family, title, sentence, task, scale, available, reason, parameters, set, gain_db, fast.

    The three before the last are None where weights were not measured; the last is None where there is no fast
    precision, else its "loss_db" (PSNR, against the usual one) and "speedup".
    """
    from restoration.inference.fast import fast_facts
    from restoration.registry import MODELS
    from restoration.weights import WeightStore

    store, rows = WeightStore(), []
    for card in MODELS.values():
        state, certificate = store.availability(card), store.certificate(card) or {}
        fast = fast_facts(card, store)
        first = (certificate.get("scores") or [None])[0]
        rows.append({
            "name": card.name,
            "family": card.family,
            "title": card.title,
            "sentence": card.sentence,
            "task": card.task,
            "scale": card.scale,
            "available": state.available,
            "reason": state.reason,
            "parameters": certificate.get("parameters"),
            "set": first["set"] if first else None,
            "gain_db": round(first["psnr"] - first["baseline_psnr"], 2) if first else None,
            "fast": {key: fast[key] for key in ("loss_db", "speedup")} if fast else None,
        })  # fmt: skip
    return rows


def _gain(row: dict[str, Any]) -> str:
    fast = row["fast"]
    hurry = f", fast: {-fast['loss_db']:+.3f} dB, {fast['speedup']:.2f}x" if fast else ""
    return f"{row['gain_db']:+.2f} dB on {row['set']}, {row['parameters'] / 1e6:.2f} M parameters{hurry}"
