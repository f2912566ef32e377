"""Measures how a Haar square becomes YuNet's box: the constants in `restoration/pipelines/detection.py`.

    python benchmarks/haar_to_yunet.py --data DATA/train/faces --yunet face_detection_yunet_2023mar.onnx

Both detectors look at every picture of the folder. The training faces fill their pictures, often beyond the border,
so a quarter of edge pixels is repeated around each and the whole is reduced to half: faces of 60 to 140 pixels.
YuNet's box divided by Haar's side gives four numbers per face: width, height, and the offset of the centre to the
right and downwards. The medians are the fit (a few pairs are wild, which a mean would follow). Residuals are given
per group of the pictures' sources and as the overlap of the two boxes, before and after the conversion.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from restoration.images.document import Samples
from restoration.pipelines.detection import Face, Haar, YuNet, as_yunet

NAMES = ("width", "height", "right", "down")


def prepared(path: Path, reduction: float) -> Samples:
    """The picture with a quarter of repeated edge around it, reduced: (height, width, 3) uint8."""
    with Image.open(path) as image:
        picture = np.asarray(image.convert("RGB"))
    rows, columns = picture.shape[0] // 4, picture.shape[1] // 4
    padded = np.pad(picture, ((rows, rows), (columns, columns), (0, 0)), mode="edge")
    size = (round(padded.shape[1] / reduction), round(padded.shape[0] / reduction))
    return np.asarray(Image.fromarray(padded).resize(size, Image.Resampling.BOX))


def overlap(one: Face, other: Face) -> float:
    """Intersection over union, 0..1."""
    width = min(one.left + one.width, other.left + other.width) - max(one.left, other.left)
    height = min(one.top + one.height, other.top + other.height) - max(one.top, other.top)
    common = max(width, 0.0) * max(height, 0.0)
    return common / (one.width * one.height + other.width * other.height - common)


def pair(picture: Samples, yunet: YuNet, haar: Haar) -> tuple[list[float], float, float] | None:
    """The four numbers and the overlaps before and after conversion; None unless both detectors see the same face."""
    faces, squares = yunet.detect(picture), haar.squares(picture)
    if not faces or not squares:
        return None
    face = faces[0]
    plain = {s: Face(left=s[0] - s[2] / 2, top=s[1] - s[2] / 2, width=s[2], height=s[2]) for s in squares}
    square = max(plain, key=lambda s: overlap(plain[s], face))
    before, after = overlap(plain[square], face), overlap(as_yunet(*square), face)
    if before < 0.3:
        return None
    x, y, side = square
    right, down = face.left + face.width / 2 - x, face.top + face.height / 2 - y
    return [face.width / side, face.height / side, right / side, down / side], before, after


def summary(numbers: NDArray[np.float64], overlaps: NDArray[np.float64]) -> dict[str, object]:
    """Medians, quartiles of the residuals around them, and overlaps. numbers: (faces, 4); overlaps: (faces, 2)."""
    return {
        "faces": len(numbers),
        "median": dict(zip(NAMES, np.median(numbers, 0).round(4).tolist(), strict=True)),
        "half_quartile_range": dict(
            zip(NAMES, ((np.quantile(numbers, 0.75, 0) - np.quantile(numbers, 0.25, 0)) / 2).round(4), strict=True)
        ),
        "standard_deviation": dict(zip(NAMES, numbers.std(0).round(4).tolist(), strict=True)),
        "median_overlap_before_and_after": np.median(overlaps, 0).round(4).tolist(),
        "tenth_overlap_before_and_after": np.quantile(overlaps, 0.1, 0).round(4).tolist(),
    }


def main() -> None:
    """Prints one JSON object: the fit over all pictures, then per source."""
    parser = argparse.ArgumentParser(description="Fit of Haar alt2's squares to YuNet's boxes.")
    parser.add_argument("--data", type=Path, required=True, help="a folder of pictures with one face each")
    parser.add_argument("--yunet", type=Path, required=True, help="a YuNet ONNX file")
    parser.add_argument("--reduction", type=float, default=2.0, help="how much the padded pictures are reduced")
    options = parser.parse_args()
    yunet, haar = YuNet(path=options.yunet, name=options.yunet.name), Haar()
    paths = sorted(path for path in options.data.iterdir() if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    found = [(path.name.rsplit("_", 1)[0], pair(prepared(path, options.reduction), yunet, haar)) for path in paths]
    pairs = [(source, *one) for source, one in found if one is not None]
    if not pairs:
        parser.error(f"no face was seen by both detectors in {options.data}")
    sources = np.array([source for source, *_ in pairs])
    numbers = np.array([ratios for _, ratios, *_ in pairs])
    overlaps = np.array([both for _, _, *both in pairs])
    result = {"pictures": len(paths), "reduction": options.reduction, "all": summary(numbers, overlaps)}
    for source in sorted(set(sources.tolist())):
        result[source] = summary(numbers[sources == source], overlaps[sources == source])
    print(json.dumps(result, indent=2, default=float))


if __name__ == "__main__":
    main()
