"""The recipes of the bundled weights: what is trained on what, and how. Recipes are code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.random import Generator
from torch import Tensor, nn

from restoration.architectures.ecbsr import ECBSR
from restoration.architectures.edge_oriented import merge_branches, with_branches
from restoration.architectures.fastai_unet import ENHANCE_TRUNK, dynamic_unet
from restoration.errors import OptionError
from restoration.training import degradations
from restoration.training.critics import Adversarial, DoubleScaleCritic, PatchCritic
from restoration.training.data import PairMaker, Pictures, Say, busy_crop, crop
from restoration.training.degradations import Picture
from restoration.training.measuring import kernel_loss, measure_pairs
from restoration.training.starts import (
    quiet_residuals,
    start_as_bicubic,
    start_as_copy,
    start_as_identity,
    start_quietly,
)


class Preparation(Protocol):
    """Makes a recipe's pairs, for training and for validation, from the training pictures; keeps in the run folder
    what it took long to make."""

    def __call__(  # noqa: D102
        self, pictures: Pictures, folder: Path, *, seed: int, workers: int, say: Say
    ) -> tuple[PairMaker, PairMaker]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How one model is trained.

    name: the id of `python -m restoration train`.
    model: the card whose weights it makes.
    folder: the sub-folder of `--data` with the pictures ("train/general").
    pairs: one tile -> (input, target).
    tile_minimum: the smallest side of a usable tile, in pixels.
    squares: the pairs are whole tiles: larger squares are reduced to `tile_minimum`, other shapes are left out.
    batch: pairs a step.
    learning_rate: Adam's, at its highest; warmed up over `warmup_steps`, cosine to `final_rate` of it.
    optimiser: "muon" takes Muon for the wide kernels and Adam for the rest, "adam" Adam for all.
    betas: Adam's.
    clip: the largest gradient norm.
    frequency: weight of the frequency-domain L1 beside the pixels' L1; 0 = none.
    settle: the part of the training (0..1) in which frozen norms still follow the batches; held after it.
    ema: decay of the averaged weights, the ones that are kept.
    transpose: turn tiles by flips and transposes (faces are only mirrored).
    warm_start: a card whose bundled weights start this model where names and shapes agree.
    build: makes the network to train when it is not the card's own (fastai); None = the card's.
    initialise: changes fresh weights in place.
    merge: the trained network and a state of it -> the state of the card's own, where they differ.
    pixel_loss, ssim: the error of pixels that is made small, and the weight of 1 - SSIM beside it; 0 = none.
        With "none" the network is not asked for pictures and `auxiliary` alone is the loss.
    precision: "auto" computes in bf16 where the device has the arithmetic, "fp32" never does.
    adversarial: a stage with a critic; None = without.
    starts_from: the recipe of the stage before, whose weights this one starts from.
    fixed: a part of the network that stays as the stage before left it; "" = none.
    engine: "fastai" trains with fastai's Learner and its one-cycle schedule, "torch" with our loop.
    pretrained: tries to load an encoder's pretrained weights in place and says whether it could; if so, fastai's
        Learner trains the rest alone for the first `frozen` part (0..1) of the training.
    prepare: makes `pairs` and `validation_pairs` before the training, where they take more than a tile.
    validation_pairs: for validation, where they must differ from `pairs`.
    auxiliary: what is added to the loss: of the network and the pairs' context.
    """

    name: str
    model: str
    folder: str
    pairs: PairMaker
    tile_minimum: int
    batch: int
    learning_rate: float
    optimiser: Literal["adam", "muon"] = "adam"
    betas: tuple[float, float] = (0.9, 0.99)
    warmup_steps: int = 200
    final_rate: float = 0.02
    clip: float = 0.5
    frequency: float = 0.0
    settle: float = 0.0
    ema: float = 0.999
    transpose: bool = True
    squares: bool = False
    warm_start: str | None = None
    build: Callable[[], nn.Module] | None = None
    initialise: Callable[[nn.Module], None] | None = None
    merge: Callable[[nn.Module, dict[str, Tensor]], dict[str, Tensor]] | None = None
    pixel_loss: Literal["l1", "charbonnier", "none"] = "l1"
    ssim: float = 0.0
    precision: Literal["auto", "fp32"] = "auto"
    adversarial: Adversarial | None = None
    starts_from: str | None = None
    fixed: str = ""
    engine: Literal["torch", "fastai"] = "torch"
    pretrained: Callable[[nn.Module], bool] | None = None
    frozen: float = 0.2
    prepare: Preparation | None = None
    validation_pairs: PairMaker | None = None
    auxiliary: Callable[..., Tensor] | None = None


def enlarge_pairs(scale: int, patch: int, rng: Generator, tile: Picture, tries: int = 1) -> tuple[Picture, Picture]:
    """A `patch` px low-resolution square by antialiased bicubic, and its original; 4 px of context are cut off.

    Args:
        tries: squares to choose the busiest of.
    """
    context = 4
    target = busy_crop(rng, tile, (patch + 2 * context) * scale, tries)
    reduced = degradations.reduce_bicubic(target, scale)
    edge = context * scale
    return reduced[context:-context, context:-context], target[edge:-edge, edge:-edge]


def shake_pairs(patch: int, rng: Generator, tile: Picture) -> tuple[Picture, Picture]:
    """A shaken square and the sharp one behind it."""
    margin = 16
    sharp = crop(rng, tile, patch + 2 * margin)
    return degradations.shake(rng, sharp, margin), sharp[margin:-margin, margin:-margin]


def not_prepared(rng: Generator, tile: Picture) -> tuple[Picture, Picture]:
    """Stands where `Recipe.prepare` puts the real pairs."""
    raise RuntimeError("the recipe's pairs were not prepared")


def wear_pairs(patch: int, rng: Generator, tile: Picture) -> tuple[Picture, Picture]:
    """A worn square and the original, with 8 px of context cut off so that JPEG blocks lie anywhere.

    Half are worn in the plain way (soft, resized, noisy, compressed), half as widely as photographs are.
    """
    context = 8
    original = crop(rng, tile, patch + 2 * context)
    worn = (degradations.wear if rng.random() < 0.5 else degradations.photo_wear)(rng, original)
    top, left = rng.integers(0, 2 * context + 1, 2)
    window = (slice(top, top + patch), slice(left, left + patch))
    return worn[window], original[window]


def face_pairs(rng: Generator, tile: Picture) -> tuple[Picture, Picture]:
    """A worn face and the original, whole 256 x 256 pictures; worn as in real photographs.

    Half of the faces are reduced to 0.65 .. 1 of their size and surrounded by reflection: most training crops are
    tighter than the squares the page cuts (1.5 times the detector's box).
    """
    side = tile.shape[0]
    tile = np.ascontiguousarray(tile)
    if rng.random() < 0.5:
        inner = int(rng.integers(round(0.65 * side), side + 1))
        before = int(rng.integers(0, side - inner + 1)), int(rng.integers(0, side - inner + 1))
        around = [(start, side - inner - start) for start in before]
        tile = np.pad(degradations.resize(tile, (inner, inner)), (*around, (0, 0)), mode="reflect")
    return degradations.photo_wear_face(rng, tile), tile


_TILES: dict[str, Any] = {"folder": "train/general", "tile_minimum": 232}
_PYRAMID_MENDER: dict[str, Any] = {
    **_TILES, "warm_start": "blind-wiener-unet", "fixed": "refiner", "pairs": not_prepared,
    "prepare": partial(measure_pairs, 160, series=3, count=1000), "batch": 6, "learning_rate": 1e-3,
    "optimiser": "muon", "frequency": 2.0, "settle": 0.6, "initialise": start_as_identity,
}  # fmt: skip


def branched(build: Callable[[], nn.Module]) -> nn.Module:
    """The network with the branches it is trained with; `merge_branches` makes it plain again."""
    return with_branches(build())


def _edsr(scale: int, **start: Any) -> Recipe:
    name, pairs = f"edsr-baseline-x{scale}", partial(enlarge_pairs, scale, 48)
    return Recipe(
        name=name, model=name, pairs=partial(pairs, tries=3), validation_pairs=pairs, batch=8, optimiser="muon",
        learning_rate=1e-3, **_TILES, **start,
    )  # fmt: skip


def _ecbsr(scale: int, **start: Any) -> Recipe:
    name, build = f"ecbsr-x{scale}", partial(ECBSR, scale)
    return Recipe(
        name=name, model=name, pairs=partial(enlarge_pairs, scale, 48), build=partial(branched, build),
        merge=merge_branches, initialise=start_as_bicubic, batch=16, optimiser="muon", learning_rate=1e-3,
        **_TILES, **start,
    )  # fmt: skip


RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        _edsr(2, initialise=quiet_residuals),
        _edsr(3, warm_start="edsr-baseline-x2"),
        _edsr(4, warm_start="edsr-baseline-x2"),
        _ecbsr(2),
        _ecbsr(3, warm_start="ecbsr-x2"),
        _ecbsr(4, warm_start="ecbsr-x2"),
        Recipe(
            name="deblurgan-v2-resnet", model="deblurgan-v2-resnet", folder="train/general",
            pairs=partial(shake_pairs, 128), tile_minimum=232, batch=12, learning_rate=5e-4,
            frequency=2.0, settle=0.75, initialise=start_as_identity,
        ),
        Recipe(
            name="blind-wiener-unet", model="blind-wiener-unet", folder="train/general",
            pairs=not_prepared, prepare=partial(measure_pairs, 160), tile_minimum=232, batch=6, learning_rate=4e-4,
            frequency=2.0, auxiliary=partial(kernel_loss, 0.02), initialise=quiet_residuals,
        ),
        Recipe(  # the next two better what the one above gave: each half alone, on kernels that the other has not seen
            name="blind-wiener-unet-kernels", model="blind-wiener-unet", folder="train/general",
            starts_from="blind-wiener-unet", pairs=not_prepared, prepare=partial(measure_pairs, 32, series=2),
            tile_minimum=232, batch=32, learning_rate=1e-3, optimiser="muon", clip=0.3,
            pixel_loss="none", auxiliary=partial(kernel_loss, 1.0),
        ),
        Recipe(
            name="blind-wiener-unet-restorer", model="blind-wiener-unet", folder="train/general",
            starts_from="blind-wiener-unet-kernels", fixed="refiner", pairs=not_prepared,
            prepare=partial(measure_pairs, 160, series=3, count=1000), tile_minimum=232, batch=6, learning_rate=5e-4,
            optimiser="muon", frequency=2.0,
        ),
        Recipe(  # the other menders, behind the same refiner
            name="blind-wiener-deblurgan-v2", model="blind-wiener-deblurgan-v2", **_PYRAMID_MENDER,
        ),
        Recipe(
            name="blind-wiener-mobilenet", model="blind-wiener-mobilenet", **_PYRAMID_MENDER,
        ),
        Recipe(
            name="residual-unet-deblur", model="residual-unet-deblur", folder="train/general",
            pairs=partial(shake_pairs, 128), tile_minimum=232, batch=8, learning_rate=5e-4,
            frequency=2.0, initialise=quiet_residuals,
        ),
        Recipe(
            name="unet-resnet-enhance", model="unet-resnet-enhance", folder="train/general",
            pairs=partial(wear_pairs, 128), tile_minimum=232, batch=16, learning_rate=1e-3,
            build=partial(dynamic_unet, ENHANCE_TRUNK), initialise=start_as_copy, engine="fastai", optimiser="muon",
        ),
        Recipe(
            name="residual-unet-enhance", model="residual-unet-enhance", folder="train/general",
            pairs=partial(wear_pairs, 128), tile_minimum=232, batch=16, learning_rate=1e-3, optimiser="muon",
            warm_start="residual-unet-faces", initialise=quiet_residuals,
        ),
        Recipe(
            name="pix2pix-faces", model="pix2pix-faces", folder="train/faces",
            pairs=face_pairs, tile_minimum=256, squares=True, batch=8, learning_rate=5e-4, transpose=False,
            initialise=start_quietly,
        ),
        Recipe(
            name="residual-unet-faces", model="residual-unet-faces", folder="train/faces",
            pairs=face_pairs, tile_minimum=256, squares=True, batch=8, learning_rate=1e-3, optimiser="muon",
            transpose=False, initialise=quiet_residuals,
        ),
        Recipe(  # Isola et al. 2017, critic at the generator's half width; + VGG16 or what stands in for it
            name="pix2pix-faces-gan", model="pix2pix-faces", folder="train/faces", starts_from="pix2pix-faces",
            pairs=face_pairs, tile_minimum=256, squares=True, batch=8, learning_rate=2e-4, betas=(0.5, 0.999),
            transpose=False,
            adversarial=Adversarial(
                critic=partial(PatchCritic, 32, conditional=True), kind="gan", adversarial=1.0, pixels=100.0,
                perceptual=1.0, style=100.0, features=10.0,
            ),
        ),
        Recipe(  # Kupyn et al. 2019: 0.5 pixels + 0.006 perceptual + 0.01 adversarial
            name="deblurgan-v2-resnet-gan", model="deblurgan-v2-resnet", folder="train/general",
            starts_from="deblurgan-v2-resnet", pairs=partial(shake_pairs, 128), tile_minimum=232, batch=12,
            learning_rate=1e-4, betas=(0.5, 0.999),
            adversarial=Adversarial(
                critic=partial(DoubleScaleCritic, 32), kind="ragan-ls", adversarial=0.01, pixels=0.5,
                perceptual=0.006, features=0.1,
            ),
        ),
    )
}  # fmt: skip


def find_recipe(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        OptionError: there is none.
    """
    if name not in RECIPES:
        raise OptionError(f"There is no recipe '{name}'; the recipes are {', '.join(RECIPES)}.")
    return RECIPES[name]
