"""Restores photographs: deblur, enhance, enlarge, and faces.

    from restoration import read_image, restore, write_image
    result = restore("photo.jpg", task="enlarge", scale=2)
    write_image(result.image, "larger.jpg")

The names are loaded when they are first used: importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from restoration.images.reading import read_image
    from restoration.images.writing import write_image
    from restoration.inference.engine import Engine
    from restoration.pipelines.restore import restore
    from restoration.registry import MODELS

__all__ = ["MODELS", "Engine", "read_image", "restore", "write_image"]

_HOMES = {
    "MODELS": "restoration.registry",
    "Engine": "restoration.inference.engine",
    "read_image": "restoration.images.reading",
    "restore": "restoration.pipelines.restore",
    "write_image": "restoration.images.writing",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'restoration' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
