"""Checkpoints on disk: what is bundled, what its birth certificate says, and loading it strictly.

Knows nothing of devices or pictures. torch is imported only when weights are read.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from restoration.card import Checkpoint, ModelCard
from restoration.errors import WeightsError

if TYPE_CHECKING:
    from torch import Tensor, nn

BUNDLED_FOLDER = Path(__file__).resolve().parent.parent / "weights"


@dataclass(frozen=True, slots=True)
class Availability:
    """Whether a card can be used now, and why not when it cannot.

    reason: one sentence.
    broken: it should be usable, but its files are missing or damaged: somebody has to mend that.
    """

    available: bool
    reason: str = ""
    broken: bool = False


class WeightStore:
    """The folder of bundled weights.

    Args:
        folder: holds `<model>.safetensors` and `<model>.json`.
    """

    def __init__(self, folder: Path = BUNDLED_FOLDER) -> None:
        self.folder = folder
        self._hashes: dict[tuple[Path, int, int, int], str] = {}

    def certificate(self, card: ModelCard) -> dict[str, Any] | None:
        """The birth certificate `<model>.json` (recipe, data, minutes, scores, licence, sha256), or None.

        Raises:
            WeightsError: the file is damaged.
        """
        path = self.folder / f"{card.name}.json"
        try:
            content = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
        except (OSError, ValueError) as error:
            raise WeightsError(f"The certificate {path.name} is damaged.") from error
        if content is not None and not (isinstance(content, dict) and "sha256" in content):
            raise WeightsError(f"The certificate {path.name} is damaged.")
        return content

    def availability(self, card: ModelCard) -> Availability:
        """Whether the card's bundled weights are here, undamaged, and beat their baseline on the held-out pictures."""
        bundled = card.bundled
        if bundled is None:
            return Availability(False, "Its weights are not bundled: they are too large or were not trained yet.")
        path = self.folder / bundled.filename
        try:
            certificate = self.certificate(card)
            if not path.is_file():
                broken = certificate is not None
                return Availability(False, f"Its weights file {bundled.filename} is not here.", broken)
            if certificate is None:
                return Availability(False, f"Its weights file {bundled.filename} has no birth certificate.", True)
            self._verify(path, certificate, card)
        except WeightsError as error:
            return Availability(False, str(error), True)
        scores = certificate.get("scores", [])
        if not scores or any(score["psnr"] <= score["baseline_psnr"] for score in scores):
            return Availability(False, "Its weights do not beat the baseline on the held-out pictures.")
        return Availability(True)

    def bundled_state(self, card: ModelCard) -> dict[str, Tensor]:
        """The bundled state dict in fp32, after checking its hash against the birth certificate.

        Raises:
            WeightsError: the file is missing, is not the one the certificate names, or holds no plain tensors.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load

        bundled = card.bundled
        if bundled is None:
            raise WeightsError(f"The model '{card.name}' has no bundled weights.")
        path = self.folder / bundled.filename
        if not path.is_file():
            raise WeightsError(f"The weights file {path.name} is missing.")
        content = _read(path)
        certificate = self.certificate(card)
        if certificate and hashlib.sha256(content).hexdigest() != certificate["sha256"]:
            raise _damaged(path, card)
        try:
            state = load(content)
        except SafetensorError as error:
            raise WeightsError(f"The weights file {path.name} is not a safetensors file of plain tensors.") from error
        return {key: value.float() if value.is_floating_point() else value for key, value in state.items()}

    def _verify(self, path: Path, certificate: dict[str, Any], card: ModelCard) -> None:
        """Raises WeightsError when a file is not the one its certificate names; a file is hashed once."""
        stat = path.stat()
        key = (path, stat.st_ino, stat.st_size, stat.st_mtime_ns)
        if key not in self._hashes:
            self._hashes[key] = hashlib.sha256(_read(path)).hexdigest()
        if self._hashes[key] != certificate["sha256"]:
            raise _damaged(path, card)

    def load(self, card: ModelCard) -> tuple[nn.Module, str]:
        """Builds the network with its bundled weights, in evaluation mode, fp32, on the CPU.

        Returns: the network, and the checkpoint's name for reports.

        Raises:
            WeightsError: the weights are missing, damaged, or do not fit key for key.
        """
        network = card.build()
        load_strictly(network, self.bundled_state(card), card.name)
        bundled = card.bundled
        return network.eval(), bundled.name if bundled else ""


def _read(path: Path) -> bytes:
    """Raises WeightsError when the file cannot be read, or is a pointer to the weights instead of them."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"The weights file {path.name} cannot be read.") from error
    if content[:8] == b"version ":
        raise WeightsError(f"The weights file {path.name} is a Git LFS pointer: run 'git lfs pull' to get the weights.")
    return content


def _damaged(path: Path, card: ModelCard) -> WeightsError:
    return WeightsError(f"The weights file {path.name} is damaged: its hash is not the one in {card.name}.json.")


def read_published(path: Path, checkpoint: Checkpoint) -> dict[str, Tensor]:
    """Reads a published checkpoint (safetensors, or a pickle of tensors only) into the network's own keys.

    Raises:
        WeightsError: the hash is not the pinned one, the file holds more than tensors, or the keys are not the
            published ones.
    """
    import pickle

    import torch

    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if checkpoint.sha256 and digest != checkpoint.sha256:
        raise WeightsError(
            f"The file {path.name} is not the published {checkpoint.filename}: its hash is {digest[:12]}..."
        )
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise WeightsError(f"The file {path.name} is not a checkpoint of plain tensors.") from error
    try:
        return checkpoint.key_map(state) if checkpoint.key_map else state
    except (KeyError, ValueError) as error:
        raise WeightsError(f"The file {path.name} does not have the published layout: {error}.") from error


def load_strictly(network: nn.Module, state: dict[str, Tensor], name: str) -> None:
    """Loads a state dict in which every key and shape must fit.

    Raises:
        WeightsError: keys are missing or unknown, or shapes differ; up to five are named.
    """
    own = network.state_dict()
    missing = sorted(own.keys() - state.keys())
    unknown = sorted(state.keys() - own.keys())
    wrong = sorted(key for key in own.keys() & state.keys() if own[key].shape != state[key].shape)
    problems = [
        f"{word} {', '.join(keys[:5])}{' ...' if len(keys) > 5 else ''}"
        for word, keys in (("missing", missing), ("unknown", unknown), ("of another shape", wrong))
        if keys
    ]
    if problems:
        raise WeightsError(f"The weights do not fit the model '{name}': {'; '.join(problems)}.")
    network.load_state_dict(state)
