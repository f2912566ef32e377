"""The Markdown table of a benchmark result."""

from __future__ import annotations

from typing import Any

OBSERVED = (
    "† from picture to picture, with measuring the picture's blur first, which the share of the roofline does not "
    "count as work; no reference implementation measures blur."
)
NOT_YET = "Not measured yet: `make bench` does it."


def speed_table(result: dict[str, Any] | None) -> str:
    """A row for each model and size: seconds, share of the roofline, peak memory, how much faster than each peer."""
    if result is None:
        return NOT_YET
    peers = list(dict.fromkeys(name for row in result["rows"] for name in row["peers"]))
    head = ["model", "size", "seconds", "of roofline", "memory added", *(f"against {name}" for name in peers)]
    lines = [f"| {' | '.join(head)} |", f"|---|---|{'---:|' * (len(head) - 2)}"]
    lines += [f"| {' | '.join(_cells(row, peers))} |" for row in result["rows"]]
    roof = ", ".join(f"{speed:.0f} {precision}" for precision, speed in result["roofline_gigaflop_per_second"].items())
    machine = f"{result['processor']}, {result['threads']} threads"
    lines += ["", f"Measured {result['date']} on {machine}; its roofline in GF/s: {roof}."]
    observing = [row for row in result["rows"] if row.get("observe_seconds")]
    if observing:
        lines[-1] += f" {OBSERVED}"
    return "\n".join(lines)


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
