"""Before and after: two pictures, whatever memory the job saves."""

import io
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from restoration.images.document import ImageDocument
from restoration.images.limits import Limits
from restoration.images.reading import read_image
from restoration.inference.engine import finish
from restoration.pipelines import faces
from restoration.pipelines.detection import Face
from restoration.pipelines.request import Request
from restoration.pipelines.restore import stream
from restoration.ui.handlers import page_updates
from restoration.ui.jobs import Done, Order, stream_job
from restoration.ui.uploads import Photo
from tests.ui.conftest import picture
from tests.ui.fakes import fake_engine

ENGINE = fake_engine(Limits())
PREVIEW = 1600


@pytest.fixture(autouse=True)
def own_cache_and_a_face(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    face = Face(left=70, top=60, width=90, height=100)
    detector = SimpleNamespace(name="fake", detect=lambda _pixels: (face,))
    monkeypatch.setattr(faces, "choose_detector", lambda _folders: detector)


def upload(mode: str, width: int) -> tuple[Image.Image, bytes]:
    """A photo 240 pixels high, and its file."""
    rows, columns = np.mgrid[:240, :width]
    chequers = (rows // 20 + columns // 20) % 2
    photo = Image.fromarray(np.where(chequers[..., None], picture(240, width), 128).astype(np.uint8)).convert(mode)
    if "A" in mode:
        photo.putalpha(Image.fromarray(np.tile(np.linspace(90, 255, width).astype(np.uint8), (240, 1))))
    file = io.BytesIO()
    photo.save(file, "PNG", compress_level=1)
    return photo, file.getvalue()


@pytest.mark.parametrize("width", [300, 4000])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
@pytest.mark.parametrize("task", ["deblur", "enhance", "faces", "enlarge"])
def test_before_is_the_photo_and_after_is_the_result(task: str, mode: str, width: int) -> None:
    photo, file = upload(mode, width)
    request = Request(task=task)
    *_, done = stream_job(ENGINE, Photo(source=file, name="a.png"), Order(request=request, output_format="png"))
    assert isinstance(done, Done)
    shown = (
        photo if width <= PREVIEW else photo.resize((PREVIEW, round(240 * PREVIEW / width)), Image.Resampling.BICUBIC)
    )
    np.testing.assert_array_equal(as_shown(done.before), np.asarray(shown).reshape(*shown.size[::-1], -1))
    assert not np.shares_memory(done.before.color, done.after.color)
    if done.before.alpha is not None:
        assert not np.shares_memory(done.before.alpha, done.after.alpha)
    expected = finish(stream(ENGINE, read_image(file), request)).image
    written = read_image(done.path)
    np.testing.assert_array_equal(written.color, expected.color)
    np.testing.assert_array_equal(written.alpha, expected.alpha)
    if task != "enlarge":
        assert (written.color != read_image(file).color).any()


def as_shown(document: ImageDocument) -> np.ndarray:
    """(height, width, channels), alpha last."""
    alpha = [] if document.alpha is None else [document.alpha[..., None]]
    return np.concatenate([document.color, *alpha], axis=2)


@pytest.mark.parametrize("width", [300, 4000])
def test_the_slider_shows_the_photo_on_the_left_and_the_result_on_the_right(width: int) -> None:
    photo, file = upload("RGB", width)
    job = stream_job(ENGINE, Photo(source=file, name="a.png"), Order(request=Request(task="deblur")))
    *_, last = page_updates(job)
    left, right = (np.asarray(Image.open(path)).astype(int) for path in last[3]["value"])
    small = photo.resize(left.shape[1::-1], Image.Resampling.BICUBIC)
    assert np.abs(left - np.asarray(small)).mean() < 1.5
    assert np.abs(left - right).max() > 20
