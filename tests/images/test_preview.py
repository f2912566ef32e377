import numpy as np
import pytest
from PIL import Image

from restoration.images.document import ImageDocument, Origin
from restoration.images.preview import preview_size, write_preview

from .made_files import gray_icc, noise, smooth


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((3000, 4000), (1200, 1600)),
        ((4000, 3000), (1600, 1200)),
        ((900, 1600), (900, 1600)),
        ((10, 20), (10, 20)),
        ((1, 30_000), (1, 1600)),
    ],
)
def test_a_preview_is_at_most_1600_pixels_long_and_never_enlarged(shape, size, tmp_path):
    document = ImageDocument(color=np.zeros((*shape, 1), np.uint8))
    assert preview_size(document) == size
    with Image.open(write_preview(document, tmp_path / "p")) as picture:
        assert picture.size == size[::-1]


def test_a_preview_can_be_made_at_a_given_size(tmp_path):
    document = ImageDocument(color=smooth())
    with Image.open(write_preview(document, tmp_path / "p", size=(80, 112))) as picture:
        assert picture.size == (112, 80)
        expected = Image.fromarray(smooth()).resize((112, 80), Image.Resampling.BICUBIC)
        assert np.abs(np.asarray(picture).astype(int) - np.asarray(expected)).mean() < 1.5
    with Image.open(write_preview(document, tmp_path / "q", longest=28)) as picture:
        assert picture.size == (28, 20)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_a_picture_without_alpha_becomes_a_fine_jpeg_in_any_depth(dtype, channels, tmp_path):
    color = smooth()[..., :channels]
    samples = {np.uint8: color, np.uint16: color.astype(np.uint16) * 257, np.float32: (color / 255).astype(np.float32)}
    path = write_preview(ImageDocument(color=samples[dtype]), tmp_path / "p.png")
    assert path == tmp_path / "p.jpg"
    with Image.open(path) as picture:
        assert picture.format == "JPEG"
        assert picture.mode == ("L" if channels == 1 else "RGB")
        if channels == 3:
            assert picture.layer[0][1:3] == (1, 1)  # type: ignore[attr-defined]  # full colour resolution
        difference = np.asarray(picture).reshape(color.shape).astype(int) - color
    assert np.abs(difference).mean() < 1.5


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_alpha_is_kept_exactly_in_a_png(dtype, channels, tmp_path):
    factor = 1 if dtype == np.uint8 else 257
    color, alpha = noise((9, 13, channels)), noise((9, 13), seed=2)
    document = ImageDocument(color=color.astype(dtype) * dtype(factor), alpha=alpha.astype(dtype) * dtype(factor))
    path = write_preview(document, tmp_path / "p")
    assert path.suffix == ".png"
    with Image.open(path) as picture:
        assert picture.mode == ("LA" if channels == 1 else "RGBA")
        np.testing.assert_array_equal(np.asarray(picture), np.concatenate([color, alpha[..., None]], 2))


def test_colours_under_full_transparency_do_not_bleed_into_a_shrunk_preview(tmp_path):
    color = np.zeros((40, 40, 3), np.uint8)
    color[:, ::2] = (255, 0, 0)
    color[:, 1::2] = (0, 255, 0)
    alpha = np.zeros((40, 40), np.uint8)
    alpha[:, ::2] = 255  # green is invisible
    with Image.open(write_preview(ImageDocument(color=color, alpha=alpha), tmp_path / "p", longest=20)) as picture:
        pixels = np.asarray(picture)
    assert pixels[5:-5, 5:-5, 1].max() <= 2
    assert pixels[5:-5, 5:-5, 0].min() >= 250


def test_a_preview_carries_its_profile_and_nothing_else(tmp_path):
    origin = Origin(gray=True, icc=gray_icc(), exif=b"Exif\0\0II*\0\x08\0\0\0\0\0", dpi=(300.0, 300.0))
    document = ImageDocument(color=noise((9, 13, 1)), origin=origin)
    with Image.open(write_preview(document, tmp_path / "p")) as picture:
        assert picture.info["icc_profile"] == gray_icc()
        assert "exif" not in picture.info
        assert "dpi" not in picture.info


def test_a_preview_is_put_in_place_in_one_step(tmp_path):
    write_preview(ImageDocument(color=smooth()), tmp_path / "p")
    assert [entry.name for entry in tmp_path.iterdir()] == ["p.jpg"]


@pytest.mark.parametrize("size", [(61, 40), (40, 61)])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_large_picture_is_shrunk_in_bands_to_what_pillow_makes_of_the_whole(channels, size, tmp_path):
    color = np.clip(np.kron(noise((130, 90, channels)), np.ones((12, 9, 1))), 0, 255).astype(np.uint8)[:1531]
    alpha = np.kron(noise((130, 90), seed=3), np.ones((12, 9))).astype(np.uint8)[:1531]
    with Image.open(write_preview(ImageDocument(color=color, alpha=alpha), tmp_path / "p", size=size)) as picture:
        pixels = np.asarray(picture).astype(int)
    whole = Image.fromarray(np.concatenate([color, alpha[..., None]], axis=2))
    expected = np.asarray(whole.resize(size[::-1], Image.Resampling.BICUBIC)).astype(int)
    weight = expected[..., -1:] / 255
    assert np.abs((pixels - expected) * weight).mean() < 2.5
    assert np.abs((pixels - expected) * weight).max() < 40


def test_shrinking_takes_no_second_copy_of_a_large_picture(tmp_path):
    import tracemalloc

    document = ImageDocument(color=np.zeros((4000, 3000, 3), np.uint16))
    tracemalloc.start()
    write_preview(document, tmp_path / "p", size=(200, 150))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < document.color.nbytes / 5
