"""Scores and a contact sheet of the averaged weights, on tiles held out of the training pictures.

These choose between trainings; what is published comes from the protocols of `restoration.evaluation`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from restoration.card import ModelCard
from restoration.evaluation.evaluate import Measured, Pair
from restoration.evaluation.scores import Criterion
from restoration.evaluation.sheet import Sheet
from restoration.training.checkpoint import Run
from restoration.training.data import Pairs, Pictures
from restoration.training.recipes import Recipe

_PAIRS, _ROWS = 32, 6
_CRITERION = Criterion()  # RGB, to the border
_SEED = 1_000_003  # never one of a training
Values = NDArray[np.float32]  # (height, width, 3), 0..255, not rounded
Score = tuple[float, float]  # PSNR in dB, SSIM


@dataclass(frozen=True, slots=True)
class Scores:
    """Means over the validation pairs, RGB: of the output, and of the input (enlarged by bicubic). PSNR in dB."""

    psnr: float
    ssim: float
    input_psnr: float
    input_ssim: float

    def __str__(self) -> str:
        """For the log."""
        return f"{self.psnr:.2f} dB / {self.ssim:.4f}, input {self.input_psnr:.2f} dB / {self.input_ssim:.4f}"


class Validation:
    """The same pairs every time, made once.

    Args:
        pictures: their validation tiles are used.
    """

    def __init__(self, recipe: Recipe, card: ModelCard, pictures: Pictures) -> None:
        pairs = Pairs(pictures.validation, recipe.validation_pairs or recipe.pairs, _SEED, transpose=False)
        self.card = card
        self._pairs = [pairs[index] for index in range(_PAIRS)]
        self._inputs: list[tuple[Values, Score]] = []
        for degraded, sharp, *_ in self._pairs:
            enlarged = F.interpolate(degraded[None].float(), sharp.shape[-2:], mode="bicubic").clamp(0, 255)
            baseline = _to_values(enlarged)
            self._inputs.append((baseline, _CRITERION.compare(baseline, _to_values(sharp[None]))))

    @torch.no_grad()
    def score(self, run: Run, device: torch.device, sheet: Path | None = None) -> Scores:
        """Measures the averaged weights in fp32; the network is left as it was, in training mode.

        Args:
            sheet: where a contact sheet input | output | truth of some pairs is written.
        """
        kept = {key: value.clone() for key, value in run.network.state_dict().items()}
        run.network.load_state_dict(run.average)
        run.network.eval()
        rows, shown = [], Sheet(sheet, _ROWS) if sheet else None
        for index, (degraded, sharp, *context) in enumerate(self._pairs):
            more = [tensor[None].to(device) for tensor in context]
            output = run.network(degraded[None].to(device).float() / 255, *more).float().clamp(0, 1)
            restored = _to_values(255 * output)
            rows.append((*_CRITERION.compare(restored, _to_values(sharp[None])), *self._inputs[index][1]))
            if shown:
                shown.add(self._measured(index, restored, rows[-1]))
        run.network.load_state_dict(kept)
        run.network.train()
        if shown:
            shown.write()
        return Scores(*(float(value) for value in np.mean(rows, axis=0)))

    def _measured(self, index: int, restored: Values, scores: tuple[float, ...]) -> Measured:
        pictures = self._pairs[index][:2]
        degraded, sharp = (np.ascontiguousarray(tensor.numpy().transpose(1, 2, 0)) for tensor in pictures)
        baseline = np.rint(self._inputs[index][0]).astype(np.uint8)
        return Measured(
            card=self.card, index=index, total=_PAIRS, restored=np.rint(restored).astype(np.uint8),
            pair=Pair(name=f"tile {index}", degraded=degraded, baseline=baseline, sharp=sharp),
            psnr=scores[0], ssim=scores[1], baseline_psnr=scores[2], baseline_ssim=scores[3],
        )  # fmt: skip


def _to_values(batch: Tensor) -> Values:
    """(1, 3, H, W) -> (H, W, 3) on the CPU."""
    return np.ascontiguousarray(batch[0].cpu().numpy().transpose(1, 2, 0))
