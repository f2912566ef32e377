"""The Markdown tables of a benchmark result: models, and what was to be reached."""

from __future__ import annotations

from typing import Any

from benchmarks.goals import GOALS, Goal, measured

OBSERVED = (
    "† from picture to picture, with measuring the picture's blur first, which the share of the roofline does not "
    "count as work; no reference implementation measures blur."
)
RANDOM = "* with random weights: there are none that may be bundled."
NOT_YET = "Not measured yet: `make bench` does it."
UNTOLD = "This result is older than the list of what a full run measures: `make bench` measures anew."


def speed_table(result: dict[str, Any] | None) -> str:
    """A row for each model and size: seconds, share of the roofline, peak memory, how much faster than each peer.

    Then a row for each goal. A result that is not of a full run says so, and what it lacks, before anything else.
    """
    if result is None:
        return NOT_YET
    peers = list(dict.fromkeys(name for row in result["rows"] for name in row["peers"]))
    head = ["model", "size", "seconds", "of roofline", "memory added", *(f"against {name}" for name in peers)]
    lines = [*_partial(result), f"| {' | '.join(head)} |", f"|---|---|{'---:|' * (len(head) - 2)}"]
    lines += [f"| {' | '.join(_cells(row, peers))} |" for row in result["rows"]]
    roof = ", ".join(f"{speed:.0f} {precision}" for precision, speed in result["roofline_gigaflop_per_second"].items())
    machine = f"{result['processor']}, {result['threads']} threads"
    lines += ["", f"Measured {result['date']} on {machine}; its roofline in GF/s: {roof}."]
    if any(row.get("observe_seconds") for row in result["rows"]):
        lines[-1] += f" {OBSERVED}"
    if any(row["weights"].startswith("random") for row in result["rows"]):
        lines[-1] += f" {RANDOM}"
    return "\n".join([*lines, *_goals(result)])


def _partial(result: dict[str, Any]) -> list[str]:
    if "left_out" not in result:
        return [f"**Partial.** {UNTOLD}", ""]
    if not result["left_out"]:
        return []
    return [f"**Partial.** Not measured: {'; '.join(result['left_out'])}.", ""]


def _goals(result: dict[str, Any]) -> list[str]:
    """Nothing for a result without trials: it is older than the goals, or was not to measure them."""
    if not result.get("trials"):
        return []
    rows = [f"| {goal.work} | {_bound(goal)} | {_reached(goal, result)} |" for goal in GOALS]
    return ["", "| work | to reach | measured |", "|---|---:|---:|", *rows]


def _bound(goal: Goal) -> str:
    return f"{'at least' if goal.at_least else 'at most'} {_value(goal, goal.bound)}"


def _reached(goal: Goal, result: dict[str, Any]) -> str:
    value = measured(goal, result)
    if value is None:
        return "not measured"
    return f"{_value(goal, value)}{'' if goal.reached(value) else ' (missed)'}"


def _value(goal: Goal, value: float) -> str:
    if goal.value == "ratio":
        return f"{value:.2f}x"
    if goal.value == "roofline_share":
        return f"{value:.0%}"
    return f"{value:.0f} MB" if goal.value == "peak_megabytes" else f"{value:.2f} s"


def _cells(row: dict[str, Any], peers: list[str]) -> list[str]:
    memory = row["peak_megabytes"]
    weights = " *" if row["weights"].startswith("random") else ""
    seconds = f"{row['seconds']:.3g}" + (" †" if row.get("observe_seconds") else "")
    return [
        f"`{row['model']}`{weights}",
        f"{row['width']} x {row['height']}",
        f"{seconds} ({row['backend']}, {row['precision']})",
        f"{row['roofline_share']:.0%}",
        "" if memory is None else f"{memory:.0f} MB",
        *(f"{row['peers'][name]['ratio']:.1f}x" if name in row["peers"] else "" for name in peers),
    ]
