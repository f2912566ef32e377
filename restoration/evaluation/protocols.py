"""The evaluation protocols: sharp picture -> degraded picture, fixed for good by index and seed.

Knows nothing of networks. Pictures are uint8 (height, width, 3) sRGB arrays. A folder's pictures are counted in natural
order (1.png, 2.png, 10.png), from 0; that number is the seed. Random numbers come from `numpy.random.default_rng(seed)`
and are drawn in the order each function states; noise fields are drawn last, as (height, width, 3) in C order.
Every step between two pictures is rounded to 8 bits, as a file would be. These functions share no code with the
training degradations on purpose: scores must not move when training changes.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from restoration.errors import DataError
from restoration.images.document import ImageDocument
from restoration.images.reading import read_image

Picture = NDArray[np.uint8]
Kernel = NDArray[np.float64]

DESCRIPTIONS: dict[str, str] = {
    "deblur": (
        "each picture x each kernel; reflect padding, linear convolution of sRGB values, Gaussian noise sigma 2/255, "
        "seed = picture * 8 + kernel, 8 bits; RGB, border 16"
    ),
    "enhance": (
        "seed = picture; Gaussian sigma U(0.3, 1.2), bicubic down by U(1.5, 2.5) and up, noise sigma U(2, 8)/255, "
        "JPEG quality U{25..75} 4:2:0; RGB, border 0"
    ),
    "enlarge": (
        "cropped to a multiple of the scale, reduced by antialiased bicubic to 8 bits; Y of BT.601, border = scale"
    ),
    "faces": (
        "seed = picture; Gaussian sigma 1.5, area-averaged down 4x, noise sigma 5/255, JPEG quality 50 4:2:0, "
        "bicubic up; RGB, border 0"
    ),
}
BORDERS = {"deblur": 16, "enhance": 0, "faces": 0}  # enlarge: the scale
SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp"}


def natural_key(name: str) -> list[str | int]:
    """Sorts "2.png" before "10.png": runs of digits compare as numbers, the rest as lower-case text."""
    return [int(part) if index % 2 else part.lower() for index, part in enumerate(re.split(r"([0-9]+)", name))]


def list_pictures(folder: Path) -> list[Path]:
    """The pictures directly in a folder, in natural order.

    Raises:
        DataError: there is no such folder, or no picture in it.
    """
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder} with pictures.")
    found = [path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file()]
    if not found:
        raise DataError(f"The folder {folder} holds no picture.")
    return sorted(found, key=lambda path: natural_key(path.name))


def read_sharp(path: Path) -> Picture:
    """A picture file as uint8 (H, W, 3): gray is repeated, deeper files are rounded to 8 bits, alpha is dropped."""
    return eight_bits(read_image(path))


def eight_bits(document: ImageDocument) -> Picture:
    """A document's colours as uint8 (H, W, 3)."""
    color = document.color
    if color.dtype != np.uint8:
        color = _rounded(np.asarray(color, np.float64) * (255 / document.peak))
    return np.ascontiguousarray(np.broadcast_to(color, (*color.shape[:2], 3)), dtype=np.uint8)


def read_kernels(path: Path) -> tuple[Kernel, ...]:
    """The blur kernels of an `.npz` file, in natural order of their names; each has odd sides and sums to 1.

    Raises:
        DataError: the file is not there, is not an npz of arrays, or holds something that is not a kernel.
    """
    try:
        archive = np.load(path, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise ValueError("a single array")
        with archive:
            named = {name: np.asarray(archive[name], np.float64) for name in sorted(archive.files, key=natural_key)}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"The kernel file {path} cannot be read as an .npz of arrays.") from error
    for name, kernel in named.items():
        if kernel.ndim != 2 or not all(side % 2 for side in kernel.shape) or abs(kernel.sum() - 1) > 1e-3:
            raise DataError(f"The array '{name}' in {path.name} is not a blur kernel (2-D, odd sides, sum 1).")
    if not named:
        raise DataError(f"The kernel file {path.name} is empty.")
    return tuple(named.values())


def blur(sharp: Picture, kernel: Kernel, seed: int) -> Picture:
    """Camera shake for the deblurring protocol; the result has the picture's size and is not shifted.

    The picture is padded by half the kernel on each side by reflection (the edge pixel is not repeated), convolved
    (kernel flipped, as convolution is) in sRGB values, and the part is kept in which the kernel touches no other
    padding ("valid"). Then Gaussian noise of sigma 2 (of 255) is added and the sum is rounded to 8 bits, once.
    Draws: the noise field.
    """
    rows, columns = (side // 2 for side in kernel.shape)
    padded = np.pad(sharp.astype(np.float64), ((rows, rows), (columns, columns), (0, 0)), mode="reflect")
    extent = padded.shape[:2]
    spectrum = np.fft.rfft2(padded, axes=(0, 1)) * np.fft.rfft2(kernel, s=extent)[..., None]
    circular = np.fft.irfft2(spectrum, s=extent, axes=(0, 1))  # the wrap stays outside the valid part
    blurred = circular[2 * rows :, 2 * columns :]
    noise = np.random.default_rng(seed).standard_normal(sharp.shape)
    return _rounded(blurred + 2 * noise)


def wear(sharp: Picture, seed: int) -> Picture:
    """The everyday bad picture of the enhance protocol.

    Draws: blur sigma, reduction factor, noise sigma, JPEG quality, then the noise field.
    """
    rng = np.random.default_rng(seed)
    sigma, factor, strength = rng.uniform(0.3, 1.2), rng.uniform(1.5, 2.5), rng.uniform(2, 8)
    quality = int(rng.integers(25, 76))
    height, width = sharp.shape[:2]
    small = (max(1, round(height / factor)), max(1, round(width / factor)))
    worn = _resized(_gaussian(sharp, sigma), small, Image.Resampling.BICUBIC)
    worn = _resized(worn, (height, width), Image.Resampling.BICUBIC)
    return _through_jpeg(_rounded(worn + strength * rng.standard_normal(worn.shape)), quality)


def wear_face(sharp: Picture, seed: int) -> Picture:
    """The small, noisy, compressed face of the faces protocol, brought back to its size.

    Draws: the noise field, at the reduced size.
    """
    rng = np.random.default_rng(seed)
    height, width = sharp.shape[:2]
    small = _resized(_gaussian(sharp, 1.5), (height // 4, width // 4), Image.Resampling.BOX)
    noisy = _rounded(small + 5 * rng.standard_normal(small.shape))
    return _resized(_through_jpeg(noisy, 50), (height, width), Image.Resampling.BICUBIC)


def reduce(sharp: Picture, scale: int) -> tuple[Picture, Picture]:
    """-> (low resolution, the sharp picture cropped at right and bottom to a multiple of the scale).

    Raises:
        DataError: the picture is smaller than the scale.
    """
    height, width = (side // scale for side in sharp.shape[:2])
    if not height or not width:
        raise DataError(f"A picture of {sharp.shape[1]} x {sharp.shape[0]} pixels is too small for scale {scale}.")
    cropped = np.ascontiguousarray(sharp[: height * scale, : width * scale])
    return _resized(cropped, (height, width), Image.Resampling.BICUBIC), cropped


def enlarge_bicubic(low: Picture, scale: int) -> Picture:
    """Pillow's bicubic enlargement: the baseline of the enlarge protocol."""
    return _resized(low, (low.shape[0] * scale, low.shape[1] * scale), Image.Resampling.BICUBIC)


def degrade(task: str, sharp: Picture, index: int, *, scale: int = 1, kernels: Sequence[Kernel] = ()) -> list[Picture]:
    """The degraded versions of picture number `index`: one, or for deblur one per kernel.

    Raises:
        DataError: enlarge, and the picture is smaller than the scale.
        ValueError: there is no protocol for the task.
    """
    match task:
        case "deblur":
            return [blur(sharp, kernel, index * 8 + number) for number, kernel in enumerate(kernels)]
        case "enhance":
            return [wear(sharp, index)]
        case "enlarge":
            return [reduce(sharp, scale)[0]]
        case "faces":
            return [wear_face(sharp, index)]
    raise ValueError(f"there is no protocol for the task {task!r}")


def _rounded(values: NDArray[np.float64]) -> Picture:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _gaussian(picture: Picture, sigma: float) -> Picture:
    """A true Gaussian (cut at 4 sigma, reflected edges), rounded to 8 bits."""
    radius = int(np.ceil(4 * sigma))
    weights = np.exp(-(np.arange(-radius, radius + 1) ** 2) / (2 * sigma * sigma))
    values = picture.astype(np.float64)
    for _ in range(2):
        padded = np.pad(values, ((radius, radius), (0, 0), (0, 0)), mode="reflect")
        length = values.shape[0]
        total = sum(weight * padded[shift : shift + length] for shift, weight in enumerate(weights / weights.sum()))
        values = np.asarray(total).swapaxes(0, 1)
    return _rounded(values)


def _resized(picture: Picture, size: tuple[int, int], resampling: Image.Resampling) -> Picture:
    return np.asarray(Image.fromarray(picture).resize((size[1], size[0]), resampling))


def _through_jpeg(picture: Picture, quality: int) -> Picture:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=quality, subsampling="4:2:0")
    return eight_bits(read_image(buffer.getvalue()))
