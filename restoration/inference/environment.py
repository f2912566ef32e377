"""What the environment says about an engine: its limits, its backend, and where converted networks are kept.

The mapping is handed in and read when a function is called. Knows nothing of torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict

from restoration.images.limits import Limits
from restoration.inference.backends.backend import backend_from_environment, cache_from_environment


class Settings(TypedDict):
    """Arguments of `Engine`."""

    limits: Limits
    backend: str
    cache: Path


def settings_from_environment(environ: Mapping[str, str]) -> Settings:
    """The settings with RESTORATION_MAX_..., RESTORATION_BACKEND and RESTORATION_CACHE put in where set.

    Raises:
        OptionError: a limit is not a positive, finite number. (An unknown backend is refused by the engine.)
    """
    return Settings(
        limits=Limits.from_environment(environ),
        backend=backend_from_environment(environ),
        cache=cache_from_environment(environ),
    )
