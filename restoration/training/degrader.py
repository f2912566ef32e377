"""A degradation put together by hand: ranges in, one callable out, for data sets and training loops of one's own.

In the spirit of the "crappify" function of fastai's course lesson on super-resolution (Image 2.0). The recipes of this
project use the wider `restoration/training/degradations/photo.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageEnhance

from restoration.errors import OptionError
from restoration.training.degradations import Picture, gaussian_blur, gaussian_noise, jpeg, resize

Range = tuple[float, float]
_ENHANCERS = (
    ("brightness", ImageEnhance.Brightness),
    ("contrast", ImageEnhance.Contrast),
    ("colour", ImageEnhance.Color),
)
_BOUNDS: dict[str, tuple[float, float]] = {
    "scale": (1, 64), "blur": (0, 64), "brightness": (0, 8), "contrast": (0, 8), "colour": (0, 8), "noise": (0, 255),
    "quality": (1, 100),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Degrader:
    """Makes bad pictures of good ones; every strength is drawn evenly from its range, low end first.

    What is left at its default changes nothing. The order is fixed: brightness, contrast, colour, blur, reduction,
    noise, JPEG, and enlargement to the old size.

        degrade = Degrader(scale=(2, 4), quality=(10, 70), seed=1)
        bad = degrade(picture, index)

    scale: how many times smaller the picture becomes, 1..64 (antialiased bicubic).
    same_size: enlarge it to its old size again (bilinear); False leaves it small.
    quality: of JPEG, whole numbers 1..100 (4:2:0); None = no JPEG.
    blur: standard deviation of a Gaussian in pixels, 0..64.
    colour: saturation, 0..8; 0 = gray, 1 = as it is, 2 = twice as colourful.
    contrast: 0..8; 0 = an even gray, 1 = as it is.
    brightness: 0..8; 0 = black, 1 = as it is.
    noise: standard deviation of Gaussian noise in 1/255, 0..255.
    seed: together with the index it fixes everything random; 0 and more.

    Raises:
        OptionError: a range outside its bounds or with its ends swapped, or a seed below 0.
    """

    scale: Range = (1.0, 1.0)
    same_size: bool = True
    quality: tuple[int, int] | None = None
    blur: Range = (0.0, 0.0)
    colour: Range = (1.0, 1.0)
    contrast: Range = (1.0, 1.0)
    brightness: Range = (1.0, 1.0)
    noise: Range = (0.0, 0.0)
    seed: int = 0

    def __post_init__(self) -> None:
        for name, (least, most) in _BOUNDS.items():
            given = getattr(self, name)
            if given is not None and not _is_range(given, least, most):
                raise OptionError(f"The {name} of a Degrader is a pair (low, high) in {least}..{most}, not {given!r}.")
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or self.seed < 0:
            raise OptionError(f"The seed of a Degrader is a whole number from 0 on, not {self.seed!r}.")

    def __call__(self, picture: Picture, index: int = 0) -> Picture:
        """The degraded picture; equal (seed, index) give equal results, whatever was degraded before.

        Args:
            picture: uint8 (H, W, 3) sRGB; it is not changed.
            index: its number in the data set, 0 and more.

        Returns: uint8 (H, W, 3), or its sides divided by the drawn scale where `same_size` is False.

        Raises:
            OptionError: not such a picture, or a negative index.
        """
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
            raise OptionError(f"A Degrader takes uint8 (height, width, 3), not {picture.dtype} {picture.shape}.")
        if index < 0:
            raise OptionError(f"The index of a picture is a whole number from 0 on, not {index}.")
        rng = np.random.default_rng([self.seed, index])
        height, width = picture.shape[:2]
        worn = gaussian_blur(self._toned(rng, picture), float(rng.uniform(*self.blur)))
        scale = float(rng.uniform(*self.scale))
        if scale > 1:
            worn = resize(worn, (max(1, round(height / scale)), max(1, round(width / scale))))
        worn = gaussian_noise(rng, worn, float(rng.uniform(*self.noise)))
        if self.quality:
            worn = jpeg(worn, int(rng.integers(self.quality[0], self.quality[1] + 1)))
        if self.same_size and scale > 1:
            worn = resize(worn, (height, width), Image.Resampling.BILINEAR)
        return worn.copy() if worn is picture else worn

    def _toned(self, rng: Generator, picture: Picture) -> Picture:
        for name, enhancer in _ENHANCERS:
            factor = float(rng.uniform(*getattr(self, name)))
            if factor != 1:
                picture = np.asarray(enhancer(Image.fromarray(picture)).enhance(factor))
        return picture


def _is_range(given: object, least: float, most: float) -> bool:
    """Whether it is a pair of numbers, low and high, inside the bounds."""
    if not isinstance(given, tuple) or len(given) != 2:
        return False
    if not all(isinstance(number, int | float) and not isinstance(number, bool) for number in given):
        return False
    return least <= given[0] <= given[1] <= most
