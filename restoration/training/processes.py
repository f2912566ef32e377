"""One training in one process or in several: how processes come to share steps, through Hugging Face accelerate.

Start several with `accelerate launch -m restoration train ...` (GPUs, machines) or, on processors, with
`torchrun --nproc-per-node N -m restoration train ... --device cpu`. One process needs no accelerate.
Knows nothing of recipes and data.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from restoration.errors import OptionError


class Processes:
    """One process alone.

    index, count: which of how many this is.
    device: where it computes.
    """

    index, count = 0, 1

    def __init__(self, device: torch.device) -> None:
        self.device = device

    @property
    def main(self) -> bool:
        """Whether this one writes files and lines."""
        return self.index == 0

    def share(self, network: nn.Module) -> Callable[..., Any]:
        """What to call instead of the network in a training step, so that gradients become the mean over processes."""
        return network

    def backward(self, loss: Tensor) -> None:
        """Gradients of the loss."""
        loss.backward()

    def agree(self, progress: float, stop: bool) -> tuple[float, bool]:
        """The first process's progress, and whether any of them was asked to stop."""
        return progress, stop

    def wait(self) -> None:
        """Until all are here."""

    def leave(self) -> None:
        """Ends the connection between them."""


class SeveralProcesses(Processes):
    """One of several, joined by accelerate: gloo between processors, NCCL between GPUs."""

    def __init__(self, device: torch.device) -> None:
        try:
            from accelerate import Accelerator, DistributedDataParallelKwargs
        except ImportError as error:
            raise OptionError("Training in several processes needs the package accelerate.") from error
        # statistics of batch norms are each process's own, as the critic is asked twice before a step
        keywords = DistributedDataParallelKwargs(broadcast_buffers=False)
        self._accelerator = Accelerator(
            cpu=device.type == "cpu", mixed_precision="no", kwargs_handlers=[keywords], device_placement=False
        )  # the autocast is ours
        self.index, self.count = self._accelerator.process_index, self._accelerator.num_processes
        super().__init__(self._accelerator.device)

    def share(self, network: nn.Module) -> Callable[..., Any]:
        """The network under DistributedDataParallel."""
        return self._accelerator.prepare(network)

    def backward(self, loss: Tensor) -> None:
        """Gradients of the loss, averaged over the processes."""
        self._accelerator.backward(loss)

    def agree(self, progress: float, stop: bool) -> tuple[float, bool]:
        """The first process's progress, and whether any of them was asked to stop."""
        told = torch.tensor([progress if self.main else 0.0, float(stop)], dtype=torch.float64, device=self.device)
        first, stopping = self._accelerator.reduce(told, "sum").tolist()  # type: ignore[union-attr]
        return first, stopping > 0

    def wait(self) -> None:
        """Until all are here."""
        self._accelerator.wait_for_everyone()

    def leave(self) -> None:
        """Ends the connection between them, once the first has written everything.

        One that left earlier, or held its shared networks until the interpreter ended, was aborted now and then.
        """
        self._accelerator.wait_for_everyone()
        self._accelerator.free_memory()
        self._accelerator.end_training()


def join(device: torch.device) -> Processes:
    """This process alone, or as one of the several that a launcher started.

    Raises:
        OptionError: there are several, and accelerate is not installed.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        return SeveralProcesses(device)
    return Processes(device)
