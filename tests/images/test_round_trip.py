"""The law of files: a task that changes nothing gives back the same pixels, upright, in the file's own depth and kind.

What is written is read by others than this program: OpenCV (PNG), tifffile (TIFF), Pillow (WebP).
"""

import io
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from restoration.images.writing import write_image
from restoration.inference.report import Restoration
from restoration.pipelines.restore import restore
from tests.corpus.png_maker import png
from tests.corpus.tiff_maker import SHORT, UNDEFINED, page_of, tiff
from tests.inference.fakes import Doubling, Identity, make_card, make_engine

from .made_files import SRGB, chunk, exif_with, gray_icc, matrix_icc, noise, saved, srgb_curve

ENGINE = make_engine(
    make_card(Identity, name="same", task="deblur"), make_card(Doubling, name="twice", scale=2), call_seconds=1.0
)
SRGB_ICC = matrix_icc(SRGB, srgb_curve(), title="Our sRGB")
COLOR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
PROFILES = {"none": b"", "srgb": SRGB_ICC, "gray": gray_icc(), "broken": b"no profile"}


def written(document_of: Restoration, folder) -> bytes:
    return write_image(document_of.image, folder / "result").read_bytes()


def upright(samples: np.ndarray, orientation: int) -> np.ndarray:
    """By the definition in EXIF 2.32, 4.6.4: where row 0 and column 0 of what is stored lie in what is seen."""
    height, width = samples.shape[:2]
    seen = np.empty((width, height, *samples.shape[2:]) if orientation >= 5 else samples.shape, samples.dtype)
    for y in range(height):
        for x in range(width):
            up, left, down, right = y, x, height - 1 - y, width - 1 - x
            place = {
                1: (up, left), 2: (up, right), 3: (down, right), 4: (down, left),
                5: (left, up), 6: (left, down), 7: (right, down), 8: (right, up),
            }[orientation]  # fmt: skip
            seen[place] = samples[y, x]
    return seen


def in_four_channels(samples: np.ndarray) -> np.ndarray:
    """Gray, gray-alpha, RGB or RGBA as RGBA."""
    if samples.ndim == 2:
        samples = samples[..., None]
    channels = samples.shape[2]
    peak = 1.0 if samples.dtype.kind == "f" else np.iinfo(samples.dtype).max
    color = samples[..., : 3 if channels >= 3 else 1]
    alpha = samples[..., -1:] if channels in (2, 4) else np.full((*samples.shape[:2], 1), peak, samples.dtype)
    return np.concatenate([np.broadcast_to(color, (*samples.shape[:2], 3)), alpha], axis=2)


def by_opencv(data: bytes) -> np.ndarray:
    samples = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    return samples if samples.ndim == 2 else samples[..., [2, 1, 0, 3][: samples.shape[2]]]


def by_tifffile(data: bytes) -> np.ndarray:
    tifffile = pytest.importorskip("tifffile")
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        return file.pages[0].asarray().reshape(file.pages[0].imagelength, file.pages[0].imagewidth, -1)


def samples_of(*dtypes: str, channels: tuple[int, ...] = (1, 2, 3, 4)):
    shapes = st.tuples(array_shapes(min_dims=2, max_dims=2, max_side=9), st.sampled_from(channels))
    sized = shapes.map(lambda pair: (*pair[0], pair[1]))
    floats = st.floats(0, 1, width=32)
    return st.sampled_from(dtypes).flatmap(
        lambda dtype: sized.flatmap(lambda shape: arrays(dtype, shape, elements=floats if dtype == "float32" else None))
    )


ORIENTATIONS = st.integers(1, 8)
LAYOUTS = [{}, {"tile": 16}, {"planar": True}, {"compression": 8}, {"big": True}]
LAW = settings(max_examples=60, deadline=None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("results")


@LAW
@given(samples_of("uint8", "uint16"), ORIENTATIONS, st.sampled_from(sorted(PROFILES)), st.booleans())
def test_any_png_comes_back(folder, samples, orientation, profile, interlaced):
    extra = [chunk(b"eXIf", exif_with(orientation=orientation)[6:])]
    if PROFILES[profile]:
        extra.append(chunk(b"iCCP", b"x\0\0" + zlib.compress(PROFILES[profile])))
    data = png(samples, samples.itemsize * 8, COLOR_TYPES[samples.shape[2]], *extra, interlaced=interlaced)
    again = written(restore(data, task="deblur", model="same", engine=ENGINE), folder)
    decoded = by_opencv(again)
    assert decoded.dtype == samples.dtype
    np.testing.assert_array_equal(in_four_channels(decoded), in_four_channels(upright(samples, orientation)))
    with Image.open(io.BytesIO(again)) as picture:
        assert picture.getexif().get(0x0112, 1) == 1
        fits = {"srgb": samples.shape[2] >= 3, "gray": samples.shape[2] < 3}.get(profile, False)
        assert picture.info.get("icc_profile", b"") == (PROFILES[profile] if fits else b"")
        assert again[25] == COLOR_TYPES[samples.shape[2]]  # gray stays gray, and colour is kept as colour


@LAW
@given(
    samples_of("uint8", "uint16", "float32"),
    ORIENTATIONS,
    st.tuples(st.sampled_from("<>"), st.booleans(), st.sampled_from(LAYOUTS)),
)  # fmt: skip
def test_any_tiff_comes_back(folder, samples, orientation, stored):
    order, profiled, layout = stored
    tags = {"t274": (SHORT, [orientation])}
    if profiled and samples.shape[2] >= 3:
        tags["t34675"] = (UNDEFINED, SRGB_ICC)
    big = "big" in layout
    options = {} if big else layout
    data = tiff(page_of(samples, order=order, **options, **tags), order=order, big=big)
    decoded = by_tifffile(written(restore(data, task="deblur", model="same", engine=ENGINE), folder))
    assert decoded.dtype == samples.dtype
    rounding = 2e-7 if samples.dtype == np.float32 else 0  # gray is the mean of three equal channels
    np.testing.assert_allclose(
        in_four_channels(decoded), in_four_channels(upright(samples, orientation)), rtol=rounding, atol=0
    )


@LAW
@given(samples_of("uint8", channels=(3, 4)), ORIENTATIONS)
def test_any_lossless_webp_comes_back(folder, samples, orientation):
    exif = exif_with(orientation=orientation)
    data = saved(Image.fromarray(samples), "WEBP", lossless=True, exact=True, exif=exif)
    again = written(restore(data, task="deblur", model="same", engine=ENGINE), folder)
    with Image.open(io.BytesIO(again)) as picture:
        assert picture.format == "WEBP"
        np.testing.assert_array_equal(
            in_four_channels(np.asarray(picture)), in_four_channels(upright(samples, orientation))
        )


@LAW
@given(samples_of("uint8", channels=(3,)), st.sampled_from(["BMP", "GIF"]), st.sampled_from(["1", "L", "P", "RGB"]))
def test_any_bitmap_and_gif_comes_back(folder, samples, format, mode):
    picture = Image.fromarray(samples)
    stored = picture.quantize(16) if mode == "P" else picture.convert(mode)
    stored = stored.convert("P") if format == "GIF" and mode == "RGB" else stored
    again = written(restore(saved(stored, format), task="deblur", model="same", engine=ENGINE), folder)
    expected = np.asarray(stored.convert("RGB"))
    np.testing.assert_array_equal(in_four_channels(by_opencv(again))[..., :3], expected)


@pytest.mark.parametrize("quality", [30, 75, 90, 92, 95, 98, 100])
@pytest.mark.parametrize("subsampling", [0, 2])
def test_a_jpeg_is_not_written_worse_than_it_came(folder, quality, subsampling):
    data = saved(Image.fromarray(noise((32, 48, 3))), "JPEG", quality=quality, subsampling=subsampling)
    result = restore(data, task="deblur", model="same", engine=ENGINE)
    assert result.image.origin.quality == quality
    with Image.open(io.BytesIO(written(result, folder))) as after, Image.open(io.BytesIO(data)) as before:
        assert all(a <= b for a, b in zip(after.quantization[0], before.quantization[0], strict=True))
        assert after.quantization[0] == quantization(max(92, quality))
        assert after.layer[0][1:3] == (1, 1)  # colour in full resolution


def quantization(quality: int) -> list[int]:
    with Image.open(io.BytesIO(saved(Image.new("RGB", (8, 8)), "JPEG", quality=quality))) as picture:
        return picture.quantization[0]


def test_a_quality_asked_for_is_obeyed(folder):
    data = saved(Image.fromarray(noise((32, 48, 3))), "JPEG", quality=98)
    image = restore(data, task="deblur", model="same", engine=ENGINE).image
    with Image.open(write_image(image, folder / "small", quality=40)) as picture:
        assert picture.quantization[0] == quantization(40)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_a_black_and_white_photo_in_colour_gets_no_tint_and_keeps_its_channels(format, folder):
    gray = np.repeat(noise((24, 30, 1)), 3, axis=2)
    options = {"lossless": True} if format == "WEBP" else {}
    image = restore(saved(Image.fromarray(gray), format, **options), task="deblur", model="same", engine=ENGINE).image
    assert image.color.shape[2] == 1
    with Image.open(write_image(image, folder / "photo")) as picture:
        assert picture.mode == "RGB"
        assert np.ptp(np.asarray(picture).astype(int), axis=2).max() == 0


def test_hidden_colours_do_not_bleed_when_a_picture_is_enlarged():
    color = np.full((12, 12, 3), (255, 0, 255), np.uint8)
    alpha = np.zeros((12, 12), np.uint8)
    color[4:8, 4:8], alpha[4:8, 4:8] = (20, 40, 20), 255
    data = saved(Image.fromarray(np.dstack([color, alpha])), "PNG")
    image = restore(data, task="enlarge", model="twice", engine=ENGINE).image
    assert image.alpha is not None
    seen = image.color[image.alpha > 0].astype(int)
    assert np.abs(seen - (20, 40, 20)).max() <= 1
