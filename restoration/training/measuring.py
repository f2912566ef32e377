"""What a deblurrer that measures first is trained with: kernels as they were measured, beside the true ones.

Measuring takes half a second, a training step a third: so many blurred tiles are measured once, before the training,
and every pair of the training borrows one tile's measurement for another tile that is blurred by the same kernel.
Written to `kernels.npz` in the run folder, and on the way to a part of it, from where an interrupted measuring goes on.
Knows nothing of losses.
"""

from __future__ import annotations

import os
import zipfile
from itertools import islice
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor, nn

from restoration.architectures.blind_deconvolution import BlindDeconvolution, packed
from restoration.architectures.kernel_estimation import FRAME, KERNEL_SIDE, RAW_SIDE, estimate_kernel, luma
from restoration.errors import DataError
from restoration.training.data import Pairs, Pictures, Say, batches, crop, turned
from restoration.training.degradations import Kernel, Picture, photo_kernel, photo_shaken

_MARGIN = KERNEL_SIDE // 2
_LARGEST_TILE = 512
_SPECTRUM = 64
_AT_ONCE = 10
_BETWEEN_SAVES = 300
_WRONG, _NEUTRAL, _BENT = 0.05, 0.05, 0.15  # the pairs whose measurement is another's, nobody's, or a neighbour's


def measured_kernel(rng: Generator, tile: Picture) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Blurs a tile and measures the blur: ((RAW_SIDE, RAW_SIDE, 2) measured, (RAW_SIDE, RAW_SIDE, 1) true)."""
    kernel = photo_kernel(rng, KERNEL_SIDE)
    tile = tile[:_LARGEST_TILE, :_LARGEST_TILE]
    blurred = photo_shaken(rng, np.ascontiguousarray(tile), _MARGIN, kernel)
    *_, (estimate, solution) = estimate_kernel(
        luma(torch.from_numpy(blurred.astype(np.float32)).permute(2, 0, 1) / 255)
    )
    measured = packed(estimate, solution)[0].permute(1, 2, 0).numpy()
    return measured, _framed(kernel)[..., None]


def measure_pairs(
    patch: int,
    pictures: Pictures,
    folder: Path,
    *,
    seed: int,
    workers: int,
    say: Say,
    count: int = 3000,
    series: int = 1,
) -> tuple[BlindPairs, BlindPairs]:
    """Measures `count` kernels, or what is missing of them, or reads what an earlier part of the training measured.

    Args:
        patch: pixels a side of a pair.
        series: another number gives other tiles and kernels, of the same seed.

    Returns: the makers of pairs for training, and, from the last twentieth of the kernels, for validation.

    Raises:
        DataError: the file of measured kernels is damaged.
    """
    path = folder / "kernels.npz"
    if not path.is_file():
        say(f"measuring {count} kernels first, once, about half a second of one core each")
        _measure(path, pictures, seed=seed + 1_000_000 * series, workers=workers, count=count, say=say)
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            known = np.concatenate((file["measured"], file["true"][:, None]), 1)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"The measured kernels in {path} cannot be read: remove the file to measure anew.") from error
    known, held_out = registered(known), max(1, len(known) // 20)
    return BlindPairs(known[:-held_out], patch), BlindPairs(known[-held_out:], patch)


def registered(known: NDArray[np.float16]) -> NDArray[np.float16]:
    """(N, 3, RAW_SIDE, RAW_SIDE), measurements moved by whole pixels to where they are likest to the true kernel: from
    one picture nobody can tell where a kernel lies, and a network that had to guess would blur it."""
    side, moved = 2 * RAW_SIDE, known.copy()
    for row, (measured, _, true) in zip(moved, known.astype(np.float32), strict=True):
        likeness = np.fft.irfft2(np.fft.rfft2(measured, (side, side)).conj() * np.fft.rfft2(true, (side, side)))
        row[:2] = np.roll(row[:2], np.unravel_index(likeness.argmax(), likeness.shape), (1, 2))
    return moved


class BlindPairs:
    """Makes a blurred square, the sharp one, and (RAW_SIDE, RAW_SIDE, 3): a packed measurement, and what should have
    been measured there.

    Now and then the measurement is wrong, or says that there is no blur, or the blur is not quite the one that was
    measured, as at the borders of a picture whose camera turned: the network learns how far to trust it.

    Args:
        known: (N, 3, RAW_SIDE, RAW_SIDE): two channels as `packed` makes them; the true kernel, of sum 1, with the
            middle of its bounding box in the middle.
        patch: pixels a side.
    """

    def __init__(self, known: NDArray[np.float16], patch: int) -> None:
        self.known, self.patch = known, patch

    def __call__(self, rng: Generator, tile: Picture) -> tuple[Picture, Picture, NDArray[np.float32]]:
        """-> uint8 (patch, patch, 3) twice, and the context."""
        known = turned(rng, self._row(rng), transpose=True)
        kernel, kind = known[..., 2], rng.random()
        if kind < _WRONG:
            known = self._row(rng)
        elif kind < _WRONG + _NEUTRAL:
            known = np.repeat(_framed(np.ones((1, 1), np.float32))[..., None], 3, axis=2)
        elif kind < _WRONG + _NEUTRAL + _BENT:
            kernel = _bent(rng, kernel)
        inner = slice(FRAME, FRAME + KERNEL_SIDE)
        sharp = crop(rng, tile, self.patch + 2 * _MARGIN)
        blurred = photo_shaken(rng, sharp, _MARGIN, np.ascontiguousarray(kernel[inner, inner]))
        return blurred, sharp[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN], known

    def _row(self, rng: Generator) -> NDArray[np.float32]:
        return self.known[int(rng.integers(len(self.known)))].astype(np.float32).transpose(1, 2, 0)


def kernel_loss(weight: float, network: nn.Module, context: Tensor) -> Tensor:
    """How far refined kernels are from the true ones: weight x (sum of absolute errors + 2 x mean absolute error of the
    spectra + 0.02 x sum of absolute errors of the roots), of a `BlindDeconvolution` and a batch of contexts from
    `BlindPairs`. The first sum is 2 when all is wrong; the roots are for faint strokes, by whose ends a kernel is
    placed."""
    refined = cast(BlindDeconvolution, network).refiner(context[:, :2]).float()[:, 0]
    true = context[:, 2]
    error = refined - true
    spectrum = torch.fft.rfft2(error, s=(_SPECTRUM, _SPECTRUM)).abs()
    peak = true.amax((1, 2), keepdim=True).clamp(min=1e-4)
    roots = (_root(refined / peak) - _root(true / peak)).abs()
    return weight * (error.abs().sum((1, 2)).mean() + 2 * spectrum.mean() + 0.02 * roots.sum((1, 2)).mean())


def _root(part: Tensor) -> Tensor:
    return (part.clamp(0, 4) + 1e-3).sqrt()


def _measure(path: Path, pictures: Pictures, *, seed: int, workers: int, count: int, say: Say) -> None:
    """Measures into a part file, and goes on with one of the same seed that an earlier call left."""
    part = path.with_suffix(".part.npz")
    measured, true = _begun(part, seed)
    pairs = Pairs(pictures.train, measured_kernel, seed)
    feed = batches(pairs, start=len(measured) // _AT_ONCE, batch=_AT_ONCE, workers=workers)
    while len(measured) < count:
        for first, second in islice(feed, -(-min(_BETWEEN_SAVES, count - len(measured)) // _AT_ONCE)):
            measured = np.concatenate((measured, first.numpy().astype(np.float16)))
            true = np.concatenate((true, second[:, 0].numpy().astype(np.float16)))
        _write(part, measured[:count], true[:count], seed)
        if len(measured) < count:
            say(f"{len(measured)} kernels measured")
    os.replace(part, path)


def _begun(part: Path, seed: int) -> tuple[NDArray[np.float16], NDArray[np.float16]]:
    """What was measured before, (N, 2, RAW_SIDE, RAW_SIDE) and (N, RAW_SIDE, RAW_SIDE), N a multiple of 10."""
    if part.is_file():
        try:
            with part.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                if int(file["seed"]) == seed:
                    whole = len(file["true"]) // _AT_ONCE * _AT_ONCE
                    return file["measured"][:whole], file["true"][:whole]
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise DataError(f"The measured kernels in {part} cannot be read: remove the file to begin anew.") from error
    return np.zeros((0, 2, RAW_SIDE, RAW_SIDE), np.float16), np.zeros((0, RAW_SIDE, RAW_SIDE), np.float16)


def _write(part: Path, measured: NDArray[np.float16], true: NDArray[np.float16], seed: int) -> None:
    """Writes the part file, complete or not at all."""
    part.parent.mkdir(parents=True, exist_ok=True)
    unfinished = part.with_suffix(".new.npz")
    np.savez(unfinished, measured=measured, true=true, seed=seed)
    os.replace(unfinished, part)


def _framed(kernel: Kernel) -> NDArray[np.float32]:
    """A kernel of up to KERNEL_SIDE pixels in the middle of RAW_SIDE."""
    beside = (RAW_SIDE - kernel.shape[0]) // 2
    return np.pad(kernel, beside).astype(np.float32)


def _bent(rng: Generator, kernel: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turned by up to 12 degrees and scaled by 0.85 to 1.15, about its middle."""
    angle, scale = np.deg2rad(rng.uniform(-12, 12)), rng.uniform(0.85, 1.15)
    cosine, sine = float(np.cos(angle) / scale), float(np.sin(angle) / scale)
    theta = torch.tensor([[[cosine, -sine, 0.0], [sine, cosine, 0.0]]])
    grid = torch.nn.functional.affine_grid(theta, [1, 1, RAW_SIDE, RAW_SIDE], align_corners=False)
    source = torch.from_numpy(np.ascontiguousarray(kernel))[None, None]
    bent = torch.nn.functional.grid_sample(source, grid, align_corners=False)[0, 0].clamp(min=0).numpy()
    total = float(bent.sum())
    return (bent / total).astype(np.float32) if total > 0.1 else kernel
