"""The law of files for what `test_round_trip` leaves out: few bits, palettes, rare numbers, inks, profiles, lossy ones.

A task that changes nothing gives back what an independent reader sees in the file, upright.
"""

import io
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageCms

from restoration.images.reading import read_header, read_image
from restoration.pipelines.restore import restore
from tests.corpus.png_maker import GRAY, PALETTE, png
from tests.corpus.tiff_maker import SHORT, UNDEFINED, Page, page_of, tiff
from tests.images.test_round_trip import (
    ENGINE,
    LAW,
    ORIENTATIONS,
    by_opencv,
    by_tifffile,
    in_four_channels,
    upright,
    written,
)

from .made_files import (
    ADOBE_RGB,
    P3,
    chunk,
    cmyk_icc,
    exif_with,
    gamma_curve,
    gray_icc,
    matrix_icc,
    rgb_table_icc,
    saved,
    srgb_curve,
)

SIZES = st.tuples(st.integers(1, 9), st.integers(1, 9))
SHORTER_LAW = settings(max_examples=25, deadline=None)  # profiles with tables take their time


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("results")


def identity(data: bytes, folder) -> bytes:
    return written(restore(data, task="deblur", model="same", engine=ENGINE), folder)


def turned_png(orientation: int) -> bytes:
    return chunk(b"eXIf", exif_with(orientation=orientation)[6:])


@LAW
@given(data=st.data(), bits=st.sampled_from([1, 2, 4]), size=SIZES, orientation=ORIENTATIONS, interlaced=st.booleans())
def test_any_gray_png_of_few_bits_comes_back(folder, *, data, bits, size, orientation, interlaced):
    levels = data.draw(arrays(np.uint8, (*size, 1), elements=st.integers(0, 2**bits - 1)))
    key = data.draw(st.none() | st.integers(0, 2**bits - 1))
    extra = [] if key is None else [chunk(b"tRNS", key.to_bytes(2, "big"))]
    file = png(levels, bits, GRAY, turned_png(orientation), *extra, interlaced=interlaced)
    seen = levels * (255 // (2**bits - 1))
    if key is not None:
        seen = np.concatenate([seen, np.where(levels == key, 0, 255).astype(np.uint8)], axis=2)
    again = by_opencv(identity(file, folder))
    np.testing.assert_array_equal(in_four_channels(again), in_four_channels(upright(seen, orientation)))


@LAW
@given(
    data=st.data(), bits=st.sampled_from([1, 2, 4, 8]), size=SIZES, orientation=ORIENTATIONS, interlaced=st.booleans()
)  # fmt: skip
def test_any_palette_png_comes_back(folder, *, data, bits, size, orientation, interlaced):
    indices = data.draw(arrays(np.uint8, (*size, 1), elements=st.integers(0, 2**bits - 1)))
    palette = data.draw(arrays(np.uint8, (2**bits, 3)))
    alphas = data.draw(arrays(np.uint8, st.integers(0, 2**bits)))
    extra = [chunk(b"PLTE", palette.tobytes())] + ([chunk(b"tRNS", alphas.tobytes())] if len(alphas) else [])
    file = png(indices, bits, PALETTE, turned_png(orientation), *extra, interlaced=interlaced)
    alpha = np.concatenate([alphas, np.full(2**bits - len(alphas), 255, np.uint8)])
    seen = np.dstack([palette[indices[..., 0]], alpha[indices[..., 0]]])
    again = by_opencv(identity(file, folder))
    np.testing.assert_array_equal(in_four_channels(again), in_four_channels(upright(seen, orientation)))


NUMBERS = {
    "float16": st.floats(0, 1, width=16),
    "float64": st.floats(0, 1, width=32),
    "uint32": st.integers(0, 65535),
    "int32": st.integers(0, 65535),
    "int16": st.integers(0, 32767),
}


@LAW
@given(
    data=st.data(), dtype=st.sampled_from(sorted(NUMBERS)), size=SIZES, channels=st.sampled_from([1, 3]),
    orientation=ORIENTATIONS, order=st.sampled_from("<>"),
    layout=st.sampled_from([{}, {"compression": 8}, {"planar": True}, {"tile": 16}]),
)  # fmt: skip
def test_any_tiff_of_rare_numbers_comes_back(folder, *, data, dtype, size, channels, orientation, order, layout):
    samples = data.draw(arrays(dtype, (*size, channels), elements=NUMBERS[dtype]))
    layout = {} if channels == 1 and "planar" in layout else layout
    file = tiff(page_of(samples, order=order, t274=(SHORT, [orientation]), **layout), order=order)
    again = by_tifffile(identity(file, folder))
    seen = upright(samples, orientation)
    wanted = seen.astype(np.float32) if dtype.startswith("float") else seen.astype(np.uint16)
    assert again.dtype == wanted.dtype
    tolerance = 2e-7 if dtype.startswith("float") else 0
    np.testing.assert_allclose(in_four_channels(again)[..., :3], in_four_channels(wanted)[..., :3], atol=tolerance)


@LAW
@given(
    data=st.data(), bits=st.sampled_from([1, 4, 8]), size=SIZES, orientation=ORIENTATIONS, white_is_zero=st.booleans()
)  # fmt: skip
def test_any_palette_and_two_level_tiff_comes_back(folder, *, data, bits, size, orientation, white_is_zero):
    indices = data.draw(arrays(np.uint8, size, elements=st.integers(0, 2**bits - 1)))
    rows = [np.packbits((row[:, None] >> np.arange(bits - 1, -1, -1)) & 1).tobytes() for row in indices]
    tags = page_of(indices[..., None], t258=(SHORT, [bits]), t274=(SHORT, [orientation])).tags
    tags[278] = (SHORT, [size[0]])
    if bits == 1:
        tags[262] = (SHORT, [0 if white_is_zero else 1])
        seen = ((1 - indices if white_is_zero else indices) * 255)[..., None]
    else:
        palette = data.draw(arrays(np.uint8, (3, 2**bits)))
        tags |= {262: (SHORT, [3]), 320: (SHORT, [int(value) * 257 for value in palette.ravel()])}
        seen = palette.T[indices]
    again = by_tifffile(identity(tiff(Page(tags, [b"".join(rows)])), folder))
    np.testing.assert_array_equal(in_four_channels(again), in_four_channels(upright(seen, orientation)))


PROFILES = {
    "Display P3": matrix_icc(P3, srgb_curve(), title="Display P3"),
    "Adobe RGB": matrix_icc(ADOBE_RGB, gamma_curve(2.2), title="Adobe RGB"),
    "Table Space": rgb_table_icc(),
}


def by_littlecms(samples: np.ndarray, icc: bytes, mode: str = "RGB") -> np.ndarray:
    """In sRGB, as Pillow's own binding gives it."""
    picture = Image.frombytes(mode, samples.shape[1::-1], samples.tobytes())
    flags = ImageCms.Flags.BLACKPOINTCOMPENSATION
    profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
    converted = ImageCms.profileToProfile(
        picture, profile, ImageCms.createProfile("sRGB"), outputMode="RGB", renderingIntent=1, flags=flags
    )
    return np.asarray(converted)


@SHORTER_LAW
@given(
    data=st.data(), title=st.sampled_from(sorted(PROFILES)), size=SIZES, orientation=ORIENTATIONS,
    kind=st.sampled_from(["PNG", "PNG alpha", "TIFF", "WEBP"]),
)  # fmt: skip
def test_any_profile_is_converted_as_littlecms_does(folder, *, data, title, size, orientation, kind):
    samples = data.draw(arrays(np.uint8, (*size, 3)))
    alpha = data.draw(arrays(np.uint8, size))
    icc, exif = PROFILES[title], exif_with(orientation=orientation)
    if kind == "TIFF":
        tags = {"t274": (SHORT, [orientation]), "t34675": (UNDEFINED, icc)}
        file = tiff(page_of(samples, **tags))
    elif kind == "WEBP":
        file = saved(Image.fromarray(samples), "WEBP", lossless=True, exif=exif, icc_profile=icc)
    else:
        profile = chunk(b"iCCP", b"x\0\0" + zlib.compress(icc))
        stored = np.dstack([samples, alpha]) if kind == "PNG alpha" else samples
        file = png(stored, 8, 6 if kind == "PNG alpha" else 2, turned_png(orientation), profile)
    result = restore(file, task="deblur", model="same", engine=ENGINE)
    assert result.image.origin.notes[-1] == f"The colours were converted from {title} to sRGB."
    with Image.open(io.BytesIO(written(result, folder))) as picture:
        assert "icc_profile" not in picture.info
        again = np.asarray(picture.convert("RGBA"))
    expected = in_four_channels(upright(by_littlecms(samples, icc), orientation))
    np.testing.assert_array_equal(again[..., :3], expected[..., :3])
    if kind == "PNG alpha":
        np.testing.assert_array_equal(again[..., 3], upright(alpha, orientation))


@SHORTER_LAW
@given(
    data=st.data(), size=SIZES, orientation=ORIENTATIONS, profiled=st.booleans(),
    compression=st.sampled_from([1, 8]), planar=st.booleans(), dtype=st.sampled_from(["uint8", "uint16"]),
)  # fmt: skip
def test_any_inks_come_back_as_littlecms_shows_them(
    folder, *, data, size, orientation, profiled, compression, planar, dtype
):  # fmt: skip
    inks = data.draw(arrays(np.uint8, (*size, 4)))
    stored = inks.astype(np.uint16) * 257 if dtype == "uint16" else inks
    tags = {"t262": (SHORT, [5]), "t274": (SHORT, [orientation])}
    tags |= {"t34675": (UNDEFINED, cmyk_icc())} if profiled else {}
    file = tiff(page_of(stored, compression=compression, planar=planar, **tags))
    plain = Image.frombytes("CMYK", size[::-1], inks.tobytes()).convert("RGB")
    seen = by_littlecms(inks, cmyk_icc(), "CMYK") if profiled else np.asarray(plain)
    again = by_tifffile(identity(file, folder))
    np.testing.assert_array_equal(in_four_channels(again), in_four_channels(upright(seen, orientation)))


@LAW
@given(
    data=st.data(), size=SIZES, gamma=st.sampled_from([1.0, 1.8, 2.2]), dtype=st.sampled_from(["uint8", "uint16"])
)  # fmt: skip
def test_a_gray_profile_goes_out_as_it_came(folder, *, data, size, gamma, dtype):
    samples = data.draw(arrays(dtype, (*size, 1)))
    icc = gray_icc(gamma)
    file = png(samples, samples.itemsize * 8, GRAY, chunk(b"iCCP", b"x\0\0" + zlib.compress(icc)))
    again = identity(file, folder)
    np.testing.assert_array_equal(in_four_channels(by_opencv(again)), in_four_channels(samples))
    with Image.open(io.BytesIO(again)) as picture:
        assert picture.info["icc_profile"] == icc


LOSSY = [("JPEG", "RGB"), ("JPEG", "L"), ("WEBP", "RGB"), ("WEBP", "RGBA"), ("AVIF", "RGB"), ("AVIF", "L")]


@LAW
@given(
    seed=st.integers(0, 2**32 - 1), size=st.tuples(st.integers(1, 40), st.integers(1, 40)), orientation=ORIENTATIONS,
    kind=st.sampled_from(LOSSY), quality=st.integers(1, 100),
)  # fmt: skip
def test_any_lossy_file_is_read_as_pillow_reads_it(*, seed, size, orientation, kind, quality):
    format, mode = kind
    samples = np.random.default_rng(seed).integers(0, 256, (*size, 4)).astype(np.uint8)
    options = {"speed": 10} if format == "AVIF" else {}
    picture = Image.fromarray(samples).convert(mode)
    file = saved(picture, format, quality=quality, exif=exif_with(orientation=orientation), **options)
    document, header = read_image(file), read_header(file)
    with Image.open(io.BytesIO(file)) as reference:
        seen = upright(np.asarray(reference.convert(mode)), orientation)
    assert (header.height, header.width) == seen.shape[:2] == (document.height, document.width)
    alpha = [] if document.alpha is None else [document.alpha]
    np.testing.assert_array_equal(in_four_channels(np.dstack([document.color, *alpha])), in_four_channels(seen))


@LAW
@given(data=st.data(), bits=st.sampled_from([10, 12]), size=SIZES, channels=st.sampled_from([1, 3, 4]))
def test_any_deep_avif_without_loss_is_read_to_the_last_bit(*, data, bits, size, channels):
    samples = data.draw(arrays(np.uint16, (*size, channels), elements=st.integers(0, 2**bits - 1)))
    order = {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[channels]
    options = [cv2.IMWRITE_AVIF_DEPTH, bits, cv2.IMWRITE_AVIF_QUALITY, 100, cv2.IMWRITE_AVIF_SPEED, 10]
    _, file = cv2.imencode(".avif", np.ascontiguousarray(samples[..., order]), options)
    document = read_image(file.tobytes())
    alpha = [] if document.alpha is None else [document.alpha]
    got = np.dstack([document.color, *alpha])
    peak = 2**bits - 1
    wide = ((samples.astype(np.uint32) * 65535 + peak // 2) // peak).astype(np.uint16)
    np.testing.assert_array_equal(in_four_channels(got), in_four_channels(wide))
