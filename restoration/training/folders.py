"""Folders of pictures made ready for training: reduced, or degraded beside their originals, with a split.

Knows nothing of the command line: whoever calls is told of every file. Inputs are never overwritten.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from io import StringIO
from pathlib import Path

import numpy as np
from numpy.random import Generator

from restoration.errors import DataError, OptionError, RestorationError
from restoration.evaluation.protocols import read_sharp
from restoration.images.document import ImageDocument
from restoration.images.reading import read_image
from restoration.images.resizing import resize_alpha, resize_color
from restoration.images.writing import with_temporary, write_image
from restoration.training import degradations
from restoration.training.degradations import Picture

PairMaker = Callable[[Generator, Picture], tuple[Picture, Picture]]  # a whole picture -> (degraded, sharp)
Tell = Callable[[Path, str], object]  # a file, and the sentence why it was left out ("" when it was done)

_MARGIN = 16  # pixels a blur needs around what is kept
_SMALLEST = 64  # pixels a side
_QUALITY = 95  # of JPEG and WebP
_NO_TRAINING_FORMAT = {"AVIF"}  # which `train` does not read


def _blurred(
    blur: Callable[[Generator, Picture, int], Picture], rng: Generator, picture: Picture
) -> tuple[Picture, Picture]:
    return blur(rng, picture, _MARGIN), picture[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN]


def _worn(wear: Callable[[Generator, Picture], Picture], rng: Generator, picture: Picture) -> tuple[Picture, Picture]:
    return wear(rng, picture), picture


PAIR_MAKERS: dict[str, PairMaker] = {
    "enhance": partial(_worn, degradations.photo_wear),
    "deblur": partial(_blurred, degradations.photo_blur),
    "lens-blur": partial(_blurred, degradations.photo_defocus),
    "faces": partial(_worn, degradations.photo_wear_face),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What was written. validation: how many of the pairs are for validation; failed: files that were left out."""

    written: int
    failed: int
    validation: int = 0


def resize_folder(paths: Sequence[Path], out: Path, *, side: int, workers: int = 1, tell: Tell) -> Outcome:
    """Writes every picture with its longer side reduced to at most `side` pixels; smaller ones keep their size.

    Antialiased bicubic. The format stays (JPEG and WebP at quality 95), except that AVIF becomes JPEG. Names that are
    equal but for their endings get -2, -3 and so on.

    Args:
        paths: the files, none twice.
        out: the folder, made if need be; files left there by an earlier run are replaced.
        side: pixels.
        workers: how many pictures are read, resized and written at once (threads).
        tell: is told of every file, in order.

    Raises:
        OptionError: a number that cannot be, or a folder that cannot be written to or holds the inputs.
    """
    _require(side >= 8, f"The longer side is at least 8 pixels, not {side}.")
    _require(workers >= 1, f"At least one worker is needed, not {workers}.")
    _prepare(out, paths)
    names = _distinct([path.stem for path in paths])
    with ThreadPoolExecutor(workers) as pool:
        waiting = [pool.submit(_reduce, path, out / name, side) for path, name in zip(paths, names, strict=True)]
        try:
            problems = [_told(path, future.result, tell) for path, future in zip(paths, waiting, strict=True)]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return Outcome(written=problems.count(False), failed=problems.count(True))


def degrade_folder(
    paths: Sequence[Path],
    out: Path,
    *,
    recipe: str,
    tell: Tell,
    seed: int = 0,
    count: int | None = None,
    validation: float = 0.1,
) -> Outcome:
    """Writes pairs `degraded/NAME.png` and `sharp/NAME.png`, and `split.csv` with the columns fnames and is_val.

    Pair number i comes from a generator seeded with (seed, i). All pairs of one picture are on one side of the split.
    `fnames` names the sharp picture from where the CSV lies ("sharp/NAME.png"); the degraded one has the same NAME.

    Args:
        paths: the files, none twice.
        out: the folder, made if need be; files left there by an earlier run are replaced.
        recipe: a key of PAIR_MAKERS. Blurred pairs are 16 pixels smaller on every side than their picture.
        tell: is told of every file, in order.
        seed: of everything random, 0 and more.
        count: pairs in all, None = one for each picture; pictures are taken in turn.
        validation: the part of the pictures that is for validation, 0 to below 1; at least one unless it is 0.

    Raises:
        OptionError: a number that cannot be, or a folder that cannot be written to or holds the inputs.
        DataError: no picture could be used.
    """
    count = len(paths) if count is None else count
    _require(count >= 1, f"At least one pair is needed, not {count}.")
    _require(seed >= 0, f"The seed is a whole number from 0 on, not {seed}.")
    _require(0 <= validation < 1, f"The part for validation is 0 to below 1, not {validation:g}.")
    paths = paths[:count]
    for folder in (out, out / "degraded", out / "sharp"):
        _prepare(folder, paths)
    held_out = _held_out(len(paths), validation, seed)
    rows: list[tuple[str, bool]] = []
    failed = 0
    for number, (path, pairs) in enumerate(zip(paths, _shared_out(paths, count), strict=True)):
        job = partial(_degrade, path, out, PAIR_MAKERS[recipe], pairs, seed)
        if _told(path, job, tell):
            failed += 1
        else:
            rows += [(name, number in held_out) for name in pairs]
    if not rows:
        raise DataError("No picture could be used.")
    _write_split(out / "split.csv", rows)
    return Outcome(written=len(rows), failed=failed, validation=sum(held for _, held in rows))


def _reduce(path: Path, target: Path, side: int) -> None:
    document = read_image(path)
    if max(document.height, document.width) > side:
        factor = side / max(document.height, document.width)
        size = (max(1, round(document.height * factor)), max(1, round(document.width * factor)))
        document = replace(document, color=resize_color(document, size), alpha=resize_alpha(document, size))
    format = "jpeg" if document.origin.format in _NO_TRAINING_FORMAT else "same"
    write_image(document, target.with_name(f"{target.name}.png"), format=format, quality=_QUALITY)


def _degrade(path: Path, out: Path, make: PairMaker, pairs: dict[str, int], seed: int) -> None:
    picture = read_sharp(path)
    if min(picture.shape[:2]) < _SMALLEST:
        size = f"{picture.shape[1]} x {picture.shape[0]}"
        raise DataError(f"The picture has {size} pixels; at least {_SMALLEST} x {_SMALLEST} are needed.")
    for name, index in pairs.items():
        for folder, result in zip(
            ("degraded", "sharp"), make(np.random.default_rng([seed, index]), picture), strict=True
        ):
            document = ImageDocument(color=np.ascontiguousarray(result))
            write_image(document, out / folder / f"{name}.png", format="png")


def _told(path: Path, work: Callable[[], object], tell: Tell) -> bool:
    """Does the work and tells how it went; returns whether it failed. A folder that fills up ends everything."""
    try:
        work()
    except RestorationError as error:
        tell(path, str(error))
        return True
    except OSError as error:
        raise OptionError(f"The results cannot be written: {error.strerror or error}.") from error
    tell(path, "")
    return False


def _prepare(folder: Path, inputs: Sequence[Path]) -> None:
    """Makes the folder, after seeing that no input lies in it."""
    place = folder.resolve()
    if any(path.resolve().parent == place or path.parent.resolve() == place for path in inputs):
        raise OptionError(f"{folder} holds the inputs, which are never overwritten: choose another folder.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OptionError(f"{folder} cannot be made: {error.strerror or error}.") from error


def _distinct(stems: Sequence[str]) -> list[str]:
    """The names, those that were there before with -2, -3 and so on; capitals do not distinguish."""
    taken: set[str] = set()
    names = []
    for stem in stems:
        name, number = stem, 1
        while name.casefold() in taken:
            number += 1
            name = f"{stem}-{number}"
        taken.add(name.casefold())
        names.append(name)
    return names


def _shared_out(paths: Sequence[Path], count: int) -> list[dict[str, int]]:
    """Each picture's pairs, name -> number: the numbers below `count` are dealt out in turn."""
    turns = [range(first, count, len(paths)) for first in range(len(paths))]
    names = iter(_distinct([path.stem for path, turn in zip(paths, turns, strict=True) for _ in turn]))
    return [{next(names): index for index in turn} for turn in turns]


def _held_out(pictures: int, validation: float, seed: int) -> set[int]:
    """Which pictures are for validation: at least one, and at least one is left to train on."""
    if not validation or pictures < 2:
        return set()
    number = min(max(1, round(validation * pictures)), pictures - 1)
    return set(np.random.default_rng([seed, pictures]).permutation(pictures)[:number].tolist())


def _write_split(path: Path, rows: Sequence[tuple[str, bool]]) -> None:
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("fnames", "is_val"))
    writer.writerows((f"sharp/{name}.png", held_out) for name, held_out in rows)
    with_temporary(path, lambda handle: handle.write(text.getvalue().encode()))


def _require(holds: bool, sentence: str) -> None:
    if not holds:
        raise OptionError(sentence)
