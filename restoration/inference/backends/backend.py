"""The seam between a loaded network and what runs it, and how a person chooses.

    Loaded -> Backend    "torch": the network itself, always there, the reference
                         "openvino": the same network as a graph of OpenVINO's CPU plugin
                         "cuda": the network on a GPU of this process's own, laid out and launched for it
                         "exported": the network compiled ahead of time, for workers that a GPU is lent to

Knows neither torch nor OpenVINO.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from restoration.errors import OptionError
from restoration.inference.tiling import Box

BACKENDS = ("auto", "torch", "openvino")
BACKEND_VARIABLE = "RESTORATION_BACKEND"
CACHE_VARIABLE = "RESTORATION_CACHE"
TOLERANCES = {"fp32": 1e-4, "bf16": 5 / 255, "fp16": 5 / 255, "int8": 12 / 255}
"""Precision -> greatest difference of any sample from the network in eager fp32; white is 1.0."""
LEAST_PSNR = {"bf16": 50.0, "fp16": 50.0, "int8": 48.0}
"""Precision -> least PSNR in dB against the network in eager fp32, over a picture."""


class Backend(Protocol):
    """One network, ready to run in one precision. One thread at a time may be inside."""

    @property
    def name(self) -> str:
        """ "torch", "openvino", "cuda" or "exported"."""
        ...

    @property
    def smallest(self) -> int:
        """The shortest side it takes, pixels; smaller pictures are for torch."""
        ...

    def __call__(
        self, pixels: NDArray[np.float32], context: NDArray[np.float32] | None = None, part: Box | None = None
    ) -> NDArray[np.float32]:
        """(height, width, 3) in 0..1 -> (height * scale, width * scale, 3), not clamped, new memory.

        Args:
            context: of the whole picture, for a network that observes.
            part: of the pixels, what the answer is for: its height and width are meant above; None = all. For a
                network whose forward takes it.
        """
        ...

    def prepare(self, height: int, width: int, calls: int) -> None:
        """Makes ready for so many pictures of one size (pixels), where that is worth something."""
        ...

    def release(self) -> None:
        """Gives back the memory of the last pictures; the next call takes what it needs again."""
        ...


Compile = Callable[[str], Backend | None]  # precision -> the network in it, None = not for this one; or BackendFailed


class BackendFailed(Exception):
    """A backend cannot run this network here; the message says why, without a full stop."""


def choose_backend(preference: str) -> str:
    """Checks a wish: one of BACKENDS. "auto" takes OpenVINO on a CPU where it can run the network, else torch.

    Raises:
        OptionError: the name is unknown, or OpenVINO was asked for and is not installed.
    """
    if preference not in BACKENDS:
        raise OptionError(f"The backend can be {', '.join(BACKENDS)}, not '{preference}'.")
    if preference == "openvino" and not _is_installed("openvino"):
        raise OptionError("The backend openvino was asked for, but OpenVINO is not installed here.")
    return preference


def backend_from_environment(environ: Mapping[str, str]) -> str:
    """`RESTORATION_BACKEND`, "auto" when it is not set; checked where an engine is made."""
    return environ.get(BACKEND_VARIABLE) or "auto"


def cache_from_environment(environ: Mapping[str, str]) -> Path:
    """The folder for converted networks: `RESTORATION_CACHE`, or `restoration` in the user's cache folder."""
    if folder := environ.get(CACHE_VARIABLE):
        return Path(folder)
    user = environ.get("XDG_CACHE_HOME") or environ.get("LOCALAPPDATA")
    return (Path(user) if user else Path(os.path.expanduser("~")) / ".cache") / "restoration"


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ValueError:  # a module that was made unimportable
        return False
