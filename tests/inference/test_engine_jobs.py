"""The engine's jobs: progress, limits, time, memory, reports; on the CPU, on fakes."""

import dataclasses
import json
import math
import time

import numpy as np
import pytest
import torch

from restoration.card import SizeRule, Tiling
from restoration.errors import ImageFileError, OptionError, RestorationError, WeightsError
from restoration.images.limits import Limits
from restoration.inference import device
from restoration.inference.engine import finish
from restoration.inference.report import Progress, Restoration
from restoration.registry import Registry
from restoration.weights import WeightStore
from tests.inference.fakes import (
    Counter,
    Doubling,
    FakeStore,
    Identity,
    Inverting,
    make_card,
    make_engine,
    picture,
    watched_card,
)

IDENTITY = make_card(Identity, name="identity", margin=2)
DOUBLING = make_card(Doubling, name="doubling", scale=2, margin=1)
INVERTING = make_card(Inverting, name="inverting")
ENGINE = make_engine(IDENTITY, DOUBLING, INVERTING)


def run(engine, document, card, **options) -> Restoration:
    return finish(engine.stream(document, card, **options))


def test_progress_is_told_before_and_after_every_tile():
    steps = list(ENGINE.stream(picture(70, 100), IDENTITY))
    *progress, last = steps
    assert isinstance(last, Restoration)
    assert all(isinstance(step, Progress) for step in progress)
    assert [step.done for step in progress] == list(range(7))
    assert {step.total for step in progress} == {6}
    assert all(step.predicted_seconds is not None and step.seconds_left is not None for step in progress)
    assert progress[-1].seconds_left == 0
    assert last.report.tiles == 6


def test_a_network_is_loaded_once_and_only_when_it_is_needed():
    store = FakeStore()
    engine = make_engine(IDENTITY, INVERTING, store=store)
    assert store.loads == []
    for _ in range(2):
        run(engine, picture(4, 4), IDENTITY)
    assert store.loads == ["identity"]
    engine.warm([IDENTITY, INVERTING])
    assert store.loads == ["identity", "inverting"]


def test_a_result_beyond_the_limit_is_refused_before_anything_runs():
    counter = Counter()
    card = watched_card(counter, scale=2)
    engine = make_engine(card, limits=Limits(output_megapixels=0.001))
    with pytest.raises(ImageFileError, match="limit"):
        run(engine, picture(20, 20), card)
    assert not counter.sizes


def test_a_fixed_size_network_takes_no_other_size():
    card = make_card(Inverting, tiling=Tiling.NEVER, size=SizeRule(multiple_of=8, minimum=8, fixed=8))
    engine = make_engine(card)
    square = np.random.default_rng(0).random((8, 8, 3), dtype=np.float32)
    assert np.abs(engine.run_square(square, card) - (1 - square)).max() < 1e-6
    with pytest.raises(ValueError, match="8 x 8"):
        run(engine, picture(8, 9), card)


def test_a_network_with_global_statistics_sees_the_whole_picture_in_one_call():
    counter = Counter()
    card = watched_card(counter, tiling=Tiling.SEAMS)
    result = run(make_engine(card), picture(100, 150), card)
    assert counter.sizes[-1] == (100, 150)
    assert result.report.tiles == 1
    assert any("whole picture at once" in sentence for sentence in result.report.warnings)


def test_no_call_is_planned_above_the_wanted_seconds():
    counter = Counter()
    seconds_per_pixel = 4e-6

    def slow(x):
        counter(x)
        time.sleep(seconds_per_pixel * x.shape[2] * x.shape[3])

    card = watched_card(slow, margin=4)
    engine = make_engine(card, call_seconds=0.06)
    engine.warm([card])
    counter.sizes.clear()
    steps = list(engine.stream(picture(300, 400), card))
    largest = max(height * width for height, width in counter.sizes)
    assert largest * seconds_per_pixel <= 0.06
    assert largest * seconds_per_pixel >= 0.01, "and not so careful that it gets slow"
    assert steps[0].predicted_seconds == pytest.approx(300 * 400 * seconds_per_pixel, rel=0.6)
    assert steps[0].seconds_left == steps[0].predicted_seconds
    middle = steps[len(steps) // 2]
    assert middle.seconds_left == pytest.approx(300 * 400 * seconds_per_pixel / 2, rel=0.6)


def test_a_machine_that_got_slower_is_noticed():
    pause = [1e-6]
    card = watched_card(lambda x: time.sleep(pause[0] * x.shape[2] * x.shape[3]))
    engine = make_engine(card, call_seconds=0.02)
    engine.warm([card])
    before = engine.predict_seconds(card, 300, 300)
    pause[0] = 8e-6
    run(engine, picture(300, 300), card)
    assert engine.predict_seconds(card, 300, 300) > 3 * before


def test_the_prediction_before_the_first_use_runs_nothing():
    store = FakeStore()
    engine = make_engine(make_card(Identity, gigaflop_per_megapixel=2745.0), store=store, call_seconds=0.5)
    assert engine.predict_seconds(engine.models["fake"], 1000, 1000) == pytest.approx(27.45, rel=0.5)
    assert store.loads == []


def test_half_precision_is_used_where_it_was_verified_and_the_cpu_has_it(monkeypatch):
    seen = []
    card = watched_card(lambda x: seen.append(torch.is_autocast_enabled("cpu")), half=True)
    for able, precision in ((True, "bf16"), (False, "fp32")):
        monkeypatch.setattr(device, "cpu_has_bf16", lambda able=able: able)
        seen.clear()
        report = run(make_engine(card), picture(8, 8), card).report
        assert report.precision == precision
        assert set(seen) == {able}
    assert run(ENGINE, picture(8, 8), IDENTITY).report.precision == "fp32"


def test_half_precision_that_overflows_is_computed_again_in_full(monkeypatch):
    monkeypatch.setattr(device, "cpu_has_bf16", lambda: True)
    card = watched_card(lambda x: x * math.inf if torch.is_autocast_enabled("cpu") else 1 - x, half=True)
    document = picture(70, 40)
    result = run(make_engine(card), document, card)
    assert (result.image.color == 255 - document.color).all()
    assert result.report.precision == "fp32"
    assert any("fp32 was used" in sentence for sentence in result.report.warnings)


def test_numbers_that_are_not_finite_in_full_precision_are_one_sentence():
    card = watched_card(lambda x: x * math.nan)
    with pytest.raises(RestorationError, match="not finite"):
        run(make_engine(card), picture(8, 8), card)


def test_too_little_memory_on_the_cpu_leads_to_smaller_tiles():
    def small_memory(x):
        if measured and x.shape[2] * x.shape[3] > 50 * 50:
            raise MemoryError

    measured = []
    card = watched_card(small_memory)
    engine = make_engine(card, call_seconds=1e9)
    engine.warm([card])
    measured.append(True)
    document = picture(100, 150)
    result = run(engine, document, card)
    assert (result.image.color == document.color).all()
    assert result.report.tiles == 8
    assert len([s for s in result.report.warnings if "smaller" in s]) == 1


def test_too_little_memory_for_any_tile_is_one_sentence():
    def no_memory(x):
        if len(calls) > 20:
            raise MemoryError
        calls.append(1)

    calls = []
    card = watched_card(no_memory)
    engine = make_engine(card)
    engine.warm([card])
    calls.extend([1] * 20)
    with pytest.raises(RestorationError, match="memory is too small"):
        run(engine, picture(40, 40), card)


def test_only_cards_with_weights_are_available():
    store = FakeStore({"inverting": "Not trained yet."})
    engine = make_engine(IDENTITY, DOUBLING, INVERTING, store=store)
    assert [card.name for card in engine.available()] == ["identity", "doubling"]
    assert [card.name for card in engine.available("enhance")] == ["identity"]


def test_restore_finds_the_model_and_tells_of_progress():
    told = []
    result = ENGINE.restore(picture(40, 70), "doubling", task="enlarge", scale=2, on_progress=told.append)
    assert (result.report.model, result.report.task) == ("doubling", "enlarge")
    assert [step.done for step in told] == [0, 1, 2]
    with pytest.raises(OptionError, match="for enlarge, not for deblur"):
        ENGINE.restore(picture(4, 4), "doubling", task="deblur")


def test_missing_weights_are_one_sentence(tmp_path):
    engine = make_engine(IDENTITY, store=WeightStore(tmp_path))
    with pytest.raises(WeightsError, match=r"identity\.safetensors is missing"):
        run(engine, picture(4, 4), IDENTITY)


def test_the_report_says_everything_in_json():
    document = picture(70, 40, dtype="uint16")
    document = dataclasses.replace(
        document, origin=dataclasses.replace(document.origin, format="TIFF", notes=("Colours were converted.",))
    )
    report = json.loads(json.dumps(run(ENGINE, document, DOUBLING).report.as_json()))
    seconds = report.pop("seconds")
    assert seconds.keys() == {"prepare", "restore"}
    assert report == {
        "task": "enlarge",
        "model": "doubling",
        "checkpoint": "fake weights",
        "device": "cpu",
        "precision": "fp32",
        "backend": "torch",
        "input": {"width": 40, "height": 70, "format": "TIFF", "bits": 16},
        "output": {"width": 80, "height": 140, "format": "TIFF", "bits": 16},
        "tiles": 2,
        "warnings": ["Colours were converted."],
    }


def test_a_device_that_is_not_there_is_one_sentence(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(OptionError, match="no CUDA"):
        make_engine(device="cuda")
    with pytest.raises(OptionError, match="auto, cpu, cuda"):
        make_engine(device="tpu")
    assert make_engine(device="auto").device == "cpu"


def test_an_engine_is_given_its_models():
    assert isinstance(make_engine(IDENTITY).models, Registry)
