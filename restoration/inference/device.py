"""Device and precision: choosing them, and calling one network once.

The names "cpu" and "cuda" travel through the engine; only here do they become torch devices.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from restoration.card import ModelCard
from restoration.errors import OptionError
from restoration.inference.tiling import Box

DEVICES = ("auto", "cpu", "cuda")
_HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}


def choose_device(preference: str = "auto") -> str:
    """The device of an engine: "cpu" or "cuda".

    Args:
        preference: "auto" takes the GPU when there is one.

    Raises:
        OptionError: the name is unknown, or there is no GPU that torch can use.
    """
    if preference not in DEVICES:
        raise OptionError(f"The device can be {', '.join(DEVICES)}, not '{preference}'.")
    present = preference != "cpu" and torch.cuda.is_available()
    if preference == "cuda" and not present:
        raise OptionError("There is no CUDA device that torch can use here.")
    return "cuda" if present else "cpu"


def cpu_has_bf16() -> bool:
    """Whether this CPU multiplies bfloat16 in hardware (AVX512_BF16 or AMX); without, bf16 is slower than fp32."""
    abilities = torch.cpu.get_capabilities()
    return bool(abilities.get("avx512_bf16") or abilities.get("amx_bf16"))


def choose_precision(card: ModelCard, device: str) -> str:
    """ "bf16" when the card's weights were verified in it and the device has the arithmetic, else "fp32".

    A GPU that has tensor cores but no bf16 gets "fp16", which `CudaBackend` verifies; without it, that is fp32 too.
    """
    if not card.half:
        return "fp32"
    if device == "cpu":
        return "bf16" if cpu_has_bf16() else "fp32"
    capability = torch.cuda.get_device_capability()
    return "bf16" if capability >= (8, 0) else "fp16" if capability >= (7, 0) else "fp32"


def free_gpu_bytes() -> float:
    """The memory a job may still take on the GPU: what is free, and what torch holds without using it."""
    free, _ = torch.cuda.mem_get_info()
    return float(free + torch.cuda.memory_reserved() - torch.cuda.memory_allocated())


def torch_device(name: str) -> torch.device:
    """The torch device behind a name."""
    return torch.device(name)


def place_network(network: nn.Module, device: str) -> nn.Module:
    """Moves a network to its device, in evaluation mode; on the CPU its weights are laid out channels-last."""
    network = network.eval().requires_grad_(False)
    if device == "cpu":
        return network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    return network.to(torch_device(device))


def call_network(
    network: Callable[..., Tensor],
    pixels: NDArray[np.float32],
    device: str,
    precision: str,
    context: NDArray[np.float32] | None = None,
    *,
    part: Box | None = None,
) -> NDArray[np.float32]:
    """One forward pass.

    Args:
        network: on its device, as `place_network` leaves it.
        pixels: (height, width, 3) RGB in 0..1, or (n, ...); as a tensor it is channels-last without a copy.
        precision: "fp32", or "bf16" or "fp16" for autocast with the input and the answer in fp32.
        context: what `observe_picture` gave, for a network that observes.
        part: of the pixels, what the answer is for; None = all.

    Returns: (height * scale, width * scale, 3), or (n, ...), not clamped. Tensors are moved before they are permuted:
        in a forked worker nothing may be computed by the CPU's thread pool, which does not survive a fork.
    """
    x = torch.from_numpy(pixels.reshape(-1, *pixels.shape[-3:])).to(torch_device(device)).permute(0, 3, 1, 2)
    more = () if context is None else (torch.from_numpy(context).to(torch_device(device)),)
    told = {} if part is None else {"part": part.slices()}
    with computing(device, precision):
        answer = network(x, *more, **told).float().permute(0, 2, 3, 1)
        return (answer[0] if pixels.ndim == 3 else answer).contiguous().cpu().numpy()


def return_freed_memory() -> None:
    """Gives freed memory back to the system where the C library can (glibc keeps some 200 MB after a large picture)."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)


class Observer(Protocol):
    """A network that looks at the whole picture before its tiles (`ModelCard.observes`)."""

    def observe(self, x: Tensor) -> Iterator[Tensor]:
        """(1, 3, H, W) RGB in [0, 1] -> better and better contexts for `forward(x, context)`; the last one counts."""
        ...

    def neutral(self, x: Tensor) -> Tensor:
        """The context of a picture in which there is nothing to see, on the device of `x`."""
        ...


def neutral_context(network: nn.Module, device: str) -> NDArray[np.float32]:
    """The context of a picture in which a network that observes sees nothing."""
    return cast(Observer, network).neutral(torch.zeros(1, device=torch_device(device))).cpu().numpy()


def observe_picture(network: nn.Module, pixels: NDArray[np.float32], device: str) -> Iterator[NDArray[np.float32]]:
    """What a network that observes sees in a picture, (height, width, 3) RGB in 0..1: better and better contexts.

    Always in fp32, and on a CPU in one thread: these are thousands of small steps, at each of which a second thread
    would be waited for (with its core busy elsewhere, ten times as long as the work takes). Each look is one call, so
    that its caller can stop in between.
    """
    x = torch.from_numpy(pixels).to(torch_device(device)).permute(2, 0, 1).unsqueeze(0)
    looks = cast(Observer, network).observe(x)
    while True:
        with computing(device, "fp32"), one_thread():
            context = next(looks, None)
        if context is None:
            return
        yield context.float().cpu().numpy()


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch's arithmetic on the CPU without a second thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def computing(device: str, precision: str) -> Iterator[None]:
    """Inference mode, autocast for half precision; "fp32" on a GPU is not TF32, so that tiles equal the whole."""
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode())
        if precision in _HALF:
            # without the cache of cast weights: a CUDA graph would replay what it holds after it is gone
            stack.enter_context(torch.autocast(device, dtype=_HALF[precision], cache_enabled=False))
        elif device == "cuda":
            stack.enter_context(torch.backends.cudnn.flags(enabled=True, allow_tf32=False))
        yield
