"""How commands get their engine: the one seam between the command line and inference."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from restoration.inference.engine import Engine
    from restoration.weights import WeightStore

EngineMaker = Callable[..., "Engine"]  # called as `default_engine` is

DEVICES = ("auto", "cpu", "cuda")
PATIENT_SECONDS = 5.0  # a network call of a measurement: nobody waits for its progress, and large tiles save time


def default_engine(device: str = "auto", store: WeightStore | None = None, *, call_seconds: float = 0.5) -> Engine:
    """An engine over all models, with the limits, the backend and the cache of the environment.

    Args:
        device: one of DEVICES.
        store: where the weights are; None = the bundled ones.
        call_seconds: no network call is planned to last longer.

    Raises:
        OptionError: the device or the backend is not there, or a limit in the environment is not a number.
    """
    from restoration.inference.engine import Engine
    from restoration.inference.environment import settings_from_environment

    return Engine(store=store, device=device, call_seconds=call_seconds, **settings_from_environment(os.environ))
