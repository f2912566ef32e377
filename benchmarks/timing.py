"""Seconds, memory, and what the machine could do at most."""

from __future__ import annotations

import ctypes
import gc
import statistics
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import torch
from torch.nn import functional as F

from restoration.inference.device import cpu_has_bf16

LONG_SECONDS = 20.0  # a call that lasts longer is measured once
_MOST_ROUNDS, _ROUNDS_SECONDS = 7, 30.0
_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def interleaved(calls: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """The median seconds of each call; they take turns, so that a ratio compares neighbours in time.

    Every call is made once before, uncounted, unless that lasts longer than `LONG_SECONDS`: then it is what counts.
    """
    first = {name: seconds_of(call) for name, call in calls.items()}
    short = {name: call for name, call in calls.items() if first[name] <= LONG_SECONDS}
    total = sum(first[name] for name in short)
    rounds = int(min(_MOST_ROUNDS, max(3, _ROUNDS_SECONDS // max(total, 1e-9))))
    seen: dict[str, list[float]] = {name: [] for name in short}
    for _ in range(rounds if short else 0):
        for name, call in short.items():
            seen[name].append(seconds_of(call))
    return {name: statistics.median(seen[name]) if name in seen else first[name] for name in calls}


def seconds_of(call: Callable[[], object]) -> float:
    """Wall time of one call."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def roofline(side: int = 256, channels: int = 64, rounds: int = 5) -> dict[str, float]:
    """Gigaflop a second of this machine by precision ("fp32", and "bf16" where the CPU has it).

    The better of a square matrix product and a 3x3 convolution whose maps fit the cache, both by torch.
    """
    types = {"fp32": torch.float32} | ({"bf16": torch.bfloat16} if cpu_has_bf16() else {})
    speeds: dict[str, float] = {}
    for name, dtype in types.items():
        square = torch.rand(8 * side, 8 * side).to(dtype)
        maps = torch.rand(1, channels, side, side).to(dtype).contiguous(memory_format=torch.channels_last)
        weight = torch.rand(channels, channels, 3, 3).to(dtype).contiguous(memory_format=torch.channels_last)
        products = {
            2.0 * square.shape[0] ** 3: lambda square=square: square @ square,
            18.0 * side**2 * channels**2: lambda maps=maps, weight=weight: F.conv2d(maps, weight, padding=1),
        }
        with torch.inference_mode():
            for flop, call in products.items():
                call()
                seconds = min(seconds_of(call) for _ in range(rounds))  # the ceiling, not what is usual
                speeds[name] = max(speeds.get(name, 0.0), flop / seconds / 1e9)
    return speeds


def peak_memory(call: Callable[[], object]) -> float | None:
    """The megabytes by which a call's greatest resident memory exceeds what was resident before; None off Linux.

    The peak is of the whole process: call this in a process of its own, where nothing larger ran before.
    """
    _trim()
    try:
        _CLEAR.write_text("5")
        before = _resident("VmRSS")
        call()
        return max(0.0, _resident("VmHWM") - before)
    except OSError:
        return None


def available_megabytes() -> float:
    """What this machine could still give; infinite where it does not say."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return float("inf")
    return next((float(line.split()[1]) / 1024 for line in lines if line.startswith("MemAvailable")), float("inf"))


def _trim() -> None:
    """Gives freed memory back to the system, where the C library can: kept, it would hide what a call takes."""
    gc.collect()
    with suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def _resident(field: str) -> float:
    return next(float(line.split()[1]) / 1024 for line in _STATUS.read_text().splitlines() if line.startswith(field))
