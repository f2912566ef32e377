"""Single steps from a good picture to a bad one, of the same size: noise, JPEG, resizes, halos."""

from __future__ import annotations

import io

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageFilter

from restoration.training.degradations.pixels import (
    FILTERS,
    Picture,
    Values,
    from_light,
    resize,
    to_light,
    to_picture,
)

SUBSAMPLINGS = ("4:2:0", "4:2:0", "4:4:4")  # most cameras and the web use 4:2:0
_LUMA = np.array((0.299, 0.587, 0.114), np.float32)


def gaussian_blur(picture: Picture, sigma: float) -> Picture:
    """Gaussian blur of standard deviation `sigma` in pixels."""
    return np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(sigma))) if sigma > 0 else picture


def gaussian_noise(rng: Generator, picture: Picture, sigma: float, chroma: float = 1.0) -> Picture:
    """Additive noise of standard deviation `sigma` (in 1/255); `chroma` 0 makes it the same in R, G and B."""
    if sigma <= 0:
        return picture
    shape = picture.shape
    coloured = rng.standard_normal(shape, dtype=np.float32)
    if chroma < 1:
        gray = rng.standard_normal((*shape[:2], 1), dtype=np.float32)
        coloured = chroma * coloured + np.sqrt(1 - chroma * chroma) * gray
    return to_picture(picture + sigma * coloured)


def sensor_noise(rng: Generator, picture: Picture, photons: float, read: float = 0.0) -> Picture:
    """What a sensor adds, in linear light: Poisson noise of the light itself and Gaussian noise of the reading.

    The variance of light v in 0..1 is v / photons + (read / photons)^2 (Foi et al. 2008).

    Args:
        rng: draws the counts, then the reading noise.
        picture: uint8 (H, W, 3).
        photons: counted where the picture is white; 20,000 is a bright day, 300 a high ISO.
        read: standard deviation of the reading, in photons.
    """
    counts = rng.poisson(to_light(picture) * photons).astype(np.float32)
    if read > 0:
        counts += np.float32(read) * rng.standard_normal(picture.shape, dtype=np.float32)
    return to_picture(from_light(counts / np.float32(photons)) * 255)


def chroma_noise(rng: Generator, picture: Picture, sigma: float, grain: int) -> Picture:
    """Coloured blotches, as high-ISO photographs keep them after the camera's own noise reduction.

    Gray values (BT.601 luma) stay as they are.

    Args:
        rng: draws the blotches.
        picture: uint8 (H, W, 3).
        sigma: standard deviation of red and blue around the luma, in 1/255.
        grain: the size of a blotch in pixels, 1 and more.
    """
    height, width = picture.shape[:2]
    rows, columns = height // grain + 2, width // grain + 2
    planes = [_smooth(rng.standard_normal((rows, columns), dtype=np.float32), grain)[:height, :width] for _ in range(2)]
    red, blue = (plane * np.float32(sigma / max(float(plane.std()), 1e-6)) for plane in planes)
    green = -(_LUMA[0] * red + _LUMA[2] * blue) / _LUMA[1]
    return to_picture(picture + np.stack([red, green, blue], axis=2))


def _smooth(noise: Values, grain: int) -> Values:
    """A noise field enlarged `grain` times, bicubically."""
    if grain == 1:
        return noise
    size = (noise.shape[1] * grain, noise.shape[0] * grain)
    return np.asarray(Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC))


def jpeg(picture: Picture, quality: int, subsampling: str = "4:2:0") -> Picture:
    """Through the real JPEG codec and back."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=quality, subsampling=subsampling)
    with Image.open(buffer) as image:
        return np.asarray(image)


def shifted_jpeg(rng: Generator, picture: Picture, quality: int) -> Picture:
    """JPEG with its blocks anywhere, as in a cropped photograph; 4:2:0 in two of three."""
    top, left = (int(shift) for shift in rng.integers(0, 16, 2))
    padded = np.pad(picture, ((top, 0), (left, 0), (0, 0)), mode="symmetric")
    return jpeg(padded, quality, SUBSAMPLINGS[rng.integers(3)])[top:, left:]


def rescale_chain(rng: Generator, picture: Picture, smallest: float, resizes: int = 2) -> Picture:
    """Reduced, and resized on and on with mixed filters, as a picture is that travels; at last its own size again.

    Args:
        rng: draws sizes and filters.
        picture: uint8 (H, W, 3).
        smallest: the least size on the way, as a part of the sides (0.2 = a fifth); drawn between it and 1.
        resizes: how many sizes the picture has on the way, at least 1.
    """
    height, width = picture.shape[:2]
    worn = picture
    for _ in range(resizes):
        factor = float(np.exp(rng.uniform(np.log(smallest), 0)))
        size = (max(1, round(height * factor)), max(1, round(width * factor)))
        worn = resize(worn, size, FILTERS[rng.integers(len(FILTERS))])
    return resize(worn, (height, width), FILTERS[rng.integers(3)])


def sharpen(picture: Picture, radius: float, amount: float) -> Picture:
    """Unsharp masking, overdone as cameras and galleries do it: light and dark halos along edges.

    radius: of the mask, pixels (a Gaussian's standard deviation); amount: 1 doubles what the mask takes away.
    """
    return np.asarray(Image.fromarray(picture).filter(ImageFilter.UnsharpMask(radius, round(100 * amount), 0)))
