"""What a training must remember to go on as if nothing had happened, and the file it is kept in.

Knows nothing of recipes, data or schedules.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from restoration.errors import DataError


@dataclass(slots=True)
class Rival:
    """The other side of an adversarial stage."""

    critic: nn.Module
    optimiser: torch.optim.Optimizer


@dataclass(slots=True)
class Run:
    """Everything a checkpoint must hold.

    network, optimiser: what is trained, and by what; `optimiser` may be anything with the two state-dict methods.
    average: the moving average of the network's state, which is what is kept in the end.
    rival: the critic of an adversarial stage.
    step, seconds: how much was done.
    notes: facts that stay when the training goes on ("start": what the weights were; "perceptual": which loss is used).
    """

    network: nn.Module
    average: dict[str, Tensor]
    optimiser: Any
    rival: Rival | None = None
    step: int = 0
    seconds: float = 0.0
    notes: dict[str, str] = field(default_factory=dict)


def start_average(network: nn.Module) -> dict[str, Tensor]:
    """The state that a moving average starts from."""
    return {key: value.detach().clone() for key, value in network.state_dict().items()}


@torch.no_grad()
def update_average(run: Run, decay: float) -> None:
    """Moves the average towards the network, faster in the first steps; whole numbers are copied."""
    decay = min(decay, run.step / (run.step + 10))
    mean, now = [], []
    for key, value in run.network.state_dict().items():
        if value.is_floating_point():
            mean.append(run.average[key])
            now.append(value)
        else:
            run.average[key].copy_(value)
    torch._foreach_lerp_(mean, now, 1 - decay)  # pyright: ignore[reportPrivateImportUsage]


def save(run: Run, path: Path, *, length: dict[str, float], seed: int) -> None:
    """Writes the checkpoint, complete or not at all.

    length: the total the schedule belongs to, {"minutes": n} or {"steps": n}; seed: what the pairs are made with.
    """
    state: dict[str, Any] = {
        "network": run.network.state_dict(),
        "average": run.average,
        "optimiser": run.optimiser.state_dict(),
        "torch_rng": torch.get_rng_state(),
        "step": run.step,
        "seconds": run.seconds,
        "length": length,
        "seed": seed,
        "notes": run.notes,
    }
    if torch.cuda.is_available():
        state["cuda_rng"] = torch.cuda.get_rng_state()
    if run.rival is not None:
        state["critic"] = run.rival.critic.state_dict()
        state["critic_optimiser"] = run.rival.optimiser.state_dict()
    part = path.with_suffix(".part")
    torch.save(state, part)
    os.replace(part, path)


def read(path: Path) -> dict[str, Any]:
    """The checkpoint's content, tensors on the CPU: which device this process computes on may not be known yet.

    Raises:
        DataError: it is damaged, or is no checkpoint.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        if not {"network", "average", "optimiser", "torch_rng", "step", "seconds"} <= state.keys():
            raise KeyError
    except Exception as error:  # torch raises half a dozen kinds for damaged files
        raise DataError(f"The checkpoint {path} cannot be read: it is damaged or not one of a training.") from error
    return state


def restore(run: Run, state: dict[str, Any], path: Path) -> None:
    """Copies a checkpoint's content into a fresh run's own tensors, and puts torch's random state back.

    Checkpoints without `length`, `seed`, `notes` and a critic are read too.

    Raises:
        DataError: it belongs to another network, optimiser or kind of stage.
    """
    try:
        run.network.load_state_dict(state["network"])
        _copy(state["average"], run.average)
        run.optimiser.load_state_dict(state["optimiser"])
        if run.rival is not None:
            run.rival.critic.load_state_dict(state["critic"])
            run.rival.optimiser.load_state_dict(state["critic_optimiser"])
    except (RuntimeError, ValueError, KeyError) as error:
        raise DataError(
            f"The checkpoint {path} belongs to another network, optimiser or stage than this recipe's."
        ) from error
    run.step, run.seconds = state["step"], state["seconds"]
    run.notes |= state.get("notes", {})
    torch.set_rng_state(state["torch_rng"].cpu())
    if "cuda_rng" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda_rng"].cpu())


def _copy(source: dict[str, Tensor], target: dict[str, Tensor]) -> None:
    """Values into tensors that stay where they are, of their own kind."""
    for key in source.keys() | target.keys():
        if source[key].shape != target[key].shape:
            raise ValueError(key)
        target[key].copy_(source[key])


def write_weights(average: dict[str, Tensor], path: Path) -> None:
    """The averaged state as safetensors, floating-point tensors in fp16."""
    halves = {
        key: (value.half() if value.is_floating_point() else value).detach().cpu().contiguous()
        for key, value in average.items()
    }
    part = path.with_suffix(".part")
    save_file(halves, part)
    os.replace(part, path)
