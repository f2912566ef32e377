"""Where the faces are: YuNet when its file is on disk, otherwise the Haar cascade that travels inside OpenCV.

Pictures in, boxes out. Knows nothing of networks, documents' metadata or the page. OpenCV is imported when a
detector runs, and nothing here touches the network except `fetch_yunet`, which serving never calls.

Both detectors are made for upright faces seen from the front: profiles, faces tilted by more than about 20 degrees
(Haar) or 45 degrees (YuNet), half-covered faces, and faces smaller than about 1/60 of the longest side (YuNet, which
looks at 640 pixels) or 4 % of the shorter side (Haar) are often missed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from restoration.errors import RestorationError
from restoration.images.document import Samples

YUNET_FILE = "face_detection_yunet_2023mar.onnx"
YUNET_SHA256 = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"
YUNET_REPOSITORY = "opencv/face_detection_yunet"  # Hugging Face Hub, MIT licence, 232,589 bytes

YUNET_SMALLEST = 64  # pixels; on sides up to 32, OpenCV 4.14 reads memory nobody wrote and sees faces at infinity
SMALLEST_SIDE = 16  # pixels; a picture with a shorter side holds no face worth restoring

# A Haar alt2 square of side 1 as YuNet's box around the same face: medians over the 1,144 of 1,245 training faces that
# both detectors saw (faces of 60 to 140 pixels; benchmarks/haar_to_yunet.py, YuNet's 2026may export, which has
# the weights of 2023mar). Half the quartile range around them: 0.033, 0.048, 0.035, 0.018. With faces twice as large
# the medians are 0.825, 1.097, -0.004, 0.009. The offset to the right was -0.003 and is 0 by symmetry.
HAAR_TO_YUNET_WIDTH = 0.829
HAAR_TO_YUNET_HEIGHT = 1.102
HAAR_TO_YUNET_RIGHT = 0.0
HAAR_TO_YUNET_DOWN = 0.011


@dataclass(frozen=True, slots=True, kw_only=True)
class Face:
    """One face, as YuNet frames it: from the middle of the forehead to the chin. May reach out of the picture.

    left, top, width, height: pixels of the picture that was searched, not rounded.
    score: YuNet's confidence 0..1; None from the Haar cascade, which has none.
    """

    left: float
    top: float
    width: float
    height: float
    score: float | None = None

    @property
    def size(self) -> float:
        """The larger side in pixels (nearly always the height)."""
        return max(self.width, self.height)


class Detector(Protocol):
    """Finds the faces in a picture."""

    @property
    def name(self) -> str:
        """How reports call it."""
        ...

    def detect(self, picture: Samples) -> tuple[Face, ...]:
        """The faces, largest first, no face twice. picture: (height, width, 1 or 3), any depth of a document."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class YuNet:
    """OpenCV's YuNet (Wu, Peng, Yu 2023: "YuNet: A Tiny Millisecond-level Face Detector").

    path: the ONNX file. `find_yunet` returns only the pinned one; evaluation may name another export.
    name: how reports call it.
    threshold: faces with a lower score are dropped; at 0.6 one false face was seen in 18 photographs, at 0.75 none.
    longest: the picture is reduced until its longest side has this many pixels, since YuNet is made for
        faces of 10 to 300 pixels.
    """

    path: Path
    name: str = "YuNet 2023mar"
    threshold: float = 0.75
    longest: int = 640

    def detect(self, picture: Samples) -> tuple[Face, ...]:
        """The faces, largest first. The detector is built anew each time: it is not safe to share between threads.

        Raises:
            RestorationError: OpenCV is missing or has no FaceDetectorYN.
        """
        cv2 = _opencv("FaceDetectorYN")
        if min(picture.shape[:2]) < SMALLEST_SIDE:
            return ()
        reduced, scale = _reduce(cv2, picture, self.longest)
        height, width = np.maximum(reduced.shape[:2], YUNET_SMALLEST).tolist()
        canvas = np.zeros((height, width, 3), np.uint8)
        canvas[: reduced.shape[0], : reduced.shape[1]] = reduced[..., ::-1]  # BGR
        network = cv2.FaceDetectorYN.create(str(self.path), "", (width, height), self.threshold, 0.3, 5000)
        _, rows = network.detect(canvas)
        found = [
            Face(
                left=float(row[0]) * scale[1],
                top=float(row[1]) * scale[0],
                width=float(row[2]) * scale[1],
                height=float(row[3]) * scale[0],
                score=float(row[14]),
            )
            for row in (rows if rows is not None else ())
        ]
        return suppress_duplicates(sorted(found, key=lambda face: -(face.score or 0)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Haar:
    """OpenCV's frontal cascade "alt2" (Viola and Jones 2001; Lienhart's training): offline, always at hand.

    In a trial on 18 photographs with 37 faces it found 35 and nothing false; tilted faces were missed.

    name: how reports call it.
    neighbours: how many overlapping hits make a face.
    longest: the picture is reduced until its longest side has this many pixels.
    """

    name: str = "OpenCV Haar alt2"
    neighbours: int = 8
    longest: int = 1024

    def detect(self, picture: Samples) -> tuple[Face, ...]:
        """The faces, largest first, framed as YuNet would (see `as_yunet`).

        Raises:
            RestorationError: OpenCV is missing or has no cascades (version 5 lost them).
        """
        squares = self.squares(picture)
        return suppress_duplicates([as_yunet(x, y, side) for x, y, side in squares])

    def squares(self, picture: Samples) -> list[tuple[float, float, float]]:
        """The cascade's own squares as (centre x, centre y, side), the surest first. Raises: as `detect`."""
        cv2 = _opencv("CascadeClassifier")
        if min(picture.shape[:2]) < SMALLEST_SIDE:
            return []
        reduced, scale = _reduce(cv2, picture, self.longest)
        gray = cv2.cvtColor(reduced, cv2.COLOR_RGB2GRAY) if reduced.shape[2] == 3 else reduced[..., 0]
        cascade = cv2.CascadeClassifier(str(Path(cv2.data.haarcascades) / "haarcascade_frontalface_alt2.xml"))
        smallest = max(20, round(0.04 * min(gray.shape)))
        boxes, hits = cascade.detectMultiScale2(
            cv2.equalizeHist(gray), scaleFactor=1.1, minNeighbors=self.neighbours, minSize=(smallest, smallest)
        )
        surest = np.argsort(-np.asarray(hits).ravel(), kind="stable")
        return [
            ((left + width / 2) * scale[1], (top + height / 2) * scale[0], width * float(np.sqrt(scale[0] * scale[1])))
            for left, top, width, height in (map(float, boxes[index]) for index in surest)
        ]


def as_yunet(x: float, y: float, side: float) -> Face:
    """A cascade's square (centre and side in pixels) as the box YuNet would have drawn around the same face."""
    width, height = side * HAAR_TO_YUNET_WIDTH, side * HAAR_TO_YUNET_HEIGHT
    return Face(
        left=x + side * HAAR_TO_YUNET_RIGHT - width / 2,
        top=y + side * HAAR_TO_YUNET_DOWN - height / 2,
        width=width,
        height=height,
    )


def suppress_duplicates(faces: Sequence[Face], *, overlap: float = 0.5) -> tuple[Face, ...]:
    """Keeps the first of any two boxes that share more than `overlap` of the smaller one's area; largest first.

    Args:
        faces: the surest first.
        overlap: 0..1. Measured on the smaller box, so that an eye-sized box within a face goes too.
    """
    kept: list[Face] = []
    for face in faces:
        if all(_shared(face, other) <= overlap for other in kept):
            kept.append(face)
    return tuple(sorted(kept, key=lambda face: -face.size))


def find_yunet(folders: Iterable[Path]) -> Path | None:
    """The pinned YuNet file in the first folder that holds it with the right hash, or None. Looks only at the disk."""
    candidates = (folder / YUNET_FILE for folder in folders)
    return next((path for path in candidates if path.is_file() and _digest(path) == YUNET_SHA256), None)


def fetch_yunet(folder: Path) -> Path:
    """Downloads the pinned YuNet file into `folder`, for `find_yunet` to find. Never called while serving.

    Returns: the path of the checked file.

    Raises:
        RestorationError: the Hub cannot be reached, or what came is not the pinned file (it is deleted).
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError

    present = find_yunet([folder])
    if present is not None:
        return present
    try:
        path = Path(hf_hub_download(YUNET_REPOSITORY, YUNET_FILE, local_dir=folder))
    except (HfHubHTTPError, OSError) as error:
        raise RestorationError(f"The face detector {YUNET_FILE} could not be downloaded: {error}") from error
    digest = _digest(path)
    if digest != YUNET_SHA256:
        path.unlink()
        raise RestorationError(f"The downloaded {YUNET_FILE} is not the pinned one: its hash is {digest[:12]}...")
    return path


def choose_detector(folders: Iterable[Path]) -> Detector:
    """YuNet when its pinned file lies in one of the folders, otherwise the Haar cascade."""
    path = find_yunet(folders)
    return YuNet(path=path) if path is not None else Haar()


def _opencv(needed: str) -> ModuleType:
    """OpenCV, if it is there and has the class `needed`."""
    try:
        import cv2
    except ModuleNotFoundError as error:
        raise RestorationError("Finding faces needs OpenCV: install opencv-python-headless below version 5.") from error
    if not hasattr(cv2, needed):
        raise RestorationError(
            f"This OpenCV ({cv2.__version__}) has no {needed}: install opencv-python-headless below version 5."
        )
    return cv2


def _reduce(cv2: ModuleType, picture: Samples, longest: int) -> tuple[NDArray[np.uint8], tuple[float, float]]:
    """8-bit copy with sides up to `longest`, and how many (rows, columns) of the original one of its pixels has."""
    height, width, channels = picture.shape
    factor = min(1.0, longest / max(height, width))
    size = (max(1, round(height * factor)), max(1, round(width * factor)))
    reduced = picture
    if size != (height, width):
        reduced = cv2.resize(picture, size[::-1], interpolation=cv2.INTER_AREA).reshape(*size, channels)
    if reduced.dtype != np.uint8:
        values = reduced / 257.0 if reduced.dtype == np.uint16 else np.clip(np.nan_to_num(reduced), 0, 1) * 255
        reduced = np.rint(values)
    return reduced.astype(np.uint8, copy=False), (height / size[0], width / size[1])


def _shared(one: Face, other: Face) -> float:
    """The common area divided by the smaller box's area, 0..1."""
    width = min(one.left + one.width, other.left + other.width) - max(one.left, other.left)
    height = min(one.top + one.height, other.top + other.height) - max(one.top, other.top)
    smaller = min(one.width * one.height, other.width * other.height)
    return max(width, 0) * max(height, 0) / smaller if smaller > 0 else 0.0


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
