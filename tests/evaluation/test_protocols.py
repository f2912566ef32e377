"""The protocols: deterministic, stable in numbers, and equal to a second implementation of what their texts say."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image
from scipy.ndimage import gaussian_filter
from scipy.signal import convolve2d

from restoration.errors import DataError
from restoration.evaluation import protocols
from restoration.images.document import ImageDocument


@pytest.fixture
def sharp():
    return np.ascontiguousarray(skimage.data.astronaut()[20:180, 130:326])  # 160 x 196


@pytest.fixture
def kernels():
    """Lopsided ones, so that a flip or a shift shows."""
    rng = np.random.default_rng(5)
    drawn = [np.triu(rng.random((side, side)) ** 4) for side in (5, 9)]
    return tuple(kernel / kernel.sum() for kernel in drawn)


def test_blur_equals_scipys_linear_convolution_of_the_reflected_picture(sharp, kernels):
    for kernel in kernels:
        radius = kernel.shape[0] // 2
        padded = np.pad(sharp.astype(float), ((radius, radius), (radius, radius), (0, 0)), mode="reflect")
        blurred = np.stack([convolve2d(padded[..., c], kernel, mode="valid") for c in range(3)], axis=-1)
        noisy = blurred + np.random.default_rng(11).normal(0, 2, sharp.shape)
        expected = np.clip(np.round(noisy), 0, 255)
        difference = np.abs(protocols.blur(sharp, kernel, seed=11) - expected)
        assert difference.max() <= 1
        assert (difference > 0).mean() < 1e-4  # a tie in rounding at most


def test_blur_with_a_single_point_moves_nothing(sharp):
    point = np.zeros((7, 7))
    point[3, 3] = 1
    difference = protocols.blur(sharp, point, seed=0).astype(float) - sharp
    inside = (sharp > 10) & (sharp < 245)
    assert difference[inside].mean() == pytest.approx(0, abs=0.05)
    assert difference[inside].std() == pytest.approx(2, abs=0.05)


def test_wear_follows_its_text(sharp):
    rng = np.random.default_rng(3)
    sigma, factor, strength = rng.uniform(0.3, 1.2), rng.uniform(1.5, 2.5), rng.uniform(2, 8)
    quality = int(rng.integers(25, 76))
    blurred = np.stack([gaussian_filter(sharp[..., c].astype(float), sigma, mode="mirror") for c in range(3)], -1)
    image = Image.fromarray(np.round(blurred).astype(np.uint8))
    small = image.resize((round(196 / factor), round(160 / factor)), Image.Resampling.BICUBIC)
    back = np.asarray(small.resize((196, 160), Image.Resampling.BICUBIC), float)
    noisy = np.clip(np.round(back + strength * rng.standard_normal(back.shape)), 0, 255).astype(np.uint8)
    expected = _through_jpeg(noisy, quality).astype(float)
    assert np.abs(protocols.wear(sharp, 3) - expected).mean() < 0.1


def test_wear_face_follows_its_text(sharp):
    blurred = np.stack([gaussian_filter(sharp[..., c].astype(float), 1.5, mode="mirror") for c in range(3)], -1)
    across = np.floor(np.round(blurred).reshape(160, 49, 4, 3).mean(axis=2) + 0.5)  # Pillow rounds after each direction
    averaged = np.floor(across.reshape(40, 4, 49, 3).mean(axis=1) + 0.5)
    noisy = averaged + 5 * np.random.default_rng(8).standard_normal(averaged.shape)
    coded = _through_jpeg(np.clip(np.round(noisy), 0, 255).astype(np.uint8), 50)
    expected = np.asarray(Image.fromarray(coded).resize((196, 160), Image.Resampling.BICUBIC), float)
    assert np.abs(protocols.wear_face(sharp, 8) - expected).mean() < 0.1


def _through_jpeg(picture, quality):
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=quality, subsampling="4:2:0")
    return np.asarray(Image.open(buffer))


def test_reduce_crops_to_a_multiple_and_reduces_with_antialiasing(sharp):
    low, cropped = protocols.reduce(sharp, 3)
    assert low.shape == (53, 65, 3)
    assert np.array_equal(cropped, sharp[:159, :195])
    expected = Image.fromarray(sharp[:159, :195]).resize((65, 53), Image.Resampling.BICUBIC)
    assert np.array_equal(low, np.asarray(expected))
    with pytest.raises(DataError, match="too small"):
        protocols.reduce(sharp[:2], 3)


@pytest.mark.parametrize("task", ["deblur", "enhance", "enlarge", "faces"])
def test_the_same_index_gives_the_same_picture_and_another_does_not(task, sharp, kernels):
    first, again, other = (protocols.degrade(task, sharp, i, scale=2, kernels=kernels) for i in (4, 4, 5))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert all(np.array_equal(a, b) for a, b in zip(first, other, strict=True)) is (task == "enlarge")


def test_the_seed_of_deblur_is_the_picture_times_eight_plus_the_kernel(sharp, kernels):
    degraded = protocols.degrade("deblur", sharp, 3, kernels=kernels)
    assert np.array_equal(degraded[1], protocols.blur(sharp, kernels[1], seed=25))


GOLDEN = {  # mean, standard deviation, mean absolute difference to the sharp picture
    "blur": (148.947, 60.846, 11.272),
    "wear": (149.445, 62.936, 6.802),
    "wear_face": (149.747, 60.676, 11.218),
    "reduce": (149.380, 62.741, 7.376),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_the_numbers_of_the_protocols_do_not_move(name, sharp, kernels):
    if name == "reduce":
        result = protocols.enlarge_bicubic(protocols.reduce(sharp, 4)[0], 4)
    elif name == "blur":
        result = protocols.blur(sharp, kernels[1], 7)
    else:
        result = getattr(protocols, name)(sharp, 7)
    assert result.dtype == np.uint8
    assert result.shape == sharp.shape
    values = result.astype(float)
    measured = (values.mean(), values.std(), np.abs(values - sharp).mean())
    assert measured == pytest.approx(GOLDEN[name], abs=0.05)  # JPEG codecs differ a little


def test_pictures_are_listed_in_natural_order(tmp_path):
    for name in ("10.png", "2.PNG", "1.png", "b1.jpg", "a10.jpg", "a9.jpg", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "3.png").mkdir()
    names = [path.name for path in protocols.list_pictures(tmp_path)]
    assert names == ["1.png", "2.PNG", "10.png", "a9.jpg", "a10.jpg", "b1.jpg"]


def test_a_folder_that_is_missing_or_empty_is_one_sentence(tmp_path):
    with pytest.raises(DataError, match="no folder"):
        protocols.list_pictures(tmp_path / "nowhere")
    with pytest.raises(DataError, match="holds no picture"):
        protocols.list_pictures(tmp_path)


def test_gray_and_deep_documents_become_eight_bit_rgb():
    gray = np.array([[[0], [255]]], np.uint8)
    assert protocols.eight_bits(ImageDocument(color=gray)).tolist() == [[[0, 0, 0], [255, 255, 255]]]
    deep = np.array([[[0, 257 * 7, 65535]]], np.uint16)
    assert protocols.eight_bits(ImageDocument(color=deep)).tolist() == [[[0, 7, 255]]]
    real = np.array([[[-0.5, 0.5, 2]]], np.float32)
    assert protocols.eight_bits(ImageDocument(color=real)).tolist() == [[[0, 128, 255]]]


def test_read_sharp_reads_a_file(tmp_path, sharp):
    Image.fromarray(sharp).save(tmp_path / "a.png")
    assert np.array_equal(protocols.read_sharp(tmp_path / "a.png"), sharp)


def test_kernels_are_read_in_natural_order(tmp_path, kernels):
    np.savez(tmp_path / "k.npz", k10=kernels[0], k2=kernels[1])
    read = protocols.read_kernels(tmp_path / "k.npz")
    assert [kernel.shape for kernel in read] == [(9, 9), (5, 5)]


def test_files_that_are_no_kernels_are_one_sentence(tmp_path, kernels):
    (tmp_path / "text.npz").write_text("hello")
    np.save(tmp_path / "one.npy", kernels[0])
    np.savez(tmp_path / "even.npz", k=np.full((4, 4), 1 / 16))
    np.savez(tmp_path / "sum.npz", k=np.ones((3, 3)))
    np.savez(tmp_path / "objects.npz", k=np.array([{}]))
    for name in ("missing.npz", "text.npz", "one.npy", "even.npz", "sum.npz", "objects.npz"):
        with pytest.raises(DataError):
            protocols.read_kernels(tmp_path / name)


def test_the_evaluation_data_has_eight_kernels_and_kodak_in_natural_order():
    if "RESTORATION_DATA" not in os.environ:
        pytest.skip("RESTORATION_DATA does not name the folder of evaluation data")
    data = Path(os.environ["RESTORATION_DATA"])
    read = protocols.read_kernels(data / "kernels" / "levin09.npz")
    assert [kernel.shape[0] for kernel in read] == [19, 17, 15, 27, 13, 21, 23, 23]
    names = [path.name for path in protocols.list_pictures(data / "eval" / "Kodak24")]
    assert names == [f"{number}.png" for number in range(1, 25)]
