"""Optimisers: Adam, or Muon for the kernels between the first and the last layer and Adam for the rest.

Muon (Jordan et al. 2024) steps by the orthogonalised momentum of a matrix. torch's takes matrices only, so it is given
every kernel as one of shape (outputs, inputs x height x width), in the kernel's own memory.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

_NARROW = 16  # kernels with fewer channels on a side are Adam's: the first and last layers, depthwise ones


class MuonAndAdam:
    """An optimiser to the training loop; its learning rate is one that fits Adam (Liu et al. 2025, section 2.2).

    Args:
        parameters: to be trained, on their device and in their memory format for good.
        lr: of both.
        betas: Adam's.
        momentum: Muon's.
    """

    def __init__(
        self, parameters: Iterable[nn.Parameter], *, lr: float, betas: tuple[float, float], momentum: float = 0.95
    ) -> None:
        listed = [parameter for parameter in parameters if parameter.requires_grad]
        self._kernels = [parameter for parameter in listed if _is_wide_kernel(parameter)]
        rest = [parameter for parameter in listed if not _is_wide_kernel(parameter)]
        self._matrices = [nn.Parameter(as_matrix(kernel.data)) for kernel in self._kernels]
        self._muon = torch.optim.Muon(
            self._matrices, lr=lr, weight_decay=0.0, momentum=momentum, adjust_lr_fn="match_rms_adamw"
        )
        self._adam = torch.optim.Adam(rest, lr=lr, betas=betas)

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """Muon's group and Adam's; "lr" may be set."""
        return [*self._muon.param_groups, *self._adam.param_groups]

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forgets the gradients."""
        self._adam.zero_grad(set_to_none)
        for kernel in self._kernels:
            kernel.grad = None if set_to_none or kernel.grad is None else torch.zeros_like(kernel.grad)

    def step(self) -> None:
        """One step of both, by the gradients that the parameters have."""
        for kernel, matrix in zip(self._kernels, self._matrices, strict=True):
            matrix.grad = None if kernel.grad is None else as_matrix(_like(kernel.grad, kernel))
        self._muon.step()
        self._adam.step()

    def state_dict(self) -> dict[str, Any]:
        """Both states."""
        return {"muon": self._muon.state_dict(), "adam": self._adam.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes both states back.

        Raises:
            KeyError, ValueError: they are another optimiser's or network's.
        """
        self._muon.load_state_dict(state["muon"])
        self._adam.load_state_dict(state["adam"])


def as_matrix(kernel: Tensor) -> Tensor:
    """(O, I, h, w) -> (O, I h w) in the same memory; in channels-last memory (O, h w I)."""
    if kernel.is_contiguous():
        return kernel.view(len(kernel), -1)
    return kernel.permute(0, 2, 3, 1).view(len(kernel), -1)


def _like(gradient: Tensor, kernel: Tensor) -> Tensor:
    """The gradient in the kernel's memory format."""
    layout = torch.contiguous_format if kernel.is_contiguous() else torch.channels_last
    return gradient.contiguous(memory_format=layout)


def _is_wide_kernel(parameter: nn.Parameter) -> bool:
    return parameter.ndim == 4 and min(parameter.shape[:2]) >= _NARROW
