"""Face detection: what is found, where, and which detector answers."""

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from PIL import Image
from skimage import data

from restoration.errors import RestorationError
from restoration.pipelines import detection
from restoration.pipelines.detection import Face, Haar, YuNet, choose_detector, find_yunet, suppress_duplicates

ASTRONAUT = data.astronaut()
FACE_X, FACE_Y = 177 + 93 / 2, 67 + 93 / 2  # another cascade's box on the same picture, checked by eye
DATA = os.environ.get("RESTORATION_DATA")

needs_data = pytest.mark.skipif(not DATA, reason="RESTORATION_DATA is not set: no YuNet, no training faces")


def yunet() -> YuNet:
    return YuNet(path=Path(str(DATA)) / "models" / "face_detection_yunet_2026may.onnx", name="YuNet 2026may")


def centre(face: Face) -> tuple[float, float]:
    return face.left + face.width / 2, face.top + face.height / 2


def overlap(one: Face, other: Face) -> float:
    width = min(one.left + one.width, other.left + other.width) - max(one.left, other.left)
    height = min(one.top + one.height, other.top + other.height) - max(one.top, other.top)
    common = max(0, width) * max(0, height)
    return common / (one.width * one.height + other.width * other.height - common)


def detectors() -> list:
    return [pytest.param(Haar, id="haar"), pytest.param(yunet, id="yunet", marks=needs_data)]


def test_the_astronaut_has_one_face_where_her_face_is():
    (face,) = Haar().detect(ASTRONAUT)
    x, y = centre(face)
    assert abs(x - FACE_X) < 10
    assert abs(y - FACE_Y) < 10
    assert 75 < face.size < 115
    assert face.height > face.width
    assert face.score is None


@needs_data
def test_a_converted_haar_box_lies_on_yunets_box():
    (haar,), (reference,) = Haar().detect(ASTRONAUT), yunet().detect(ASTRONAUT)
    assert overlap(haar, reference) > 0.7
    assert abs(haar.size - reference.size) < 0.12 * reference.size
    assert reference.score is not None
    assert 0.75 <= reference.score <= 1


@needs_data
def test_haar_squares_fit_yunets_boxes_on_training_faces_better_when_converted():
    folder = Path(str(DATA)) / "train" / "faces"
    plain, converted = [], []
    for path in sorted(folder.glob("faker_portraits_*.jpg"))[:20]:
        picture = np.asarray(Image.open(path))
        squares, faces = Haar().squares(picture), yunet().detect(picture)
        if squares and faces:
            x, y, side = squares[0]
            square = Face(left=x - side / 2, top=y - side / 2, width=side, height=side)
            plain.append(overlap(square, faces[0]))
            converted.append(overlap(detection.as_yunet(x, y, side), faces[0]))
    assert len(plain) >= 15
    assert np.median(converted) > 0.8 > np.median(plain)


@pytest.mark.parametrize("make", detectors())
@pytest.mark.parametrize(
    "picture", [data.coffee(), data.rocket(), np.zeros((300, 200, 3), np.uint8)], ids=["coffee", "rocket", "black"]
)
def test_pictures_without_faces_have_none(make, picture):
    assert make().detect(picture) == ()


@pytest.mark.parametrize("make", detectors())
@pytest.mark.parametrize("size", [(1, 1), (1, 400), (15, 15), (16, 16), (17, 300)])
def test_tiny_pictures_are_no_error(make, size):
    for _ in range(10):  # what is wrong with a tiny picture shows only sometimes
        scratch = np.full((400, 1000), 1e30, np.float32)  # freed memory that holds no zeros
        del scratch
        assert make().detect(np.full((*size, 3), 128, np.uint8)) == ()


@pytest.mark.parametrize("make", detectors())
def test_a_mosaic_of_four_has_four_faces_largest_first(make):
    small = cv2.resize(ASTRONAUT, (256, 256), interpolation=cv2.INTER_AREA)
    mosaic = np.zeros((1024, 1024, 3), np.uint8)
    mosaic[:512, :512], mosaic[:512, 512:], mosaic[512:, :512] = ASTRONAUT, ASTRONAUT, ASTRONAUT
    mosaic[600:856, 600:856] = small
    faces = make().detect(mosaic)
    assert len(faces) == 4
    assert [face.size for face in faces] == sorted((face.size for face in faces), reverse=True)
    x, y = centre(faces[-1])
    assert abs(x - (600 + FACE_X / 2)) < 8
    assert abs(y - (600 + FACE_Y / 2)) < 8


@pytest.mark.parametrize("make", detectors())
def test_boxes_of_a_reduced_picture_are_scaled_back_in_both_directions(make):
    large = cv2.resize(ASTRONAUT, (2001, 2000), interpolation=cv2.INTER_CUBIC)
    (face,) = make().detect(large)
    x, y = centre(face)
    assert abs(x - FACE_X * 2001 / 512) < 40
    assert abs(y - FACE_Y * 2000 / 512) < 40
    assert 300 < face.size < 450


@pytest.mark.parametrize("make", detectors())
def test_depth_and_gray_find_the_same_face(make):
    (expected,) = make().detect(ASTRONAUT)
    wide = ASTRONAUT.astype(np.uint16) * 257
    floats = (ASTRONAUT / 255).astype(np.float32)
    assert make().detect(wide) == (expected,)
    assert make().detect(floats) == (expected,)
    gray = cv2.cvtColor(ASTRONAUT, cv2.COLOR_RGB2GRAY)[..., None]
    (face,) = make().detect(gray)
    assert overlap(face, expected) > 0.8


def test_a_sixteen_bit_picture_above_the_limit_is_reduced_and_searched():
    large = cv2.resize(ASTRONAUT.astype(np.uint16) * 257, (1500, 1500), interpolation=cv2.INTER_CUBIC)
    (face,) = Haar().detect(large)
    assert 210 < face.size < 340


def test_duplicates_and_boxes_within_a_box_are_suppressed():
    first = Face(left=10, top=10, width=100, height=120, score=0.9)
    shifted = Face(left=20, top=14, width=100, height=120, score=0.8)
    within = Face(left=40, top=60, width=30, height=30, score=0.99)
    neighbour = Face(left=90, top=10, width=100, height=130, score=0.76)
    assert suppress_duplicates([first, shifted, within, neighbour]) == (neighbour, first)


def test_without_the_yunet_file_haar_answers(tmp_path):
    assert find_yunet([tmp_path, tmp_path / "absent"]) is None
    assert choose_detector([tmp_path]).name == "OpenCV Haar alt2"


def test_a_file_with_another_hash_is_not_yunet(tmp_path):
    (tmp_path / detection.YUNET_FILE).write_bytes(b"something else")
    assert find_yunet([tmp_path]) is None
    assert isinstance(choose_detector([tmp_path]), Haar)


def test_the_pinned_file_makes_yunet_answer_from_any_of_the_folders(tmp_path, monkeypatch):
    content = b"stands for the pinned file"
    monkeypatch.setattr(detection, "YUNET_SHA256", detection.hashlib.sha256(content).hexdigest())
    (tmp_path / detection.YUNET_FILE).write_bytes(content)
    chosen = choose_detector([tmp_path / "absent", tmp_path])
    assert chosen == YuNet(path=tmp_path / detection.YUNET_FILE)
    assert chosen.name == "YuNet 2023mar"


def fake_hub(monkeypatch, content: bytes | OSError) -> None:
    def download(repository: str, name: str, *, local_dir: Path) -> str:
        assert (repository, name) == ("opencv/face_detection_yunet", detection.YUNET_FILE)
        if isinstance(content, OSError):
            raise content
        (local_dir / name).write_bytes(content)
        return str(local_dir / name)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)


def test_a_downloaded_file_that_is_not_the_pinned_one_is_deleted(tmp_path, monkeypatch):
    fake_hub(monkeypatch, b"not the detector")
    with pytest.raises(RestorationError, match="not the pinned one"):
        detection.fetch_yunet(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_download_without_a_network_is_one_sentence(tmp_path, monkeypatch):
    fake_hub(monkeypatch, OSError("no route to host"))
    with pytest.raises(RestorationError, match="could not be downloaded: no route to host"):
        detection.fetch_yunet(tmp_path)


def test_the_right_download_is_kept_and_not_fetched_twice(tmp_path, monkeypatch):
    content = b"stands for the pinned file"
    monkeypatch.setattr(detection, "YUNET_SHA256", detection.hashlib.sha256(content).hexdigest())
    fake_hub(monkeypatch, content)
    path = detection.fetch_yunet(tmp_path)
    assert path.read_bytes() == content
    fake_hub(monkeypatch, OSError("must not be asked again"))
    assert detection.fetch_yunet(tmp_path) == path


def test_an_opencv_without_cascades_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", SimpleNamespace(__version__="5.0.0"))
    with pytest.raises(RestorationError, match=r"This OpenCV \(5\.0\.0\) has no CascadeClassifier"):
        Haar().detect(ASTRONAUT)


def test_no_opencv_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(RestorationError, match="needs OpenCV"):
        Haar().detect(ASTRONAUT)
