"""Face restore: which pixels change, by how much, and what the report tells."""

import json
import os
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data
from torch import Tensor, nn

from restoration.card import Checkpoint, ModelCard, Provenance, SizeRule, Tiling
from restoration.errors import ImageFileError, OptionError, WeightsError
from restoration.images.document import ImageDocument, Origin
from restoration.images.limits import Limits
from restoration.inference.engine import Engine, finish
from restoration.inference.report import Progress, Restoration
from restoration.pipelines import detection, face_squares, faces
from restoration.pipelines.detection import Face, YuNet
from restoration.pipelines.face_squares import Square, blend, cut, face_mask, face_square
from restoration.pipelines.request import Request
from restoration.registry import Registry
from restoration.weights import Availability, WeightStore

ASTRONAUT = data.astronaut()
ASTRONAUT_FACE = Face(left=178, top=63, width=90, height=113, score=0.93)
DATA = os.environ.get("RESTORATION_DATA")


class Network(nn.Module):
    """Stands for the trained one: any function of a (1, 3, 256, 256) tensor; counts its calls."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function, self.seen = function, []

    def forward(self, x: Tensor) -> Tensor:
        assert x.shape == (1, 3, 256, 256)
        self.seen.append(x.clone())
        return self.function(x)


class Store(WeightStore):
    """One ready network, in an empty folder."""

    def __init__(self, folder: Path, network: Network) -> None:
        super().__init__(folder)
        self.network = network

    def availability(self, card: ModelCard) -> Availability:
        return Availability(True)

    def load(self, card: ModelCard) -> tuple[nn.Module, str]:
        return self.network, "of this test"


class At:
    """A detector that always sees the same faces."""

    name = "given faces"

    def __init__(self, *found: Face) -> None:
        self.found = found

    def detect(self, picture: np.ndarray) -> tuple[Face, ...]:
        return self.found


CARD = ModelCard(
    name="residual-unet-faces",
    family="residual-unet-faces",
    title="A test",
    sentence="A test.",
    task="faces",
    build=nn.Identity,
    checkpoints=(Checkpoint(name="of this test", filename="none.safetensors", licence="none"),),
    provenance=Provenance(paper="", authors="", year=2026, url="", code_url="", code_licence=""),
    size=SizeRule(multiple_of=256, minimum=256, fixed=256),
    tiling=Tiling.NEVER,
    gigaflop_per_megapixel=1.0,
)
REQUEST = Request(task="faces")


def identity(x: Tensor) -> Tensor:
    return x


def negative(x: Tensor) -> Tensor:
    return 1 - x


def redder(x: Tensor) -> Tensor:
    return x + torch.tensor([0.2, 0.0, -0.1]).view(1, 3, 1, 1)


@pytest.fixture
def make(tmp_path):
    def build(function: Callable[[Tensor], Tensor] = negative) -> tuple[Engine, Network]:
        network = Network(function)
        return Engine(Registry([CARD]), Store(tmp_path, network), device="cpu", backend="torch"), network

    return build


@pytest.fixture
def run(make):
    def restore(document: ImageDocument, function=negative, *, strength: float = 1.0, detector=None) -> Restoration:
        request = replace(REQUEST, strength=strength)
        return finish(faces.stream(make(function)[0], document, request, detector=detector))

    return restore


def test_the_precision_reaches_the_engine(make, monkeypatch):
    engine, _ = make()
    seen = []
    place = engine.place
    monkeypatch.setattr(engine, "place", lambda card, wish="auto": [seen.append(wish), place(card, wish)][1])
    request = replace(REQUEST, precision="fast")
    report = finish(faces.stream(engine, ImageDocument(color=ASTRONAUT), request)).report
    assert set(seen) == {"fast"}
    assert sum("no fast precision" in sentence for sentence in report.warnings) == 1


def outside(face: Face, height: int, width: int) -> np.ndarray:
    """True for the pixels beyond the face's square."""
    square = face_square(face)
    mask = np.ones((height, width), bool)
    mask[
        max(0, square.top) : max(0, square.top + square.side), max(0, square.left) : max(0, square.left + square.side)
    ] = False
    return mask


def changed(result: Restoration, document: ImageDocument) -> np.ndarray:
    return (result.image.color != document.color).any(axis=2)


def mosaic() -> np.ndarray:
    return np.concatenate([np.concatenate([ASTRONAUT] * 2, 1)] * 2, 0)


def test_the_astronauts_face_is_found_restored_and_reported(run):
    document = ImageDocument(color=ASTRONAUT)
    result = run(document)
    touched = changed(result, document)
    assert touched[114, 223]
    assert 0.02 < touched.mean() < 0.12
    report = json.loads(json.dumps(result.report.as_json()))
    (face,) = report["details"]["faces"]
    left, top, width, height = face["box"]
    assert left < 223 < left + width
    assert top < 114 < top + height
    assert face["score"] is None
    assert abs(face["side"] - 1.5 * max(width, height)) <= 1
    assert report["details"]["detector"] == "OpenCV Haar alt2"
    assert (report["task"], report["model"], report["checkpoint"]) == ("faces", "residual-unet-faces", "of this test")
    assert (report["tiles"], report["device"], report["warnings"]) == (1, "cpu", [])
    assert report["seconds"].keys() == {"detect", "restore"}


@pytest.mark.parametrize("strength", [0.0, 1.0])
def test_a_landscape_is_left_untouched_and_the_report_says_so(run, strength):
    document = ImageDocument(color=data.rocket(), origin=Origin(notes=("Read with care.",)))
    result = run(document, strength=strength)
    assert np.array_equal(result.image.color, document.color)
    assert result.report.warnings == ("Read with care.", "No face was found, so the photo was left untouched.")
    assert result.report.tiles == 0
    assert result.report.as_json()["details"] == {"detector": "OpenCV Haar alt2", "faces": []}


def test_every_face_of_a_mosaic_is_restored_with_progress_per_face(make):
    engine, network = make()
    document = ImageDocument(color=mosaic())
    *steps, result = faces.stream(engine, document, REQUEST)
    progress = [(step.done, step.total) for step in steps if isinstance(step, Progress)]
    assert progress == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]
    assert isinstance(result, Restoration)
    assert result.report.tiles == len(result.report.details["faces"]) == 4
    touched = changed(result, document)
    assert all(touched[114 + row, 223 + column] for row in (0, 512) for column in (0, 512))
    assert len({tuple(face["box"]) for face in result.report.details["faces"]}) == 4
    assert len(network.seen) >= 4


def test_closing_the_stream_stops_before_the_next_face(make):
    engine, network = make()
    steps = faces.stream(engine, ImageDocument(color=mosaic()), REQUEST)
    next(steps)
    assert next(steps).done == 1  # pyright: ignore[reportAttributeAccessIssue]
    before = len(network.seen)
    steps.close()
    assert len(network.seen) == before
    other = finish(engine.stream(ImageDocument(color=np.zeros((256, 256, 3), np.uint8)), CARD))
    assert other.report.tiles == 1  # the engine is free again


@pytest.mark.timeout(30)
def test_a_waiting_job_says_that_it_waits(make):
    engine, _ = make()
    first = engine.stream(ImageDocument(color=np.zeros((256, 256, 3), np.uint8)), CARD)
    next(first)
    steps = faces.stream(engine, ImageDocument(color=ASTRONAUT), REQUEST, detector=At(ASTRONAUT_FACE))
    assert next(steps).stage == "restore"  # pyright: ignore[reportAttributeAccessIssue]
    waiting = next(steps)
    assert isinstance(waiting, Progress)
    assert (waiting.stage, waiting.done, waiting.total) == ("queue", 0, 1)
    first.close()
    assert finish(steps).report.tiles == 1


@pytest.mark.parametrize(
    "face",
    [
        ASTRONAUT_FACE,
        Face(left=-20, top=-30, width=90, height=110),
        Face(left=470, top=450, width=80, height=100),
        Face(left=-100, top=-100, width=700, height=800),
    ],
    ids=["inside", "top left", "bottom right", "larger than the picture"],
)
def test_pixels_outside_the_square_are_bit_identical_and_the_face_changes(run, face):
    document = ImageDocument(color=ASTRONAUT)
    result = run(document, detector=At(face))
    away = outside(face, 512, 512)
    assert np.array_equal(result.image.color[away], ASTRONAUT[away])
    assert changed(result, document)[~away].mean() > 0.4
    assert document.color is ASTRONAUT
    assert np.array_equal(ASTRONAUT, data.astronaut())


@pytest.mark.parametrize("side", [2, 3, 24, 25, 256, 400])
def test_the_mask_is_zero_at_the_border_one_over_the_face_and_symmetric(side):
    mask = face_mask(side, slice(0, side))
    assert mask.shape == (side, side)
    border = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    assert not border.any()
    assert np.allclose(mask, mask[::-1, ::-1], atol=1e-5)
    assert np.allclose(mask, mask.T, atol=1e-5)
    assert np.array_equal(mask[1:2], face_mask(side, slice(1, 2)))
    if side > 3:
        low, high = round(side * 0.2), round(side * 0.8)  # holds the detector's box: 1 / 1.5 of the side
        assert mask[low:high, side // 2].min() == 1
        assert np.abs(np.diff(mask, axis=1)).max() < 16 / side


def test_the_square_is_cut_as_the_training_faces_were():
    assert face_square(Face(left=100, top=100, width=80, height=100)) == Square(65, 72, 150)
    assert face_square(Face(left=100, top=100, width=100, height=80)) == Square(75, 62, 150)


def test_a_square_that_leaves_the_picture_is_mirrored_for_the_network():
    picture = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    document = ImageDocument(color=picture)
    for square in (Square(-100, -90, 256), Square(-5, 10, 256), Square(30, -200, 256)):
        rows = [square.top + index for index in range(256)]
        columns = [square.left + index for index in range(256)]
        padded = np.pad(picture, ((300, 300), (300, 300), (0, 0)), mode="reflect")
        expected = padded[np.ix_([row + 300 for row in rows], [column + 300 for column in columns])]
        assert np.allclose(cut(document, square), expected / 255, atol=1e-6)


@pytest.mark.parametrize("shape", [(1, 1), (1, 30), (30, 1)])
def test_a_picture_one_pixel_thin_can_be_cut_and_blended(shape):
    document = ImageDocument(color=np.full((*shape, 3), 100, np.uint8))
    result = document.color.copy()
    assert np.allclose(cut(document, Square(-40, -40, 80)), 100 / 255)
    blend(result, document, Square(-40, -40, 80), np.full((256, 256, 3), 0.2, np.float32))
    assert result[0, 0].tolist() == [151, 151, 151]


def test_strength_zero_gives_the_photos_own_pixels_without_running(make):
    engine, network = make()
    result = finish(faces.stream(engine, ImageDocument(color=ASTRONAUT), replace(REQUEST, strength=0.0)))
    assert np.array_equal(result.image.color, ASTRONAUT)
    assert (network.seen, result.report.tiles, len(result.report.details["faces"])) == ([], 0, 1)


def test_strength_moves_every_pixel_that_far_towards_the_result(run):
    document = ImageDocument(color=ASTRONAUT)
    full, half = (
        run(document, strength=strength, detector=At(ASTRONAUT_FACE)).image.color.astype(float)
        for strength in (1.0, 0.5)
    )
    assert np.abs(half - (full + ASTRONAUT) / 2).max() <= 1


@pytest.mark.parametrize("zoom", [0.4, 1.0, 3.0])
def test_a_network_that_changes_nothing_changes_no_pixel(run, zoom):
    size = round(512 * zoom)
    picture = cv2.resize(ASTRONAUT, (size, size), interpolation=cv2.INTER_AREA if zoom < 1 else cv2.INTER_CUBIC)
    face = Face(left=178 * zoom, top=63 * zoom, width=90 * zoom, height=113 * zoom)
    assert np.array_equal(run(ImageDocument(color=picture), identity, detector=At(face)).image.color, picture)


def test_a_flat_change_reaches_the_face_in_full_at_every_size(run):
    for side in (20, 171, 600):
        document = ImageDocument(color=np.full((1000, 1000, 3), 100, np.uint8))
        face = Face(left=500 - side / 2, top=500 - side / 2, width=side, height=side)
        result = run(document, redder, detector=At(face)).image.color
        assert result[500, 500].tolist() == [151, 100, 74]
        assert result[500, round(500 + 0.3 * side)].tolist() == [151, 100, 74]


def test_a_face_larger_than_the_network_keeps_its_finest_detail(run):
    rng = np.random.default_rng(1)
    picture = cv2.resize(ASTRONAUT, (2048, 2048), interpolation=cv2.INTER_CUBIC).astype(float)
    picture = np.clip(picture + rng.normal(0, 8, picture.shape), 20, 200).astype(np.uint8)
    face = Face(left=178 * 4, top=63 * 4, width=90 * 4, height=113 * 4)
    result = run(ImageDocument(color=picture), lambda x: 0.9 * x + 0.05, detector=At(face)).image.color
    heart = slice(350, 600), slice(750, 1000)

    def energy(pixels: np.ndarray) -> float:
        values = pixels[heart].astype(np.float32)
        return float(np.square(values - cv2.GaussianBlur(values, (0, 0), 1.0)).mean())

    assert not np.array_equal(result[heart], picture[heart])
    assert 0.93 < energy(result) / energy(picture) < 1.05


def test_a_huge_face_is_blended_in_bands_without_a_seam(run, monkeypatch):
    picture = cv2.resize(ASTRONAUT, (1024, 1024), interpolation=cv2.INTER_CUBIC)
    face = Face(left=356, top=126, width=180, height=226)
    whole = run(ImageDocument(color=picture), detector=At(face)).image.color
    monkeypatch.setattr(face_squares, "BAND_PIXELS", 5000)
    banded = run(ImageDocument(color=picture), detector=At(face)).image.color
    assert np.abs(whole.astype(int) - banded).max() <= 1
    assert (whole != banded).mean() < 1e-3


def test_overlapping_faces_are_laid_over_each_other_and_no_change_is_added_twice(run):
    document = ImageDocument(color=np.full((400, 400, 3), 100, np.uint8))
    first = Face(left=100, top=100, width=100, height=110)
    second = Face(left=150, top=120, width=100, height=100)
    result = run(document, redder, detector=At(first, second)).image.color
    assert result[160, 170].tolist() == [151, 100, 74]
    assert result[..., 0].max() == 151
    assert result[160, 120, 0] == result[160, 230, 0] == 151


def test_gray_stays_gray_and_takes_the_mean_of_the_channels(run):
    document = ImageDocument(color=np.full((300, 300, 1), 100, np.uint8), origin=Origin(gray=True))
    result = run(document, redder, detector=At(Face(left=100, top=100, width=80, height=100))).image.color
    assert result.shape == (300, 300, 1)
    assert result[150, 140, 0] == round(100 + 255 * 0.1 / 3)


def test_sixteen_bits_keep_their_depth(run):
    deep = ASTRONAUT.astype(np.uint16) * 257 + np.random.default_rng(2).integers(0, 200, ASTRONAUT.shape, np.uint16)
    document = ImageDocument(color=np.minimum(deep, 60000), origin=Origin(bits=16))
    face = At(ASTRONAUT_FACE)
    same = run(document, identity, detector=face).image.color
    assert same.dtype == np.uint16
    assert np.array_equal(same, document.color)
    brighter = run(document, lambda x: x + 1 / 1024, detector=face).image.color.astype(int) - document.color
    assert abs(np.median(brighter[90:150, 190:250]) - 64) <= 1  # a step that 8 bits cannot hold


def test_float_files_keep_what_lies_beyond_white_and_below_black(run):
    color = (ASTRONAUT / 255).astype(np.float32)
    color[100:104, 200:204], color[120:124, 210:214] = 3.0, -0.5
    result = run(ImageDocument(color=color), redder, detector=At(ASTRONAUT_FACE)).image.color
    assert result.dtype == np.float32
    assert result[101, 201, 1] == pytest.approx(3.0, abs=1e-3)
    assert result[121, 211, 1] == pytest.approx(-0.5, abs=1e-3)
    assert result[121, 211, 0] == pytest.approx(-0.3, abs=1e-3)
    away = outside(ASTRONAUT_FACE, 512, 512)
    assert np.array_equal(result[away], color[away])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_float_picture_with_values_that_are_no_numbers_is_refused_as_everywhere(run, value):
    color = (ASTRONAUT / 255).astype(np.float32)
    color[5, 5] = value
    with pytest.raises(ImageFileError, match="not numbers"):
        run(ImageDocument(color=color), detector=At(ASTRONAUT_FACE))


def test_alpha_is_kept_and_never_seen_by_the_network(make):
    alpha = np.random.default_rng(3).integers(0, 256, (512, 512), dtype=np.uint8)
    origin = Origin(format="PNG", dpi=(72, 72))
    seen = []
    for document in (ImageDocument(color=ASTRONAUT, alpha=alpha, origin=origin), ImageDocument(color=ASTRONAUT)):
        engine, network = make()
        result = finish(faces.stream(engine, document, REQUEST, detector=At(ASTRONAUT_FACE)))
        assert result.image.alpha is document.alpha
        assert result.image.origin == document.origin
        seen.append(network.seen[-1])
    assert torch.equal(*seen)


def test_small_faces_are_skipped_with_a_note(run):
    document = ImageDocument(color=ASTRONAUT)
    small = Face(left=300, top=300, width=12, height=15.9)
    result = run(document, detector=At(ASTRONAUT_FACE, small))
    assert result.report.tiles == len(result.report.details["faces"]) == 1
    assert result.report.warnings == ("1 face was under 16 pixels, too small to restore, and left untouched.",)
    away = outside(ASTRONAUT_FACE, 512, 512)
    assert np.array_equal(result.image.color[away], ASTRONAUT[away])
    only = run(document, detector=At(small, small))
    assert np.array_equal(only.image.color, ASTRONAUT)
    assert only.report.warnings == ("2 faces were under 16 pixels, too small to restore, and left untouched.",)


def test_the_networks_warnings_reach_the_report_once(run, monkeypatch):
    told = Engine.stream

    def warning(self, *arguments, **options):
        for step in told(self, *arguments, **options):
            done = isinstance(step, Restoration)
            told_more = {"report": replace(step.report, warnings=("On the CPU.",), device="elsewhere")} if done else {}
            yield replace(step, **told_more)

    monkeypatch.setattr(Engine, "stream", warning)
    twice = At(ASTRONAUT_FACE, Face(left=10, top=300, width=50, height=60))
    report = run(ImageDocument(color=ASTRONAUT), detector=twice).report
    assert (report.warnings, report.device) == (("On the CPU.",), "elsewhere")


def test_a_model_that_cannot_be_used_and_a_broken_limit_are_one_sentence(tmp_path, make):
    document = ImageDocument(color=ASTRONAUT)
    with pytest.raises(WeightsError, match="cannot be used here"):
        next(
            faces.stream(
                Engine(Registry([CARD]), WeightStore(tmp_path), device="cpu", backend="torch"), document, REQUEST
            )
        )
    other = Engine(Registry([replace(CARD, task="deblur")]), make()[0].store, device="cpu", backend="torch")
    with pytest.raises(OptionError, match="is for deblur, not for faces"):
        next(faces.stream(other, document, REQUEST))
    engine = Engine(
        Registry([CARD]), make()[0].store, device="cpu", backend="torch", limits=Limits(output_megapixels=0.1)
    )
    with pytest.raises(ImageFileError):
        next(faces.stream(engine, document, REQUEST))


def test_the_detector_beside_the_weights_is_used(make, tmp_path, monkeypatch):
    engine, _ = make(identity)
    content = b"stands for the pinned file"
    (tmp_path / detection.YUNET_FILE).write_bytes(content)
    monkeypatch.setattr(detection, "YUNET_SHA256", detection.hashlib.sha256(content).hexdigest())
    monkeypatch.setattr(YuNet, "detect", lambda self, picture: (ASTRONAUT_FACE,))
    report = finish(faces.stream(engine, ImageDocument(color=ASTRONAUT), REQUEST)).report
    assert report.details["detector"] == "YuNet 2023mar"
    assert report.details["faces"] == [{"box": [178, 63, 90, 113], "score": 0.93, "side": 170}]


@pytest.mark.skipif(not DATA, reason="RESTORATION_DATA is not set: no training faces here")
def test_training_portraits_are_cut_about_as_they_were():
    yunet = YuNet(path=Path(str(DATA)) / "models" / "face_detection_yunet_2026may.onnx")
    squares = []
    for path in sorted((Path(str(DATA)) / "train" / "faces").glob("faker_portraits_*.jpg"))[:40]:
        found = yunet.detect(np.asarray(Image.open(path)))
        square = face_square(found[0])
        squares.append((square.side, square.left + square.side / 2, square.top + square.side / 2))
    side, x, y = np.median(squares, axis=0)
    assert abs(side - 256) < 9
    assert abs(x - 128) < 5
    assert abs(y - 128) < 5


@pytest.mark.parametrize("channels", [1, 3])
def test_faces_blended_into_the_photo_itself_are_what_a_copy_would_hold(make, channels):
    found = [
        Face(left=100, top=100, width=100, height=110),
        Face(left=150, top=120, width=100, height=100),
        Face(left=-20, top=300, width=90, height=90),
    ]
    color = np.random.default_rng(0).integers(0, 256, (700, 700, channels), dtype=np.uint8)
    results = []
    for reuse in (False, True):
        document = ImageDocument(color=color.copy())
        steps = faces.stream(make(negative)[0], document, REQUEST, detector=At(*found), reuse=reuse)
        results.append(finish(steps).image.color)
        assert np.shares_memory(results[-1], document.color) is reuse
    assert (results[0] == results[1]).all()
    assert not (results[0] == color).all()


def test_a_photo_that_is_all_faces_is_copied_at_once(make):
    document = ImageDocument(color=ASTRONAUT.copy())
    steps = faces.stream(make(negative)[0], document, REQUEST, detector=At(*[ASTRONAUT_FACE] * 20), reuse=True)
    assert not np.shares_memory(finish(steps).image.color, document.color)


def test_many_faces_are_kept_as_small_as_they_are_until_their_turn():
    """As the network takes them, each has 786 kB."""
    document = ImageDocument(color=np.zeros((1500, 2000, 3), np.uint8))
    squares = [face_square(Face(left=10 + i % 40 * 48, top=10 + i // 40 * 48, width=16, height=20)) for i in range(200)]
    tracemalloc.start()
    try:
        color, pieces = faces._begun(document, squares, True)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert color is document.color
    assert peak < 2_000_000
    assert len(list(pieces)) == 200


@pytest.mark.parametrize("count", [1, 8])
def test_a_row_of_faces_is_no_picture_that_a_limit_could_be_for(make, count):
    engine = make(negative)[0]
    engine.limits = Limits(output_megapixels=0.3)
    found = [Face(left=20 + 50 * i, top=100, width=40, height=48) for i in range(count)]
    steps = faces.stream(engine, ImageDocument(color=ASTRONAUT.copy()), REQUEST, detector=At(*found))
    assert finish(steps).report.tiles == count
