"""Where the pairs of an evaluation come from: sharp pictures spoiled by a protocol, or two folders of equal names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from restoration.card import ModelCard
from restoration.errors import DataError, ImageFileError
from restoration.evaluation import protocols
from restoration.evaluation.protocols import Kernel, Picture


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One thing to restore. degraded: the network's input; baseline and sharp have the output's size."""

    name: str
    degraded: Picture
    baseline: Picture
    sharp: Picture


@dataclass(frozen=True, slots=True, kw_only=True)
class PairFiles:
    """A picture in both folders. name: its path in them, without its ending."""

    name: str
    degraded: Path
    sharp: Path


def protocol_pairs(card: ModelCard, paths: Sequence[Path], kernels: Sequence[Kernel]) -> Iterator[Pair]:
    """The pairs of the card's task, lazily, in the order of the paths (deblur: all kernels of a picture in turn).

    Raises:
        DataError: a picture cannot be read or does not fit the protocol.
    """
    for index, path in enumerate(paths):
        sharp = _read(path)
        _require_fixed(card, sharp, path)
        degraded = protocols.degrade(card.task, sharp, index, scale=card.scale, kernels=kernels)
        for number, picture in enumerate(degraded):
            name = f"{path.stem}, kernel {number + 1}" if len(degraded) > 1 else path.stem
            if card.task == "enlarge":
                baseline = protocols.enlarge_bicubic(picture, card.scale)
                sharp = protocols.reduce(sharp, card.scale)[1]
            else:
                baseline = picture
            yield Pair(name=name, degraded=picture, baseline=baseline, sharp=sharp)


def match_folders(degraded: Path, sharp: Path) -> list[PairFiles]:
    """The pictures of two folders, sub-folders included, brought together by their names without ending.

    Returns: in natural order.

    Raises:
        DataError: a folder is not there or empty, or a picture has no partner, or two.
    """
    inputs, truths = _named(degraded), _named(sharp)
    for ours, others, here, there in ((inputs, truths, degraded, sharp), (truths, inputs, sharp, degraded)):
        alone = [name for name in ours if name not in others]
        if alone:
            raise DataError(
                f"The folders do not match: {len(alone)} of {len(ours)} pictures in {here} have no partner of the same "
                f"name in {there}, the first is '{alone[0]}'."
            )
    return [PairFiles(name=name, degraded=path, sharp=truths[name]) for name, path in inputs.items()]


def fitting_cards(cards: Sequence[ModelCard], files: PairFiles) -> tuple[ModelCard, ...]:
    """The cards whose scale is that of a pair; all of them where there is one scale to choose from.

    Raises:
        DataError: a picture cannot be read, or none of several scales is the pair's.
    """
    scales = sorted({card.scale for card in cards})
    if len(scales) < 2:
        return tuple(cards)
    small, large = _read(files.degraded).shape[:2], _read(files.sharp).shape[:2]
    fitting = tuple(card for card in cards if large == (small[0] * card.scale, small[1] * card.scale))
    if not fitting:
        raise DataError(
            f"{files.sharp} has {large[1]} x {large[0]} pixels and its partner {small[1]} x {small[0]}, which is none "
            f"of the scales {', '.join(map(str, scales))}."
        )
    return fitting


def folder_pairs(card: ModelCard, files: Sequence[PairFiles]) -> Iterator[Pair]:
    """The pairs of two folders, lazily.

    Raises:
        DataError: a picture cannot be read, or its size does not fit its partner's or the card.
    """
    for one in files:
        degraded, sharp = _read(one.degraded), _read(one.sharp)
        _require_fixed(card, degraded, one.degraded)
        height, width = (side * card.scale for side in degraded.shape[:2])
        if sharp.shape[:2] != (height, width):
            found = f"{sharp.shape[1]} x {sharp.shape[0]}"
            raise DataError(f"{one.sharp} has {found} pixels; its partner asks for {width} x {height} ('{card.name}').")
        baseline = protocols.enlarge_bicubic(degraded, card.scale) if card.scale > 1 else degraded
        yield Pair(name=one.name, degraded=degraded, baseline=baseline, sharp=sharp)


def _named(folder: Path) -> dict[str, Path]:
    """The pictures below a folder by their path in it without ending, in natural order."""
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder} with pictures.")
    found: dict[str, Path] = {}
    paths = (path for path in folder.rglob("*") if path.suffix.lower() in protocols.SUFFIXES and path.is_file())
    for path in sorted(paths, key=lambda path: protocols.natural_key(path.relative_to(folder).as_posix())):
        name = path.relative_to(folder).with_suffix("").as_posix()
        if name in found:
            raise DataError(f"The folder {folder} holds two pictures named '{name}'.")
        found[name] = path
    if not found:
        raise DataError(f"The folder {folder} holds no picture.")
    return found


def _read(path: Path) -> Picture:
    try:
        return protocols.read_sharp(path)
    except ImageFileError as error:
        raise DataError(f"{path}: {error}") from error


def _require_fixed(card: ModelCard, picture: Picture, path: Path) -> None:
    if card.size.fixed and picture.shape[:2] != (card.size.fixed, card.size.fixed):
        raise DataError(f"{path.name} is not {card.size.fixed} x {card.size.fixed} pixels, as '{card.name}' needs.")
