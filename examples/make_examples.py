"""Makes the pictures the page offers: free photographs from inside scikit-image, spoiled by our own degradations.

`python -m examples.make_examples [FOLDER]` writes the pictures and `examples.json` beside this file, or into FOLDER.
Seeds are fixed, so the same pictures come out again.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image
from skimage import data

from restoration.training import degradations
from restoration.training.degradations import Picture

FOLDER = Path(__file__).resolve().parent
_DOCUMENTATION = "https://scikit-image.org/docs/stable/api/skimage.data.html#skimage.data."


@dataclass(frozen=True, slots=True, kw_only=True)
class Photograph:
    """A free photograph inside scikit-image: how it is read, and whose it is."""

    read: Callable[[], Picture]
    origin: str
    author: str
    licence: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One picture of the page: a photograph spoiled in one way, with a fixed seed."""

    file: str
    task: str
    title: str
    photograph: Photograph
    spoil: Callable[[np.random.Generator, Picture], Picture]
    seed: int = 0


ASTRONAUT = Photograph(
    read=data.astronaut,
    origin="Eileen Collins, NASA Great Images (scikit-image: astronaut)",
    author="NASA",
    licence="public domain, no known copyright restrictions",
    url="https://flic.kr/p/r9qvLn",
)
CAT = Photograph(
    read=data.chelsea,
    origin="Chelsea the cat (scikit-image: chelsea)",
    author="Stefan van der Walt",
    licence="CC0",
    url=_DOCUMENTATION + "chelsea",
)
COFFEE = Photograph(
    read=data.coffee,
    origin="A cup at Pikolo Espresso Bar (scikit-image: coffee)",
    author="Rachel Michetti",
    licence="CC0",
    url=_DOCUMENTATION + "coffee",
)
ROCKET = Photograph(
    read=data.rocket,
    origin="Falcon 9 before the launch of DSCOVR (scikit-image: rocket)",
    author="SpaceX",
    licence="released into the public domain by SpaceX",
    url="https://www.flickr.com/photos/spacexphotos/16511594820/",
)


def shake(rng: np.random.Generator, picture: Picture) -> Picture:
    """Camera shake of up to 12 pixels; 8 pixels are lost on every side."""
    return degradations.shake(rng, picture, 8)


def reduce(scale: int, rng: np.random.Generator, picture: Picture) -> Picture:
    """A picture `scale` times smaller; nothing in it is random."""
    return degradations.reduce_bicubic(picture, scale)


EXAMPLES = (
    Example(file="coffee-shaken.jpg", task="deblur", title="Coffee, shaken", photograph=COFFEE, spoil=shake),
    Example(file="rocket-shaken.jpg", task="deblur", title="Rocket, shaken", photograph=ROCKET, spoil=shake, seed=1),
    Example(
        file="cat-worn.jpg",
        task="enhance",
        title="Cat, soft and noisy",
        photograph=CAT,
        spoil=degradations.wear,
        seed=3,
    ),
    Example(
        file="rocket-worn.jpg",
        task="enhance",
        title="Rocket, noisy",
        photograph=ROCKET,
        spoil=degradations.wear,
        seed=9,
    ),
    Example(file="cat-small.png", task="enlarge", title="Cat, small", photograph=CAT, spoil=partial(reduce, 2)),
    Example(
        file="coffee-small.png", task="enlarge", title="Coffee, small", photograph=COFFEE, spoil=partial(reduce, 3)
    ),
    Example(
        file="astronaut-worn.jpg",
        task="faces",
        title="Astronaut, soft",
        photograph=ASTRONAUT,
        spoil=degradations.wear_face,
        seed=18,
    ),
)


def make_examples(folder: Path) -> list[Path]:
    """Writes every example and `examples.json` into `folder`, made if need be; returns the paths of the pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [_write(example, folder) for example in EXAMPLES]
    listing = json.dumps([_entry(example) for example in EXAMPLES], indent=2)
    (folder / "examples.json").write_text(listing + "\n", encoding="utf-8")
    return paths


def _write(example: Example, folder: Path) -> Path:
    spoiled = example.spoil(np.random.default_rng(example.seed), np.ascontiguousarray(example.photograph.read()))
    path = folder / example.file
    if path.suffix == ".jpg":
        Image.fromarray(spoiled).save(path, quality=90, subsampling="4:4:4")
    else:
        Image.fromarray(spoiled).save(path, optimize=True)
    return path


def _entry(example: Example) -> dict[str, str]:
    photograph = example.photograph
    return {
        "file": example.file,
        "task": example.task,
        "title": example.title,
        "origin": photograph.origin,
        "author": photograph.author,
        "licence": photograph.licence,
        "url": photograph.url,
    }


if __name__ == "__main__":
    for written in make_examples(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER):
        print(written.name, written.stat().st_size)
