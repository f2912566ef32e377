import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from restoration.images.document import ImageDocument
from restoration.images.resizing import resize_alpha, resize_color

from .made_files import noise, smooth

SIZES = [(80, 112), (20, 28), (33, 71), (1, 1), (40, 56)]


def pillow(samples: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return np.asarray(Image.fromarray(samples).resize((size[1], size[0]), Image.Resampling.BICUBIC))


@pytest.mark.parametrize("size", SIZES)
def test_8_bits_are_pillows_bicubic_to_the_bit(size):
    color = noise((40, 56, 3))
    resized = resize_color(ImageDocument(color=color), size)
    np.testing.assert_array_equal(resized, pillow(color, size))
    gray = resize_color(ImageDocument(color=color[..., :1]), size)
    np.testing.assert_array_equal(gray[..., 0], pillow(color[..., 0].copy(), size))
    assert resized.dtype == gray.dtype == np.uint8


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("channels", [1, 3])
def test_16_bits_agree_with_8_bits_and_stay_in_range(size, channels):
    color = smooth()[..., :channels]
    deep = resize_color(ImageDocument(color=color.astype(np.uint16) * 257), size)
    assert deep.dtype == np.uint16
    assert deep.shape == (*size, channels)
    shallow = resize_color(ImageDocument(color=color), size)
    assert np.abs(deep / 257 - shallow).max() <= 1.1  # Pillow rounds its 8-bit passes twice
    hard = np.where(noise((40, 56, 1)) > 127, 65535, 0).astype(np.uint16)
    enlarged = resize_color(ImageDocument(color=hard), (80, 112))
    assert {0, 65535} <= set(np.unique(enlarged))
    wide = pillow(hard[..., 0].astype(np.float32), (80, 112))
    assert wide.max() > 65535  # bicubic overshoots here, so the range had to be held
    np.testing.assert_array_equal(enlarged[..., 0], np.rint(np.clip(wide, 0, 65535)))


def test_float_keeps_its_overshoot_and_its_alpha_does_not():
    step = np.zeros((16, 16, 3), np.float32)
    step[:, 8:] = 1
    document = ImageDocument(color=step, alpha=step[..., 0].copy())
    color, alpha = resize_color(document, (32, 32)), resize_alpha(document, (32, 32))
    assert color.dtype == np.float32
    assert color.max() > 1.01
    assert alpha is not None
    assert alpha.dtype == np.float32
    assert (alpha.min(), alpha.max()) == (0, 1)


def test_alpha_is_resized_apart_like_a_gray_picture():
    color, alpha = noise((40, 56, 3)), noise((40, 56), seed=9)
    document = ImageDocument(color=color, alpha=alpha)
    np.testing.assert_array_equal(resize_alpha(document, (80, 112)), pillow(alpha, (80, 112)))
    np.testing.assert_array_equal(resize_color(document, (80, 112)), pillow(color, (80, 112)))
    assert resize_alpha(ImageDocument(color=color), (80, 112)) is None


def test_the_same_size_gives_an_equal_but_new_array():
    document = ImageDocument(color=noise((5, 6, 3)))
    resized = resize_color(document, (5, 6))
    np.testing.assert_array_equal(resized, document.color)
    assert not np.shares_memory(resized, document.color)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 65535), st.sampled_from([np.uint8, np.uint16]), st.integers(1, 9), st.integers(1, 9))
def test_a_constant_picture_stays_constant(value, dtype, height, width):
    value = value if dtype == np.uint16 else value % 256
    document = ImageDocument(color=np.full((4, 5, 3), value, dtype))
    assert (resize_color(document, (height, width)) == value).all()
