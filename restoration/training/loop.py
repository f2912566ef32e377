"""The training loop: one recipe, one folder of pictures, any amount of time.

Runs unchanged on CPU and CUDA: bf16 autocast, channels-last, EMA, gradient clipping, checkpoints, resume.
"""

from __future__ import annotations

import csv
import json
import math
import os
import platform
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from restoration.architectures.deblurgan_v2 import settle
from restoration.card import ModelCard
from restoration.errors import DataError, OptionError
from restoration.registry import MODELS
from restoration.training.data import Pairs, Pictures, batches, load_pictures
from restoration.training.recipes import Recipe, warm_tail
from restoration.weights import WeightStore

_SAVE_SECONDS = 120.0
_VALIDATION_PAIRS = 32


@dataclass
class Run:
    """Everything a checkpoint must hold to go on as if nothing had happened."""

    network: nn.Module
    average: dict[str, Tensor]
    optimiser: torch.optim.Optimizer
    step: int = 0
    seconds: float = 0.0


def train(
    recipe: Recipe,
    data: Path,
    out: Path,
    *,
    store: WeightStore,
    minutes: float | None = None,
    steps: int | None = None,
    resume: bool = False,
    device: str = "auto",
    seed: int = 0,
    workers: int = 1,
) -> Path:
    """Trains for `minutes` or `steps` in all (earlier parts of a resumed run count) and writes the averaged weights.

    Args:
        recipe: what to train.
        data: the folder that holds `recipe.folder`.
        out: the run folder: `last.pt`, `metrics.csv`, `run.json` and `<model>.safetensors` (fp16, EMA).
        store: where warm starts come from.
        resume: go on from `out/last.pt` when it is there.
        device: "auto", "cpu" or "cuda".

    Returns: the path of the safetensors file.

    Raises:
        OptionError: neither or both of `minutes` and `steps` were given.
        DataError: the folder cannot be used.
    """
    if (minutes is None) == (steps is None):
        raise OptionError("Say how long to train: either --minutes or --steps.")
    pictures = load_pictures(data / recipe.folder, recipe.tile_minimum)
    out.mkdir(parents=True, exist_ok=True)
    target = torch.device("cuda" if device == "auto" and torch.cuda.is_available() else device.replace("auto", "cpu"))
    card = MODELS[recipe.model]
    torch.manual_seed(seed)
    run = _fresh(recipe, card, store, target)
    if resume and (out / "last.pt").is_file():
        _restore(run, out / "last.pt", target)
    _log(
        out,
        f"{recipe.name}: {len(pictures.train)} pictures, {pictures.skipped} skipped, from step {run.step} on {target}",
    )
    try:
        _loop(run, recipe, card, pictures, out, minutes=minutes, steps=steps, seed=seed, workers=workers, device=target)
    except KeyboardInterrupt:
        _log(out, "stopped by hand")
    return _finish(run, recipe, pictures, out, seed=seed, device=target)


def _fresh(recipe: Recipe, card: ModelCard, store: WeightStore, device: torch.device) -> Run:
    network = (recipe.build or card.build)()
    if recipe.initialise:
        recipe.initialise(network)
    if recipe.warm_start:
        state = store.bundled_state(MODELS[recipe.warm_start])
        network.load_state_dict(warm_tail(network, state), strict=False)
    network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.Adam(network.parameters(), lr=recipe.learning_rate, betas=recipe.betas)
    average = {key: value.detach().clone() for key, value in network.state_dict().items()}
    return Run(network, average, optimiser)


def _loop(
    run: Run,
    recipe: Recipe,
    card: ModelCard,
    pictures: Pictures,
    out: Path,
    *,
    minutes: float | None,
    steps: int | None,
    seed: int,
    workers: int,
    device: torch.device,
) -> None:
    pairs = Pairs(pictures.train, recipe.pairs, seed, transpose=recipe.transpose)
    feed = batches(pairs, start=run.step, batch=recipe.batch, workers=workers)
    clock = saved = logged = time.monotonic()
    waited, losses = 0.0, []
    run.network.train()
    while True:
        now = time.monotonic()
        run.seconds += now - clock
        clock = now
        progress = run.seconds / (60 * minutes) if minutes is not None else run.step / max(1, steps or 0)
        if progress >= 1:
            break
        if recipe.settle:
            settle(run.network, progress < recipe.settle)
        for group in run.optimiser.param_groups:
            group["lr"] = rate(recipe, run.step, progress)
        degraded, sharp = next(feed)
        waited += time.monotonic() - now
        losses.append(_step(run, recipe, degraded.to(device), sharp.to(device)))
        if clock - logged > 30:
            _log(out, _line(run, losses, clock - logged, waited, progress))
            logged, waited, losses = clock, 0.0, []
        if clock - saved > _SAVE_SECONDS:
            _save(run, out / "last.pt")
            _record(run, recipe, pictures, out, device)
            saved = clock


def rate(recipe: Recipe, step: int, progress: float) -> float:
    """The learning rate: linear warm-up over steps, then cosine over the progress 0..1 down to `final_rate`."""
    warm = min(1.0, (step + 1) / recipe.warmup_steps)
    cosine = recipe.final_rate + (1 - recipe.final_rate) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
    return recipe.learning_rate * warm * cosine


def _step(run: Run, recipe: Recipe, degraded: Tensor, sharp: Tensor) -> float:
    x = degraded.float().div_(255).contiguous(memory_format=torch.channels_last)
    y = sharp.float().div_(255)
    with torch.autocast(x.device.type, dtype=torch.bfloat16):
        output = run.network(x)
    error = output.float() - y
    loss = absolute = error.abs().mean()
    if recipe.frequency:
        loss = absolute + recipe.frequency * frequency_l1(error)
    run.optimiser.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(run.network.parameters(), recipe.clip)
    run.optimiser.step()
    run.step += 1
    _average(run, min(recipe.ema, run.step / (run.step + 10)))
    return float(absolute.detach())


def frequency_l1(error: Tensor) -> Tensor:
    """The mean absolute value of the error's orthonormal 2-D spectrum (Cho et al. 2021, equation 5, up to a factor).

    error: (B, C, H, W) float32. Blur is a product in the frequency domain: this asks for the lost frequencies directly.
    """
    return torch.view_as_real(torch.fft.rfft2(error, norm="ortho")).abs().mean()


@torch.no_grad()
def _average(run: Run, decay: float) -> None:
    mean, now = [], []
    for key, value in run.network.state_dict().items():
        if value.is_floating_point():
            mean.append(run.average[key])
            now.append(value)
        else:
            run.average[key].copy_(value)
    torch._foreach_lerp_(mean, now, 1 - decay)  # pyright: ignore[reportPrivateImportUsage]


@torch.no_grad()
def _validate(run: Run, recipe: Recipe, pictures: Pictures, device: torch.device) -> tuple[float, float]:
    """RGB PSNR in dB of the averaged weights, and of the input (enlarged by bicubic), on held-out training tiles."""
    kept = {key: value.clone() for key, value in run.network.state_dict().items()}
    run.network.load_state_dict(run.average)
    run.network.eval()
    pairs = Pairs(pictures.validation, recipe.pairs, 1_000_003, transpose=False)
    ours, inputs = [], []
    for index in range(_VALIDATION_PAIRS):
        degraded, sharp = (t[None].to(device).float() / 255 for t in pairs[index])
        ours.append(_psnr(run.network(degraded).clamp(0, 1), sharp))
        scaled = nn.functional.interpolate(degraded, sharp.shape[-2:], mode="bicubic").clamp(0, 1)
        inputs.append(_psnr(scaled, sharp))
    run.network.load_state_dict(kept)
    run.network.train()
    return sum(ours) / len(ours), sum(inputs) / len(inputs)


def _psnr(a: Tensor, b: Tensor) -> float:
    return -10 * math.log10(max(float((a - b).square().mean()), 1e-10))


def _record(run: Run, recipe: Recipe, pictures: Pictures, out: Path, device: torch.device) -> None:
    psnr, before = _validate(run, recipe, pictures, device)
    fresh = not (out / "metrics.csv").exists()
    with (out / "metrics.csv").open("a", newline="") as file:
        writer = csv.writer(file)
        if fresh:
            writer.writerow(("step", "seconds", "psnr", "input_psnr"))
        writer.writerow((run.step, round(run.seconds, 1), round(psnr, 3), round(before, 3)))
    _log(out, f"validation: {psnr:.2f} dB, input {before:.2f} dB")


def _save(run: Run, path: Path) -> None:
    state = {
        "network": run.network.state_dict(),
        "average": run.average,
        "optimiser": run.optimiser.state_dict(),
        "torch_rng": torch.get_rng_state(),
        "step": run.step,
        "seconds": run.seconds,
    }
    part = path.with_suffix(".part")
    torch.save(state, part)
    os.replace(part, path)


def _restore(run: Run, path: Path, device: torch.device) -> None:
    state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    try:
        run.network.load_state_dict(state["network"])
    except RuntimeError as error:
        raise DataError(f"The checkpoint {path} belongs to another network than this recipe's.") from error
    run.average = state["average"]
    run.optimiser.load_state_dict(state["optimiser"])
    torch.set_rng_state(state["torch_rng"].cpu())
    run.step, run.seconds = state["step"], state["seconds"]


def _finish(run: Run, recipe: Recipe, pictures: Pictures, out: Path, *, seed: int, device: torch.device) -> Path:
    _save(run, out / "last.pt")
    _record(run, recipe, pictures, out, device)
    path = out / f"{recipe.model}.safetensors"
    halves = {
        key: value.detach().cpu().half().contiguous()
        if value.is_floating_point()
        else value.detach().cpu().contiguous()
        for key, value in run.average.items()
    }
    save_file(halves, path)
    facts = {
        "recipe": recipe.name,
        "minutes": round(run.seconds / 60, 1),
        "iterations": run.step,
        "batch": recipe.batch,
        "seed": seed,
        "pictures": len(pictures.train),
        "warm_start": recipe.warm_start,
        "hardware": _hardware(device),
        "torch": torch.__version__,
        "precision": "bf16 autocast, channels-last",
    }
    (out / "run.json").write_text(json.dumps(facts, indent=2) + "\n")
    return path


def _hardware(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{torch.get_num_threads()} CPU threads ({platform.machine()})"


def _line(run: Run, losses: list[float], seconds: float, waited: float, progress: float) -> str:
    mean = sum(losses) / max(1, len(losses))
    speed = len(losses) / seconds
    data = f"data {100 * waited / seconds:.0f} %"
    return f"step {run.step}  {100 * progress:.1f} %  loss {mean:.5f}  {speed:.2f} it/s  {data}"


def _log(out: Path, line: str) -> None:
    print(f"[{time.strftime('%H:%M:%S')}] {out.name} {line}", flush=True)
