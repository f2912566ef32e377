"""Degradations as wide as real photographs: what recipes call, each drawing everything it needs from one generator.

Chances and ranges are ours. They follow what cameras and the web do, not the evaluation protocols, which are only a few
points inside them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.random import Generator

from restoration.training.degradations.blurs import (
    beyond_white,
    camera_blur,
    inner,
    object_blur,
    soft_mask,
    uniform_blur,
)
from restoration.training.degradations.kernels import (
    Kernel,
    combine,
    disc_kernel,
    fitted,
    gaussian_kernel,
    polygon_kernel,
    shake_kernel,
    sized,
    trajectory,
)
from restoration.training.degradations.pixels import (
    FILTERS,
    Picture,
    Values,
    from_light,
    resize,
    to_light,
    to_picture,
    to_values,
)
from restoration.training.degradations.steps import (
    chroma_noise,
    gaussian_noise,
    rescale_chain,
    sensor_noise,
    sharpen,
    shifted_jpeg,
)

Blur = Callable[[Generator, Values, int], Values]  # values (H, W, 3) and a margin -> (H - 2 margin, W - 2 margin, 3)


def photo_blur(rng: Generator, picture: Picture, margin: int) -> Picture:
    """A blurred photograph: shaken, turned, with something moving in it, out of focus, soft; then noise and JPEG.

    Half are blurred in linear light, where highlights may be brighter than white; half in sRGB values. A few stay
    sharp.

    Args:
        rng: draws everything.
        picture: uint8 (H, W, 3), both sides above 2 margin.
        margin: the largest radius of a blur, at least 2; 16 allows shakes of 31 pixels.

    Returns: uint8 (H - 2 margin, W - 2 margin, 3): the inner part of the picture, degraded.
    """
    blur = _BLURS[int(rng.choice(len(_BLURS), p=_CHANCES))]
    return _recorded(rng, _exposed(rng, picture, margin, blur))


def photo_kernel(rng: Generator, largest: int) -> Kernel:
    """The blur of a whole photograph: mostly shakes, up to `largest` (odd) pixels; lenses; one in sixteen is sharp."""
    kind = rng.random()
    if kind < 1 / 16:
        return np.ones((1, 1), np.float32)
    if kind < 0.16:
        kernel = _aperture(rng, 0.8, min(8, largest / 4))
    else:
        kernel = shake_kernel(rng, round(_log_uniform(rng, 3, largest - 6)))
        if rng.random() < 0.3:
            kernel = combine(kernel, gaussian_kernel(float(rng.uniform(0.3, 0.9))))
    return fitted(kernel, largest // 2)


def photo_shaken(rng: Generator, picture: Picture, margin: int, kernel: Kernel) -> Picture:
    """A photograph blurred by one known kernel; otherwise like `photo_blur`."""
    return _recorded(
        rng, _exposed(rng, picture, margin, lambda _rng, values, around: uniform_blur(values, kernel, around))
    )


def photo_defocus(rng: Generator, picture: Picture, margin: int) -> Picture:
    """A photograph out of focus, by a round or a polygonal aperture; otherwise like `photo_blur`."""
    return _recorded(rng, _exposed(rng, picture, margin, defocused))


def photo_wear(rng: Generator, picture: Picture) -> Picture:
    """The bad picture one really meets: soft, noisy, resized, over-sharpened, compressed, often twice. Same size.

    One in twelve is nearly clean, so that a network learns to leave good pictures alone.
    """
    if rng.random() < 1 / 12:
        return shifted_jpeg(rng, picture, int(rng.integers(85, 99)))
    worn = _padded(rng, picture, _softened_a_little) if rng.random() < 0.75 else picture
    steps = [_resized, _noisy]
    if rng.random() < 0.35:  # a picture that was noisy before it was resized has coarse, soft grain
        steps.reverse()
    for step in steps:
        worn = step(rng, worn) if rng.random() < 0.8 else worn
    if rng.random() < 0.2:
        worn = sharpen(worn, float(rng.uniform(0.6, 2.5)), float(rng.uniform(0.3, 1.5)))
    if rng.random() < 0.88:
        worn = shifted_jpeg(rng, worn, int(rng.integers(15, 96)))
    if rng.random() < 0.25:  # sent on: a little smaller, and compressed again
        worn = rescale_chain(rng, worn, 0.6, 1) if rng.random() < 0.5 else worn
        worn = shifted_jpeg(rng, worn, int(rng.integers(30, 96)))
    return worn


def photo_wear_face(rng: Generator, picture: Picture) -> Picture:
    """A face from a small, old, shaken or much-forwarded photograph, cropped and resized to its size again."""
    height, width = picture.shape[:2]
    worn = _padded(rng, picture, _softened) if rng.random() < 0.8 else picture
    factor = float(np.exp(rng.uniform(0, np.log(8))))
    small = (max(8, round(height / factor)), max(8, round(width / factor)))
    worn = resize(worn, small, FILTERS[rng.integers(len(FILTERS))])
    if rng.random() < 0.8:
        worn = _noisy(rng, worn, 9)
    if rng.random() < 0.15:
        worn = sharpen(worn, float(rng.uniform(0.5, 1.5)), float(rng.uniform(0.3, 1)))
    for chance in (0.85, 0.25):
        if rng.random() < chance:
            worn = shifted_jpeg(rng, worn, int(rng.integers(25, 96)))
    return resize(worn, (height, width), FILTERS[rng.integers(3)])


def _exposed(rng: Generator, picture: Picture, margin: int, blur: Blur, brightest: float = 4.0) -> Picture:
    """Blurs half of the pictures in linear light, with highlights beyond white, and half in sRGB values.

    Lamps and glints may be `brightest` times as bright as white; in a bright picture (skies, paper, snow) white hardly
    is brighter than it looks, and what is clipped there are often halos of sharpening.
    """
    if rng.random() < 0.5:
        return to_picture(blur(rng, to_values(picture), margin) * 255)
    gamma = None if rng.random() < 0.5 else float(rng.uniform(1.8, 2.4))
    light = to_light(picture, gamma)
    if rng.random() < 0.5:
        bright = float(np.mean(light.max(axis=2) > 0.5)) > 0.25
        light = beyond_white(light, _log_uniform(rng, 1, 1.2 if bright else brightest))
    return to_picture(from_light(blur(rng, light, margin), gamma) * 255)


def _padded(rng: Generator, picture: Picture, blur: Blur) -> Picture:
    """As `_exposed`, over a picture whose borders are mirrored: the size stays."""
    margin = 8
    padded = np.pad(picture, ((margin, margin), (margin, margin), (0, 0)), mode="symmetric")
    return _exposed(rng, padded, margin, blur, brightest=1.5)


def shaken(rng: Generator, values: Values, margin: int) -> Values:
    """The same shake everywhere, 2 to 2 margin - 1 pixels, three in ten a little out of focus too."""
    kernel = shake_kernel(rng, round(_log_uniform(rng, 2, 2 * margin - 1)))
    if rng.random() < 0.3:
        kernel = combine(kernel, _aperture(rng, 0.5, 2.0))
    return uniform_blur(values, kernel, margin)


def turned(rng: Generator, values: Values, margin: int) -> Values:
    """A camera that shifts and turns: `camera_blur` with a centre in the picture or around it."""
    height, width = values.shape[:2]
    extent = _log_uniform(rng, 2, 2 * margin - 1)
    share = float(rng.beta(1, 1.5))  # of the motion that is translation
    path, dwell = trajectory(rng)
    turn, _ = trajectory(rng, len(path))
    angles = np.interp(np.linspace(0, 1, len(path)), np.linspace(0, 1, len(turn)), np.real(turn))
    centre = (float(rng.uniform(-0.5, 1.5)) * height, float(rng.uniform(-0.5, 1.5)) * width)
    corner = np.hypot(*(max(c, side - c) for c, side in zip(centre, (height, width), strict=True)))
    span = min((1 - share) * extent / corner, 0.2)
    angles = span * (angles - (angles.min() + angles.max()) / 2) / max(float(np.ptp(angles)), 1e-6)
    return camera_blur(values, sized(path, share * extent), angles, dwell, margin=margin, centre=centre)


def moving(rng: Generator, values: Values, margin: int) -> Values:
    """Something moves, and in half of the pictures the rest is shaken too, less."""
    mask = soft_mask(rng, values.shape[:2])
    kernel = shake_kernel(rng, round(_log_uniform(rng, 4, 2 * margin - 1)))
    if rng.random() < 0.5:
        return object_blur(values, mask, kernel, margin)
    other = shake_kernel(rng, max(2, round(_log_uniform(rng, 2, margin))))
    still = np.pad(uniform_blur(values, other, margin), ((margin, margin), (margin, margin), (0, 0)), mode="edge")
    return object_blur(values, mask, kernel, margin, still)


def defocused(rng: Generator, values: Values, margin: int) -> Values:
    """Out of focus by 0.7 to margin - 1 pixels, at most 12."""
    return uniform_blur(values, _aperture(rng, 0.7, min(12, margin - 1)), margin)


def _softened(rng: Generator, values: Values, margin: int) -> Values:
    """A Gaussian, a lens or a short shake of one to four pixels' radius."""
    return uniform_blur(values, _small_kernel(rng, 3.2, margin), margin)


def _softened_a_little(rng: Generator, values: Values, margin: int) -> Values:
    return uniform_blur(values, _small_kernel(rng, 2.0, margin), margin)


def _untouched(rng: Generator, values: Values, margin: int) -> Values:
    return inner(values, margin)


_BLURS: tuple[Blur, ...] = (shaken, turned, moving, defocused, _softened, _untouched)
_CHANCES = (0.42, 0.2, 0.12, 0.13, 0.08, 0.05)


def _small_kernel(rng: Generator, most: float, margin: int) -> Kernel:
    kind = rng.random()
    if kind < 0.5:
        return gaussian_kernel(float(rng.uniform(0.2, most)))
    if kind < 0.8:
        return _aperture(rng, 0.5, 1.5 * most)
    return shake_kernel(rng, int(rng.integers(2, min(round(4 * most), 2 * margin - 1))))


def _aperture(rng: Generator, least: float, most: float) -> Kernel:
    """A lens out of focus by that many pixels: a disc, or a polygon of 5 to 9 blades."""
    radius = _log_uniform(rng, least, most)
    if rng.random() < 0.5:
        return disc_kernel(radius)
    return polygon_kernel(radius, int(rng.integers(5, 10)), float(rng.uniform(0, 2 * np.pi)))


def _recorded(rng: Generator, picture: Picture) -> Picture:
    """What follows the blur: the sensor's noise, now and then halos, and the file."""
    kind = rng.random()
    if kind < 0.4:
        picture = sensor_noise(rng, picture, _log_uniform(rng, 400, 30_000), float(rng.uniform(0, 3)))
    elif kind < 0.75:
        picture = gaussian_noise(rng, picture, float(rng.uniform(0, 4)), chroma=float(rng.uniform(0.3, 1)))
    if rng.random() < 0.1:
        picture = chroma_noise(rng, picture, float(rng.uniform(0.5, 4)), int(rng.integers(1, 5)))
    if rng.random() < 0.1:
        picture = sharpen(picture, float(rng.uniform(0.6, 2)), float(rng.uniform(0.2, 0.8)))
    if rng.random() < 0.4:
        picture = shifted_jpeg(rng, picture, int(rng.integers(60, 99)))
    return picture


def _resized(rng: Generator, picture: Picture) -> Picture:
    return rescale_chain(rng, picture, float(rng.uniform(0.25, 0.9)), int(rng.integers(1, 3)))


def _noisy(rng: Generator, picture: Picture, strongest: float = 14) -> Picture:
    """White noise of up to `strongest` / 255 or a sensor's about as strong, one in four with coloured blotches."""
    if rng.random() < 0.5:
        picture = gaussian_noise(rng, picture, float(rng.uniform(0, strongest)), chroma=float(rng.uniform(0, 1)))
    else:
        photons = _log_uniform(rng, 16_000 / strongest**2, 10_000)
        picture = sensor_noise(rng, picture, photons, float(rng.uniform(0, min(4, photons / 60))))
    if rng.random() < 0.25:
        picture = chroma_noise(rng, picture, float(rng.uniform(1, strongest / 2)), int(rng.integers(1, 6)))
    return picture


def _log_uniform(rng: Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
