import io
import struct
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from restoration.errors import ImageFileError
from restoration.images import depth
from restoration.images.depth import (
    narrowing,
    nominal_float,
    scaled_integers,
    to_uint8,
    to_uint16,
    wide_integers,
    widening,
)
from restoration.images.reading import read_header, read_image

from .made_files import chunk, noise, png_of, saved

tifffile = pytest.importorskip("tifffile")


def tiff(samples: np.ndarray, **options) -> bytes:
    stream = io.BytesIO()
    options = {"photometric": "rgb" if samples.ndim == 3 else "minisblack", "metadata": None, **options}
    tifffile.imwrite(stream, samples, **options)
    return stream.getvalue()


def test_every_16_bit_value_is_rounded_to_the_nearest_8_bit_one():
    values = np.arange(65536, dtype=np.uint16)
    np.testing.assert_array_equal(to_uint8(values), np.rint(values.astype(np.float64) * 255 / 65535))


def test_8_bits_survive_the_way_through_16_and_through_float():
    values = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(to_uint8(to_uint16(values)), values)
    np.testing.assert_array_equal(to_uint8((values / 255).astype(np.float32)), values)
    wide = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    np.testing.assert_array_equal(to_uint16((wide / 65535).astype(np.float32)), wide)


@given(st.floats(-2, 3, width=32))
def test_floats_outside_the_range_are_held_to_it(value):
    expected = round(min(1.0, max(0.0, value)) * 255)
    assert abs(int(to_uint8(np.array([value], np.float32))[0]) - expected) <= 1
    assert to_uint16(np.array([-1.0, 2.0], np.float32)).tolist() == [0, 65535]


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_16_bit_pngs_keep_every_bit_in_every_channel(channels):
    samples = noise((9, 13, channels), np.uint16)
    document = read_image(png_of(samples))
    colors = 1 if channels < 3 else 3
    assert document.color.dtype == np.uint16
    np.testing.assert_array_equal(document.color, samples[..., :colors])
    if channels in (2, 4):
        np.testing.assert_array_equal(document.alpha, samples[..., -1])
    else:
        assert document.alpha is None
    assert (document.origin.bits, document.origin.gray) == (16, channels < 3)
    assert document.origin.notes == ()


@pytest.mark.parametrize(
    "extra",
    [
        chunk(b"gAMA", struct.pack(">I", 100_000)),
        chunk(b"cICP", bytes([12, 16, 0, 1])),
        chunk(b"sRGB", b"\0"),
    ],
)
def test_no_gamma_is_applied_to_a_16_bit_png(extra):
    samples = noise((5, 7, 3), np.uint16)
    np.testing.assert_array_equal(read_image(png_of(samples, extra)).color, samples)


def test_an_interlaced_16_bit_png_is_read():
    samples = noise((8, 8, 3), np.uint16)
    raw = b""
    for x0, y0, dx, dy in (
        (0, 0, 8, 8),
        (4, 0, 8, 8),
        (0, 4, 4, 8),
        (2, 0, 4, 4),
        (0, 2, 2, 4),
        (1, 0, 2, 2),
        (0, 1, 1, 2),
    ):
        raw += b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples[y0::dy, x0::dx])
    import zlib

    header = struct.pack(">IIBBBBB", 8, 8, 16, 2, 0, 0, 1)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")
    np.testing.assert_array_equal(read_image(data).color, samples)


def test_16_bit_pngs_naming_a_transparent_colour_give_16_bit_alpha():
    samples = noise((6, 7, 3), np.uint16)
    document = read_image(png_of(samples, chunk(b"tRNS", samples[2, 3].astype(">u2").tobytes())))
    np.testing.assert_array_equal(document.color, samples)
    np.testing.assert_array_equal(document.alpha, np.where((samples == samples[2, 3]).all(2), 0, 65535))
    gray = samples[..., :1]
    document = read_image(png_of(gray, chunk(b"tRNS", gray[2, 3].astype(">u2").tobytes())))
    np.testing.assert_array_equal(document.alpha, np.where(gray[..., 0] == gray[2, 3, 0], 0, 65535))


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize(
    "options", [{}, {"compression": "zlib"}, {"compression": "zlib", "predictor": True}, {"tile": (16, 16)}]
)
def test_16_bit_tiffs_keep_every_bit(byteorder, options):
    samples = noise((19, 13, 3), np.uint16)
    document = read_image(tiff(samples, byteorder=byteorder, **options))
    np.testing.assert_array_equal(document.color, samples)
    assert document.origin.bits == 16
    gray = read_image(tiff(samples[..., 0], byteorder=byteorder, **options))
    np.testing.assert_array_equal(gray.color[..., 0], samples[..., 0])
    assert gray.color.dtype == np.uint16
    assert gray.color.dtype.isnative


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}])
def test_16_bit_tiffs_in_separate_planes_keep_every_bit(options):
    samples = noise((3, 9, 13), np.uint16)
    planes = {"photometric": "rgb", "planarconfig": "separate", **options}
    np.testing.assert_array_equal(read_image(tiff(samples, **planes)).color, np.moveaxis(samples, 0, 2))
    floats = (samples / 65535).astype(np.float32)
    np.testing.assert_array_equal(read_image(tiff(floats, **planes)).color, np.moveaxis(floats, 0, 2))
    eight = noise((3, 9, 13))
    np.testing.assert_array_equal(read_image(tiff(eight, **planes)).color, np.moveaxis(eight, 0, 2))


def test_16_bit_tiff_alpha_is_read_and_premultiplied_colours_are_divided():
    samples = noise((9, 13, 4), np.uint16)
    plain = read_image(tiff(samples, extrasamples=["unassalpha"]))
    np.testing.assert_array_equal(plain.color, samples[..., :3])
    np.testing.assert_array_equal(plain.alpha, samples[..., 3])
    ignored = read_image(tiff(samples, extrasamples=["unspecified"]))
    assert ignored.alpha is None
    alpha = np.maximum(samples[..., 3:], 20_000)
    multiplied = np.rint(samples[..., :3] * (alpha / 65535)).astype(np.uint16)
    divided = read_image(tiff(np.concatenate([multiplied, alpha], 2), extrasamples=["assocalpha"]))
    np.testing.assert_array_equal(divided.alpha, alpha[..., 0])
    assert np.abs(divided.color.astype(int) - samples[..., :3]).max() <= 2


def test_white_is_zero_is_turned_over_in_16_bits_too():
    samples = noise((5, 6), np.uint16)
    np.testing.assert_array_equal(read_image(tiff(samples, photometric="miniswhite")).color[..., 0], 65535 - samples)
    eight = noise((5, 6))
    np.testing.assert_array_equal(read_image(tiff(eight, photometric="miniswhite")).color[..., 0], 255 - eight)


def test_12_bits_are_widened_to_16():
    values = np.array([[0, 1, 2048, 4095]], np.uint16)
    packed = np.array([0x00, 0x00, 0x01, 0x80, 0x0F, 0xFF], np.uint8)
    data = bytearray(tiff(packed[None]))
    for tag, value in ((256, 4), (258, 12)):
        for kind in (3, 4):
            at = data.find(struct.pack("<HHI", tag, kind, 1))
            if at >= 0:
                data[at + 8 : at + 12] = struct.pack("<I", value)
    document = read_image(bytes(data))
    np.testing.assert_array_equal(document.color[0, :, 0], np.rint(values[0] * (65535 / 4095)))


@pytest.mark.parametrize("shape", [(7, 9), (7, 9, 3), (7, 9, 4)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_float_tiffs_between_0_and_1_are_kept_as_they_are(shape, dtype):
    if dtype == np.float64 and len(shape) == 2:
        pytest.skip("Pillow reads no gray of 64 bits")
    samples = np.random.default_rng(0).random(shape).astype(dtype)
    samples[0, 0] = 1.4
    samples[0, 1] = -0.1
    options = {"extrasamples": ["unassalpha"]} if shape[-1] == 4 else {}
    document = read_image(tiff(samples, **options))
    full = samples[..., None] if len(shape) == 2 else samples
    np.testing.assert_array_equal(document.color, full[..., :3].astype(np.float32))
    assert document.color.dtype == np.float32
    assert document.origin.bits == 32
    assert document.origin.notes == ()
    assert (document.alpha is not None) == (shape[-1] == 4)
    if len(shape) == 3:
        assert read_header(tiff(samples, **options)).megapixels == pytest.approx(63e-6)


@pytest.mark.parametrize(
    ("low", "high", "black", "white"),
    [
        (0, 200, 0, 255),
        (0, 60_000, 0, 65535),
        (0, 1e6, 0, 1e6),
        (-50, 150, -50, 150),
    ],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_other_float_ranges_are_scaled_and_said(low, high, black, white, channels):
    samples = np.random.default_rng(0).uniform(low, high, (7, 9, channels)).astype(np.float32)
    samples[0, 0], samples[0, 1] = low, high
    document = read_image(tiff(samples[..., 0] if channels == 1 else samples))
    np.testing.assert_allclose(document.color, (samples - black) / (white - black), atol=1e-6)
    (note,) = document.origin.notes
    assert f"{black:g} is black and {white:g} is white" in note


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("channels", [1, 3])
def test_floats_that_are_no_numbers_are_refused(bad, channels):
    samples = np.zeros((7, 9, channels), np.float32)
    samples[3, 3, 0] = bad
    with pytest.raises(ImageFileError, match="not finite"):
        read_image(tiff(samples[..., 0] if channels == 1 else samples))


def test_a_constant_float_picture_is_no_division_by_zero():
    for value in (0.0, 0.5, 7.0, 1e9, -3.0):
        values, _ = nominal_float(np.full((2, 2), value, np.float32))
        assert np.isfinite(values).all()


@pytest.mark.parametrize("dtype", [np.uint32, np.int32, np.int16])
def test_integers_that_fit_in_16_bits_are_kept(dtype):
    samples = noise((7, 9), np.int16).astype(np.int32) & 0x7FFF
    document = read_image(tiff(samples.astype(dtype)))
    np.testing.assert_array_equal(document.color[..., 0], samples)
    assert document.color.dtype == np.uint16
    assert document.origin.notes == ()


def test_wider_integers_are_scaled_and_said():
    samples = np.linspace(0, 2**32 - 1, 63).astype(np.uint32).reshape(7, 9)
    document = read_image(tiff(samples))
    np.testing.assert_allclose(document.color[..., 0], samples / (2**32 - 1) * 65535, atol=0.51)
    assert document.origin.notes == ("The picture's 32-bit whole numbers were rounded to 16 bits.",)
    bright = read_image(tiff(samples // 2 + 2**30))  # not over the whole range: nothing is stretched
    np.testing.assert_allclose(bright.color[..., 0], (samples // 2 + 2**30) / (2**32 - 1) * 65535, atol=0.51)
    counted = np.linspace(500, 1_000_000, 63).astype(np.uint32).reshape(7, 9)
    document = read_image(tiff(counted))
    np.testing.assert_allclose(document.color[..., 0], (counted - 500.0) / 999_500 * 65535, atol=0.51)
    assert "from 500 to 1,000,000" in document.origin.notes[0]
    signed = np.linspace(-1000, 1000, 63).astype(np.int32).reshape(7, 9)
    document = read_image(tiff(signed))
    np.testing.assert_allclose(document.color[..., 0], (signed + 1000) / 2000 * 65535, atol=0.51)
    same, note = wide_integers(np.full((2, 2), -5, np.int32), unsigned=False)
    assert same.tolist() == [[0, 0], [0, 0]]
    assert note


def test_without_opencv_16_bit_colour_is_read_as_8_and_said(monkeypatch):
    samples = noise((7, 9, 3), np.uint16)
    monkeypatch.setitem(sys.modules, "cv2", None)
    document = read_image(png_of(samples))
    assert document.color.dtype == np.uint8
    np.testing.assert_array_equal(document.color, samples >> 8)
    assert document.origin.notes == ("The picture has more than 8 bits per channel; it was read with 8.",)
    gray = read_image(png_of(samples[..., :2]))
    assert gray.color.shape == (7, 9, 1)
    np.testing.assert_array_equal(gray.color[..., 0], samples[..., 0] >> 8)
    np.testing.assert_array_equal(gray.alpha, samples[..., 1] >> 8)
    np.testing.assert_array_equal(read_image(png_of(samples[..., :1])).color, samples[..., :1])
    with pytest.raises(ImageFileError, match="need OpenCV"):
        read_image(tiff(np.zeros((3, 4, 3), np.float32)))


def test_a_tiff_nobody_reads_is_refused():
    with pytest.raises(ImageFileError, match="rare kind"):
        read_image(tiff(np.zeros((3, 4, 3), np.complex64)))
    with pytest.raises(ImageFileError, match="rare kind"):
        read_image(tiff(np.zeros((3, 4, 3), np.int8), photometric="rgb"))


def test_a_float_colour_tiff_keeps_resolution_camera_and_author():
    exif = [(271, 2, 6, "Maker", True), (315, 2, 4, "Ann", True)]
    data = tiff(np.zeros((3, 4, 3), np.float32), resolution=(300, 150), resolutionunit="INCH", extratags=exif)
    origin = read_image(data).origin
    assert origin.dpi == pytest.approx((300, 150))
    block = Image.Exif()
    block.load(origin.exif or b"")
    assert (block[271], block[315]) == ("Maker", "Ann")


def test_a_16_bit_cmyk_tiff_says_that_8_bits_were_read():
    data = tiff(noise((5, 6, 4), np.uint16), photometric="separated")
    document = read_image(data)
    assert document.color.dtype == np.uint8
    assert any("read with 8" in note for note in document.origin.notes)
    assert read_image(saved(Image.new("CMYK", (3, 3)), "TIFF")).origin.notes[0].startswith("The colours")


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
def test_the_tables_between_few_bits_and_16_round_to_nearest(bits):
    peak = 2**bits - 1
    few, all16 = np.arange(peak + 1), np.arange(65536)
    np.testing.assert_array_equal(widening(bits)[few], np.rint(few * 65535 / peak))
    assert widening(bits)[-1] == 65535
    assert np.abs(narrowing(bits)[all16] - all16 * peak / 65535).max() <= 0.5
    np.testing.assert_array_equal(narrowing(bits)[widening(bits)[few]], few)


def test_bands_give_what_the_whole_gives(monkeypatch):
    monkeypatch.setattr(depth, "_BAND", 100)
    for shape in ((1, 1, 3), (77, 9, 3), (40, 130), (3, 200, 1)):
        values = np.random.default_rng(0).integers(0, 2**32, shape, dtype=np.uint32)
        values.flat[:2] = 0, 2**32 - 1
        np.testing.assert_array_equal(scaled_integers(values, 2**32 - 1)[0], np.rint(values * (65535 / (2**32 - 1))))
        signed = (values // 2).astype(np.int64) - 2**30
        wanted = np.rint((signed + 2**30) * (65535 / (2**31 - 1)))
        np.testing.assert_array_equal(scaled_integers(signed.astype(np.int32), 2**31 - 1)[0], wanted)
        floats = values / 2**16
        np.testing.assert_array_equal(nominal_float(floats)[0], (floats / floats.max()).astype(np.float32))
        narrow = values.astype(np.uint16)
        np.testing.assert_array_equal(to_uint8(narrow), np.rint(narrow / 257))
