"""What the engine makes of pixels: depths, gray, alpha, strength; on the CPU, on fakes."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from restoration.card import SizeRule
from restoration.errors import ImageFileError, OptionError
from restoration.images.document import ImageDocument
from restoration.images.resizing import resize_alpha
from restoration.inference.engine import finish
from restoration.inference.report import Restoration
from tests.inference.fakes import (
    Counter,
    Doubling,
    Identity,
    Inverting,
    ThreeConvolutions,
    make_card,
    make_engine,
    picture,
    seeded,
    watched_card,
)

IDENTITY = make_card(Identity, name="identity", margin=2)
DOUBLING = make_card(Doubling, name="doubling", scale=2, margin=1)
INVERTING = make_card(Inverting, name="inverting")
ENGINE = make_engine(IDENTITY, DOUBLING, INVERTING)
DEPTHS = ["uint8", "uint16", "float32"]


def run(engine, document, card, **options) -> Restoration:
    return finish(engine.stream(document, card, **options))


def never_called(x):
    raise AssertionError("the network was called")


@given(st.integers(1, 70), st.integers(1, 70), st.sampled_from(DEPTHS), st.sampled_from([1, 3]), st.integers(0, 99))
@settings(deadline=None, max_examples=40)
def test_identity_is_bit_exact(height, width, dtype, channels, seed):
    document = picture(height, width, dtype=dtype, channels=channels, seed=seed)
    result = run(ENGINE, document, IDENTITY).image
    assert result.color.dtype == document.color.dtype
    if dtype == "float32" and channels == 1:  # the mean of three equal floats may be off by its last bit
        assert np.allclose(result.color, document.color, atol=1e-6)
    else:
        assert (result.color == document.color).all()


@given(st.integers(1, 70), st.integers(1, 70), st.sampled_from(DEPTHS))
@settings(deadline=None, max_examples=25)
def test_doubling_repeats_every_pixel(height, width, dtype):
    document = picture(height, width, dtype=dtype)
    result = run(ENGINE, document, DOUBLING).image
    assert (result.color == document.color.repeat(2, axis=0).repeat(2, axis=1)).all()


def test_tiles_of_the_engine_equal_one_call():
    card = make_card(seeded(ThreeConvolutions), name="three", margin=3)
    document = picture(75, 111, dtype="float32")
    tiled, whole = (run(make_engine(card, call_seconds=seconds), document, card) for seconds in (1e-9, 1e9))
    assert tiled.report.tiles == 6
    assert whole.report.tiles == 1
    assert np.abs(tiled.image.color - whole.image.color).max() <= 1e-5


def test_a_picture_smaller_than_the_network_takes_is_padded_and_cropped():
    sizes = Counter()
    card = watched_card(sizes, size=SizeRule(minimum=16))
    document = picture(1, 5)
    assert (run(make_engine(card), document, card).image.color == document.color).all()
    assert sizes.sizes[-1] == (16, 16)


def test_alpha_never_goes_through_the_network():
    document = picture(40, 30, alpha=True)
    result = run(ENGINE, document, INVERTING).image
    assert (result.color == 255 - document.color).all()
    assert result.alpha is document.alpha


def test_alpha_of_an_enlargement_is_resized_apart():
    document = picture(20, 30, alpha=True)
    result = run(ENGINE, document, DOUBLING).image
    assert result.alpha is not None
    assert (result.alpha == resize_alpha(document, (40, 60))).all()


def test_gray_keeps_the_mean_of_three_outputs():
    shift = torch.tensor([0.0, 0.1, 0.2]).view(1, 3, 1, 1)
    card = watched_card(lambda x: x * 0.5 + shift)
    document = ImageDocument(color=np.full((4, 4, 1), 100, np.uint8))
    result = run(make_engine(card), document, card).image
    assert result.color.shape == (4, 4, 1)
    assert (result.color == round(255 * (100 / 255 * 0.5 + 0.1))).all()


@pytest.mark.parametrize("dtype", DEPTHS)
def test_strength_mixes_with_the_input(dtype):
    document = picture(40, 33, dtype=dtype)
    result = run(ENGINE, document, INVERTING, strength=0.25).image.color
    white = document.peak
    expected = 0.25 * (white - document.color.astype(np.float64)) + 0.75 * document.color
    assert np.abs(result - expected).max() <= (1e-6 if dtype == "float32" else 0.51)


def test_strength_mixes_an_enlargement_with_bicubic():
    document = picture(21, 17)
    bicubic = np.asarray(Image.fromarray(document.color).resize((34, 42), Image.Resampling.BICUBIC), np.float64)
    doubled = document.color.repeat(2, axis=0).repeat(2, axis=1)
    result = run(ENGINE, document, DOUBLING, strength=0.5).image.color
    assert np.abs(result - (0.5 * doubled + 0.5 * bicubic)).max() <= 0.51


def test_strength_zero_gives_the_input_without_running_the_network():
    card = watched_card(never_called)
    document = picture(20, 30, alpha=True)
    result = run(make_engine(card), document, card, strength=0.0)
    assert (result.image.color == document.color).all()
    assert (result.image.alpha == document.alpha).all()
    assert result.report.tiles == 0


@pytest.mark.parametrize("strength", [0.0, 1.0])
def test_the_report_names_the_precision_that_was_asked_for_at_any_strength(monkeypatch, strength):
    monkeypatch.setattr("restoration.inference.engine.choose_precision", lambda card, device: "bf16")
    document = picture(20, 30)
    for wish, used in (("auto", "bf16"), ("fp32", "fp32")):
        result = finish(ENGINE.stream(document, INVERTING, strength=strength, precision=wish))
        assert result.report.precision == used


def test_strength_zero_of_an_enlargement_is_pillows_bicubic():
    card = watched_card(never_called, scale=2)
    document = picture(20, 30)
    result = run(make_engine(card), document, card, strength=0.0).image
    expected = Image.fromarray(document.color).resize((60, 40), Image.Resampling.BICUBIC)
    assert (result.color == np.asarray(expected)).all()


@pytest.mark.parametrize("strength", [math.nan, -0.1, 1.5])
def test_a_strength_out_of_range_is_one_sentence(strength):
    with pytest.raises(OptionError, match="strength"):
        run(ENGINE, picture(4, 4), IDENTITY, strength=strength)


def test_sixteen_bits_keep_their_steps():
    card = watched_card(lambda x: x * 0.5)
    document = picture(30, 30, dtype="uint16")
    result = run(make_engine(card), document, card).image.color
    assert np.abs(result - document.color / 2).max() <= 0.51


def test_what_a_float_picture_holds_beyond_white_is_kept():
    color = np.linspace(-0.5, 3, 27, dtype=np.float32).reshape(3, 3, 3)
    assert (run(ENGINE, ImageDocument(color=color), IDENTITY).image.color == color).all()


def test_results_are_clipped_to_the_range():
    card = watched_card(lambda x: x * 4 - 1)
    for dtype in DEPTHS:
        result = run(make_engine(card), picture(20, 20, dtype=dtype), card).image
        assert result.color.min() == 0
        assert result.color.max() == result.peak


def test_a_picture_with_values_that_are_no_numbers_is_one_sentence():
    color = np.zeros((4, 4, 3), np.float32)
    color[1, 1, 1] = np.nan
    with pytest.raises(ImageFileError, match="not numbers"):
        run(ENGINE, ImageDocument(color=color), IDENTITY)
