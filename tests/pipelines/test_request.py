"""What may be asked for, and the sentence when something may not."""

import math

import numpy as np
import pytest

from restoration.errors import OptionError, UnknownModel, WeightsError
from restoration.images.limits import Limits
from restoration.pipelines import restore as module
from restoration.pipelines.request import Request
from restoration.pipelines.restore import restore, stream
from restoration.registry import MODELS
from restoration.tasks import TASKS
from tests.inference.fakes import Doubling, FakeStore, Identity, make_card, make_engine, picture

STORE = FakeStore()


@pytest.mark.parametrize("task", TASKS)
def test_a_task_alone_is_enough(task):
    card = Request(task=task).card(MODELS, STORE)
    assert card.task == task
    assert TASKS[task].default_model in (card.name, card.family)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"task": "sharpen"}, "no task 'sharpen'; the tasks are deblur, enhance, enlarge, faces"),
        ({"task": ["deblur"]}, "no task"),
        ({"task": "enhance", "model": 7}, "by its name"),
        ({"task": "enhance", "model": ""}, "by its name"),
        ({"task": "enlarge", "scale": 5}, "2, 3 or 4, not 5"),
        ({"task": "enlarge", "scale": "2"}, "2, 3 or 4, not '2'"),
        ({"task": "enlarge", "scale": True}, "2, 3 or 4"),
        ({"task": "enlarge", "scale": 2.5}, "2, 3 or 4"),
        ({"task": "enlarge", "scale": [2]}, "2, 3 or 4"),
        ({"task": "deblur", "scale": 2}, "only be given for enlarge, not for deblur"),
        ({"task": "deblur", "strength": math.nan}, "from 0 to 1, not nan"),
        ({"task": "deblur", "strength": math.inf}, "from 0 to 1"),
        ({"task": "deblur", "strength": "1"}, "from 0 to 1"),
        ({"task": "deblur", "strength": None}, "from 0 to 1"),
        ({"task": "deblur", "strength": True}, "from 0 to 1"),
        ({"task": "deblur", "strength": 1.01}, "between 0 and 1, but is 1.01"),
        ({"task": "deblur", "strength": -0.5}, "between 0 and 1"),
    ],
)
def test_what_cannot_be_asked_is_one_sentence(options, sentence):
    with pytest.raises(OptionError) as caught:
        Request(**options)
    assert sentence in str(caught.value)
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)


def test_numbers_of_other_kinds_are_taken_as_what_they_are():
    request = Request(task="enlarge", scale=2.0, strength=np.float32(0.5))  # pyright: ignore[reportArgumentType]
    assert (request.scale, request.strength) == (2, 0.5)
    assert type(request.scale) is int
    assert type(request.strength) is float


@pytest.mark.parametrize(
    ("model", "scale", "expected"),
    [
        (None, None, "edsr-baseline-x2"),
        (None, 3, "edsr-baseline-x3"),
        ("edsr-baseline", None, "edsr-baseline-x2"),
        ("edsr-baseline", 4, "edsr-baseline-x4"),
        ("edsr-baseline-x3", None, "edsr-baseline-x3"),
        ("edsr-baseline-x3", 3, "edsr-baseline-x3"),
        ("edsr", None, "edsr-x2"),
    ],
)
def test_the_scale_chooses_within_a_family_and_a_named_card_brings_its_own(model, scale, expected):
    assert Request(task="enlarge", model=model, scale=scale).card(MODELS, STORE).name == expected


def test_a_model_that_contradicts_the_scale_is_one_sentence():
    with pytest.raises(OptionError, match=r"enlarges x3, but the scale asked for is 2\."):
        Request(task="enlarge", model="edsr-baseline-x3", scale=2).card(MODELS, STORE)


def test_a_model_of_another_task_is_one_sentence():
    with pytest.raises(OptionError, match=r"is for enlarge, not for deblur\."):
        Request(task="deblur", model="edsr-baseline").card(MODELS, STORE)


def test_an_unknown_model_gets_a_suggestion():
    with pytest.raises(UnknownModel, match="did you mean 'edsr-baseline'"):
        Request(task="enlarge", model="edsr-basline").card(MODELS, STORE)


def test_a_model_without_weights_says_why():
    store = FakeStore({"edsr-baseline-x2": "It was not trained yet."})
    with pytest.raises(WeightsError, match=r"'edsr-baseline-x2' cannot be used here\. It was not trained yet\."):
        Request(task="enlarge").card(MODELS, store)


def test_a_family_without_the_default_scale_gives_its_smallest():
    engine = make_engine(make_card(Identity, name="big-x4", family="big", scale=4, task="enlarge"))
    assert Request(task="enlarge", model="big").card(engine.models, engine.store).scale == 4


def test_a_request_reaches_the_engine_with_all_its_options():
    engine = make_engine(make_card(Doubling, name="doubling", scale=2))
    document = picture(9, 7)
    request = Request(task="enlarge", model="doubling", strength=0.5)
    *_, last = stream(engine, document, request)
    half = engine.restore(document, "doubling", task="enlarge", strength=0.5).image
    full = restore(document, task="enlarge", model="doubling", engine=engine).image
    assert (last.image.color == half.color).all()
    assert (last.image.color != full.color).any()
    assert last.report.task == "enlarge"


def test_a_file_is_read_and_the_time_for_it_reported(tmp_path):
    from PIL import Image

    document = picture(9, 7)
    Image.fromarray(document.color).save(tmp_path / "small.png")
    engine = make_engine(make_card(Doubling, name="doubling", scale=2))
    path = tmp_path / "small.png"
    for source in (path, str(path), path.read_bytes()):
        result = restore(source, task="enlarge", model="doubling", engine=engine)
        assert (result.image.color == document.color.repeat(2, axis=0).repeat(2, axis=1)).all()
        assert list(result.report.seconds) == ["decode", "prepare", "restore"]


def test_the_shared_engine_is_made_as_the_environment_says_at_the_call(monkeypatch, tmp_path):
    made = []

    class Engine:
        def __init__(self, **options):
            self.options = options
            made.append(self)

    monkeypatch.setattr(module, "Engine", Engine)
    module._engine.cache_clear()
    monkeypatch.setenv("RESTORATION_BACKEND", "torch")
    monkeypatch.setenv("RESTORATION_CACHE", str(tmp_path))
    monkeypatch.setenv("RESTORATION_MAX_SIDE", "123")
    first = module._shared_engine()
    assert first.options == {"backend": "torch", "cache": tmp_path, "limits": Limits(side=123)}
    assert module._shared_engine() is first
    monkeypatch.setenv("RESTORATION_MAX_SIDE", "124")
    assert module._shared_engine().options["limits"].side == 124
    assert len(made) == 2
    monkeypatch.setenv("RESTORATION_MAX_SIDE", "many")
    with pytest.raises(OptionError, match="RESTORATION_MAX_SIDE"):
        restore(b"", task="enhance")
    module._engine.cache_clear()
