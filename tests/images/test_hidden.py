import numpy as np
import pytest

from restoration.images.document import ImageDocument
from restoration.images.hidden import painted_over, with_hidden_colors

from .made_files import noise


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [1, 3])
def test_hidden_pixels_take_the_colour_of_a_nearest_visible_one(dtype, channels):
    draw = np.random.default_rng(3)
    color = (
        (noise((30, 41, channels), np.uint16) / 65535).astype(dtype)
        if dtype == np.float32
        else noise((30, 41, channels), dtype)
    )
    alpha = np.where(draw.random((30, 41)) < 0.1, 1, 0).astype(dtype)
    filled = painted_over(ImageDocument(color=color, alpha=alpha)).color
    visible = np.argwhere(alpha > 0)
    for y, x in np.ndindex(30, 41):
        distances = np.hypot(*(visible - (y, x)).T)
        near = visible[distances <= distances.min() * 1.1]  # the distance is measured in steps of a 5 x 5 mask
        assert any((filled[y, x] == color[tuple(place)]).all() for place in near)
    assert (filled[alpha > 0] == color[alpha > 0]).all()


@pytest.mark.parametrize("alpha", [None, np.zeros((4, 5), np.uint8), np.full((4, 5), 3, np.uint8)])
def test_without_anything_hidden_or_visible_the_document_is_itself(alpha):
    document = ImageDocument(color=noise((4, 5, 3)), alpha=alpha)
    assert painted_over(document) is document
    assert with_hidden_colors(document, document) is document


def test_hidden_colours_come_back_where_the_size_is_the_same():
    alpha = np.zeros((4, 5), np.uint8)
    alpha[1:3, 2] = 9
    document = ImageDocument(color=noise((4, 5, 3)), alpha=alpha)
    result = ImageDocument(color=noise((4, 5, 3), seed=1), alpha=alpha)
    back = with_hidden_colors(result, document).color
    np.testing.assert_array_equal(back[alpha == 0], document.color[alpha == 0])
    np.testing.assert_array_equal(back[alpha > 0], result.color[alpha > 0])
    larger = ImageDocument(color=noise((8, 10, 3)))
    assert with_hidden_colors(larger, document) is larger
