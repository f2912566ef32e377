"""Converted networks on disk, so that the next start need not convert: a convenience, whose failures are silent.

`FOLDER/NAME/KEY/graph.xml` and `graph.bin`. The key covers the weights, the code of the network's classes and the
versions of torch and OpenVINO; precision is chosen when a graph is compiled, so one graph serves all. Whoever loads a
graph compares it with the network, as with a fresh one.
"""

from __future__ import annotations

import hashlib
import secrets
import shutil
import sys
from pathlib import Path
from typing import Any

import torch
from torch import nn

from restoration.inference.backends.conversion import import_openvino


class GraphCache:
    """The place of one network's graph.

    Args:
        folder: of all graphs; it need not exist, nor be writable.
        name: of the card.
        network: as it will be converted.
    """

    def __init__(self, folder: Path, name: str, network: nn.Module) -> None:
        self._home = folder / name
        self._folder = self._home / _key(network)

    def read(self) -> Any | None:
        """The graph; None when there is none, or none that can be read (it is then removed)."""
        path = self._folder / "graph.xml"
        try:
            if not path.is_file():
                return None
            return import_openvino().Core().read_model(path)
        except (OSError, RuntimeError):
            self.remove()
            return None

    def write(self, graph: Any) -> None:
        """Keeps a graph, in one step, and drops those of other weights or versions."""
        temporary = self._home / f".{secrets.token_hex(8)}"
        try:
            temporary.mkdir(parents=True)
            import_openvino().save_model(graph, temporary / "graph.xml", compress_to_fp16=False)
            for other in self._home.iterdir():
                if other != temporary:
                    shutil.rmtree(other, ignore_errors=True)
            temporary.rename(self._folder)
        except (OSError, RuntimeError):
            shutil.rmtree(temporary, ignore_errors=True)

    def remove(self) -> None:
        """Forgets the graph."""
        shutil.rmtree(self._folder, ignore_errors=True)


def _key(network: nn.Module) -> str:
    digest = hashlib.sha256(f"{torch.__version__} {import_openvino().__version__}".encode())
    for name, value in sorted(network.state_dict().items()):
        digest.update(f"{name} {tuple(value.shape)}".encode())
        digest.update(value.contiguous().numpy().tobytes())
    homes = {type(module).__module__ for module in network.modules()}
    for home in sorted(homes):
        source = getattr(sys.modules.get(home), "__file__", None)
        if source and not home.startswith("torch."):
            digest.update(Path(source).read_bytes())
    return digest.hexdigest()[:24]
