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
from torch import _int_mm  # pyright: ignore[reportPrivateImportUsage]
from torch.nn import functional as F

from restoration.inference.device import cpu_has_bf16

LONG_SECONDS, LONG_ALONE_SECONDS = 20.0, 4.0  # a call that lasts longer is measured once
_LEAST_ROUNDS, _MOST_ROUNDS, _ROUNDS_SECONDS = 2, 7, 15.0
_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def interleaved(calls: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """The median seconds of each call; they take turns, so that a ratio compares neighbours in time.

    Every call is made once before, uncounted, unless that lasts longer than `LONG_SECONDS` (or `LONG_ALONE_SECONDS`,
    where there is no ratio): then it is what counts.
    """
    first = {name: seconds_of(call) for name, call in calls.items()}
    longest = LONG_SECONDS if len(calls) > 1 else LONG_ALONE_SECONDS
    short = {name: call for name, call in calls.items() if first[name] <= longest}
    total = sum(first[name] for name in short)
    rounds = int(min(_MOST_ROUNDS, max(_LEAST_ROUNDS, _ROUNDS_SECONDS // max(total, 1e-9))))
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
    """Gigaflop (gigaoperations) a second of this machine by precision: "fp32", and what the CPU has of "bf16", "int8".

    The better of a square matrix product and, but for int8, a 3x3 convolution whose maps fit the cache, both by torch.
    """
    able = ["fp32", *(["bf16"] if cpu_has_bf16() else []), *(["int8"] if _cpu_has_int8() else [])]
    return {precision: _fastest(_products(precision, side, channels), rounds) for precision in able}


class Ceiling:
    """The roofline of one precision, measured anew at every call: what runs in turn with it met the same clock.

    A machine's clock moves by a tenth within minutes; a share of what was measured long before says little.
    """

    def __init__(self, precision: str, side: int = 256, channels: int = 64, rounds: int = 3) -> None:
        self._products, self._rounds = _products(precision, side, channels), rounds
        self._speeds: list[float] = []

    def __call__(self) -> None:
        """Measures."""
        self._speeds.append(_fastest(self._products, self._rounds))

    @property
    def speed(self) -> float:
        """Gigaflop a second: the median of all measurements, each of which is the best of its rounds."""
        return statistics.median(self._speeds)


def _products(precision: str, side: int, channels: int) -> dict[float, Callable[[], object]]:
    """Calls by what they compute, in flop."""
    if precision == "int8":
        whole = torch.randint(-128, 127, (8 * side, 8 * side), dtype=torch.int8)
        return {2.0 * whole.shape[0] ** 3: lambda: _int_mm(whole, whole)}
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    square = torch.rand(8 * side, 8 * side).to(dtype)
    maps = torch.rand(1, channels, side, side).to(dtype).contiguous(memory_format=torch.channels_last)
    weight = torch.rand(channels, channels, 3, 3).to(dtype).contiguous(memory_format=torch.channels_last)
    return {
        2.0 * square.shape[0] ** 3: lambda: square @ square,
        18.0 * side**2 * channels**2: lambda: F.conv2d(maps, weight, padding=1),
    }


def _fastest(products: Mapping[float, Callable[[], object]], rounds: int) -> float:
    """Gigaflop a second: the ceiling, not what is usual."""
    speed = 0.0
    with torch.inference_mode():
        for flop, call in products.items():
            call()
            speed = max(speed, flop / min(seconds_of(call) for _ in range(rounds)) / 1e9)
    return speed


def _cpu_has_int8() -> bool:
    abilities = torch.cpu.get_capabilities()
    return bool(abilities.get("avx512_vnni") or abilities.get("amx_int8"))


def peak_memory(call: Callable[[], object]) -> float | None:
    """The megabytes by which a call's greatest resident memory exceeds what was resident before; None off Linux.

    The peak is of the whole process: call this in a process of its own, where nothing larger ran before.
    """
    _trim()
    try:
        _CLEAR.write_text("5")
        before = resident_megabytes("VmRSS")
        call()
        return max(0.0, resident_megabytes("VmHWM") - before)
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


def resident_megabytes(field: str) -> float:
    """A field of this process's status ("VmRSS", "VmHWM"); only Linux has one."""
    return next(float(line.split()[1]) / 1024 for line in _STATUS.read_text().splitlines() if line.startswith(field))
