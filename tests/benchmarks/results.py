"""Made-up results of the benchmark."""

ROOF = {"fp32": 100.0, "bf16": 200.0}


def row(model="a", *, ratio=4.0, memory=100.0, width=256, height=128, peer="eager", share=0.8) -> dict:
    """A row; without peers where the ratio is 0."""
    return {
        "model": model, "weights": "restoration", "width": width, "height": height, "backend": "openvino",
        "precision": "bf16", "tiles": 1, "seconds": 0.5, "observe_seconds": None, "gigaflop": 10.0,
        "gigaflop_per_second": 20.0, "roofline_share": share, "peak_megabytes": memory, "skipped": [], "notes": {},
        "peers": {peer: {"seconds": 2.0, "ratio": ratio, "peak_megabytes": 400.0}} if ratio else {},
    }  # fmt: skip


def result(*rows: dict, date="2026-01-02", left_out=(), **trials: dict) -> dict:
    """The result of a full run, unless something was left out; a trial's underscores stand for hyphens."""
    roof = {"fp32": 200.0, "bf16": 400.0}
    return {
        "date": date, "processor": "A", "threads": 2, "versions": {}, "roofline_gigaflop_per_second": roof,
        "differences_from_peers": {}, "rows": list(rows), "left_out": list(left_out), "seconds": 1.0,
        "trials": {name.replace("_", "-"): found for name, found in trials.items()},
    }  # fmt: skip
