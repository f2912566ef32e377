import io
import struct
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import ExifTags, Image, features

from restoration.errors import OptionError
from restoration.images.document import ImageDocument, Origin
from restoration.images.limits import Limits
from restoration.images.png_encoder import encode_png16
from restoration.images.reading import read_image
from restoration.images.tiff_encoder import encode_tiff
from restoration.images.writing import FORMATS, encoding_notes, flattened_on_white, output_format, write_image

from .made_files import SRGB, exif_with, gray_icc, matrix_icc, noise, rgb_table_icc, saved, smooth, srgb_curve

SRGB_ICC = matrix_icc(SRGB, srgb_curve(), title="Our sRGB")


def document(shape=(9, 13, 3), dtype=np.uint8, alpha=False, **origin) -> ImageDocument:
    if dtype == np.float32:
        color = np.random.default_rng(0).random(shape).astype(np.float32)
        plane = np.random.default_rng(1).random(shape[:2]).astype(np.float32)
    else:
        color, plane = noise(shape, dtype), noise(shape[:2], dtype, seed=1)
    return ImageDocument(color=color, alpha=plane if alpha else None, origin=Origin(**origin))


def test_same_keeps_the_format_of_the_input():
    for kind, written in {
        "JPEG": "jpeg",
        "PNG": "png",
        "WEBP": "webp",
        "TIFF": "tiff",
        "BMP": "png",
        "GIF": "png",
        "HEIF": "jpeg",
        "AVIF": "avif" if features.check("avif") else "png",
        "SOMETHING": "png",
    }.items():
        assert output_format(document(format=kind), "same") == written
    assert output_format(document(format="HEIF", alpha=True), "same") == "png"
    opaque = replace(document(format="HEIF"), alpha=np.full((9, 13), 255, np.uint8))
    assert output_format(opaque, "same") == "jpeg"
    for name in FORMATS[1:]:
        assert output_format(document(format="GIF"), name) == name


def test_avif_falls_back_to_png_where_pillow_cannot_write_it(monkeypatch):
    monkeypatch.setattr(features, "check", lambda name: False)
    assert output_format(document(format="AVIF"), "same") == "png"
    assert encoding_notes(document(format="AVIF"), "same") == (
        "The result is written as PNG because of its format AVIF.",
    )


def test_a_side_too_long_for_the_format_becomes_png_or_is_refused_when_asked_for(tmp_path):
    long = ImageDocument(color=np.zeros((1, 16_384, 3), np.uint8), origin=Origin(format="WEBP"))
    assert output_format(long, "same") == "png"
    assert encoding_notes(long, "same") == ("The result is written as PNG because of its size.",)
    with pytest.raises(OptionError, match=r"at most 16,383 pixels on a side and this picture has 16,384"):
        write_image(long, tmp_path / "x", format="webp")
    assert write_image(long, tmp_path / "x").suffix == ".png"
    fits = ImageDocument(color=np.zeros((1, 16_383, 3), np.uint8), origin=Origin(format="WEBP"))
    assert write_image(fits, tmp_path / "y").suffix == ".webp"


@pytest.mark.parametrize("bits", [8, 10])
def test_an_avif_is_no_longer_than_what_opens_again(bits, tmp_path):
    origin, dtype = Origin(format="AVIF", bits=bits), np.uint8 if bits == 8 else np.uint16
    limits = Limits(side=40_000, aspect=40_000)
    for shape in ((32_768, 1, 3), (1, 32_768, 3)):
        path = write_image(ImageDocument(color=np.zeros(shape, dtype), origin=origin), tmp_path / "x")
        again = read_image(path, limits=limits)
        assert (path.suffix, again.height, again.width) == (".avif", *shape[:2])
    long = ImageDocument(color=np.zeros((32_769, 1, 3), dtype), origin=origin)
    assert "written as PNG because of its size" in encoding_notes(long, "same")[0]
    assert write_image(long, tmp_path / "x").suffix == ".png"


@pytest.mark.parametrize("format", ["", "gif", "JPEG", "bmp"])
def test_an_unknown_format_is_refused_with_the_list(format):
    with pytest.raises(OptionError, match="one of same, png, jpeg, webp, tiff"):
        output_format(document(), format)


@pytest.mark.parametrize("quality", [0, 101, -1, 50.5, float("nan"), True, "90"])
def test_a_quality_that_makes_no_sense_is_refused(quality, tmp_path):
    with pytest.raises(OptionError, match="from 1 to 100"):
        write_image(document(), tmp_path / "x.jpg", format="jpeg", quality=quality)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("format", "dtype"),
    [
        ("png", np.uint8),
        ("tiff", np.uint8),
        ("png", np.uint16),
        ("tiff", np.uint16),
        ("tiff", np.float32),
    ],
)
def test_lossless_round_trips_keep_pixels_alpha_depth_and_gray(format, dtype, channels, alpha, tmp_path):
    original = document((9, 13, channels), dtype, alpha)
    again = read_image(write_image(original, tmp_path / "picture", format=format))
    np.testing.assert_array_equal(again.color, original.color)
    assert again.color.dtype == dtype
    if alpha:
        np.testing.assert_array_equal(again.alpha, original.alpha)
    else:
        assert again.alpha is None
    assert again.origin.bits == {np.uint8: 8, np.uint16: 16, np.float32: 32}[dtype]


SAMPLES = arrays(np.uint16, st.tuples(st.integers(1, 12), st.integers(1, 12), st.sampled_from([1, 2, 3, 4])))


@settings(max_examples=40, deadline=None)
@given(SAMPLES)
def test_16_bit_pngs_are_what_other_decoders_read(samples):
    cv2 = pytest.importorskip("cv2")
    data = encode_png16(samples)
    with Image.open(io.BytesIO(data)) as picture:
        picture.load()
        assert picture.size == samples.shape[1::-1]
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    order = {1: None, 2: [0, 3], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[samples.shape[2]]
    np.testing.assert_array_equal(decoded[..., None] if order is None else decoded[..., order], samples)


@settings(max_examples=40, deadline=None)
@given(SAMPLES, st.sampled_from([np.uint8, np.uint16, np.float32]))
def test_tiffs_are_what_other_decoders_read(samples, dtype):
    tifffile = pytest.importorskip("tifffile")
    samples = (samples / 65535).astype(dtype) if dtype == np.float32 else samples.astype(dtype)
    with tifffile.TiffFile(io.BytesIO(encode_tiff(samples))) as file:
        page = file.pages[0]
        assert page.compression == 8
        if dtype == np.float32:
            np.testing.assert_array_equal(page.asarray().reshape(samples.shape), samples)
    document = read_image(encode_tiff(samples))
    color = np.broadcast_to(document.color, (*samples.shape[:2], 1 if samples.shape[2] < 3 else 3))
    planes = [color] if document.alpha is None else [color, document.alpha[..., None]]
    np.testing.assert_array_equal(np.concatenate(planes, axis=2), samples)


def test_large_files_of_several_strips_and_bands_come_back(tmp_path):
    across = np.cumsum(noise((700, 600, 3), np.uint16) // 500, axis=1, dtype=np.uint16)
    for samples, format in ((across, "png"), (across.swapaxes(0, 1).copy(), "png"), (across, "tiff")):
        original = ImageDocument(color=samples)
        path = write_image(original, tmp_path / "big", format=format)
        np.testing.assert_array_equal(read_image(path).color, samples)
        assert path.stat().st_size < samples.nbytes


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("format", ["png", "jpeg", "webp", "tiff"])
def test_profile_exif_and_resolution_are_embedded(format, dtype, tmp_path):
    exif = read_image(saved(Image.fromarray(smooth()), "JPEG", exif=exif_with(orientation=6))).origin.exif
    original = document((40, 56, 3), dtype, icc=SRGB_ICC, exif=exif, dpi=(300.0, 150.0))
    path = write_image(original, tmp_path / "x", format=format)
    with Image.open(path) as picture:
        assert picture.info["icc_profile"] == SRGB_ICC
        read = picture.getexif()
        assert (read[0x010F], read[0x0110], read[0x013B]) == ("Maker", "Model", "Ann Author")
        assert 0x0112 not in read
        details = read.get_ifd(ExifTags.IFD.Exif)
        assert (details[0x9003], details[0x8827]) == ("2024:05:06 07:08:09", 200)
        assert not read.get_ifd(ExifTags.IFD.GPSInfo)
    again = read_image(path)
    assert again.origin.icc == SRGB_ICC
    assert again.origin.exif is not None
    if format != "webp":
        assert again.origin.dpi == pytest.approx((300, 150), rel=1e-3)


def test_the_first_row_of_a_band_is_filtered_against_the_last_of_the_band_before():
    around_zero = (noise((600, 90, 3)).astype(np.int16) % 7 - 3).astype(np.uint16)  # best left unfiltered, if one could
    assert (read_image(encode_png16(around_zero)).color == around_zero).all()


def test_metadata_is_the_same_after_a_second_round(tmp_path):
    first = read_image(saved(Image.fromarray(smooth()), "TIFF", exif=exif_with(), dpi=(300, 300), icc_profile=SRGB_ICC))
    second = read_image(write_image(first, tmp_path / "a"))
    third = read_image(write_image(second, tmp_path / "b"))
    assert replace(third.origin, name="a") == second.origin
    assert second.origin.exif


@pytest.mark.parametrize("format", ["png", "jpeg", "tiff", "webp"])
def test_without_metadata_nothing_is_embedded(format, tmp_path):
    with Image.open(write_image(document(), tmp_path / "x", format=format)) as picture:
        assert "icc_profile" not in picture.info
        assert "exif" not in picture.info
        if format != "tiff":
            assert "dpi" not in picture.info


@pytest.mark.parametrize("format", ["png", "jpeg", "tiff"])
def test_gray_is_written_as_gray_with_its_gray_profile(format, tmp_path):
    path = write_image(document((9, 13, 1), gray=True, icc=gray_icc()), tmp_path / "x", format=format)
    with Image.open(path) as picture:
        assert picture.mode == "L"
        assert picture.info["icc_profile"] == gray_icc()


def test_jpeg_keeps_colour_at_full_resolution_from_quality_90_on(tmp_path):
    def factors(path: Path) -> int:
        data = path.read_bytes()
        at = data.index(b"\xff\xc0")
        return data[at + 11]  # sampling factors of the first component

    assert factors(write_image(document(), tmp_path / "a", format="jpeg")) == 0x11
    assert factors(write_image(document(), tmp_path / "b", format="jpeg", quality=90)) == 0x11
    assert factors(write_image(document(), tmp_path / "c", format="jpeg", quality=89)) == 0x22


@pytest.mark.parametrize(("kind", "format"), [("JPEG", "jpeg"), ("WEBP", "webp"), ("AVIF", "same")])
def test_lossy_formats_are_close_at_92_and_smaller_at_40(kind, format, tmp_path):
    original = ImageDocument(color=smooth(), origin=Origin(format=kind))
    good = write_image(original, tmp_path / "good", format=format)
    small = write_image(original, tmp_path / "small", format=format, quality=40)
    assert np.abs(read_image(good).color.astype(int) - smooth()).mean() < 3
    assert small.stat().st_size < good.stat().st_size


@pytest.mark.parametrize("format", ["jpeg", "webp"])
def test_16_bits_are_rounded_for_8_bit_formats_with_a_note(format, tmp_path):
    original = ImageDocument(color=smooth().astype(np.uint16) * 257 + 100)
    (note,) = encoding_notes(original, format)
    assert "holds 8 bits per channel, so the 16 bits" in note
    again = read_image(write_image(original, tmp_path / "x", format=format, quality=100))
    assert again.color.dtype == np.uint8
    assert np.abs(again.color.astype(int) - smooth()).mean() < 2.5


def test_float_in_png_is_rounded_to_16_bits_with_a_note(tmp_path):
    original = document(dtype=np.float32)
    original.color[0, 0] = (-0.2, 1.3, 0.5)
    assert "rounded to 16 bits" in encoding_notes(original, "png")[0]
    again = read_image(write_image(original, tmp_path / "x", format="png"))
    np.testing.assert_allclose(again.color / 65535, np.clip(original.color, 0, 1), atol=1 / 65535)


def test_transparency_goes_on_white_in_a_jpeg_with_a_note(tmp_path):
    color = np.zeros((16, 48, 3), np.uint8)
    color[..., 0] = 200
    alpha = np.repeat(np.array([0, 128, 255], np.uint8), 16)[None].repeat(16, 0)
    original = ImageDocument(color=color, alpha=alpha)
    assert encoding_notes(original, "jpeg") == ("JPEG holds no transparency, so the picture was put on white.",)
    assert encoding_notes(replace(original, alpha=np.full_like(alpha, 255)), "jpeg") == ()
    pixels = read_image(write_image(original, tmp_path / "x", format="jpeg", quality=100)).color.astype(int)
    for x, expected in ((8, (255, 255, 255)), (24, (227, 127, 127)), (40, (200, 0, 0))):
        assert np.abs(pixels[8, x] - expected).max() <= 3


@given(st.integers(0, 255), st.integers(0, 255))
def test_flattening_is_rounded_to_nearest(value, alpha):
    out = flattened_on_white(np.full((1, 1, 1), value, np.uint8), np.full((1, 1), alpha, np.uint8))
    exact = (value * alpha + 255 * (255 - alpha)) / 255
    assert abs(int(out[0, 0, 0]) - exact) <= 0.5


def test_what_loses_nothing_has_no_notes():
    for format in ("png", "tiff", "webp", "same"):
        assert encoding_notes(document(alpha=True), format) == ()
    for format in ("png", "tiff"):
        assert encoding_notes(document(dtype=np.uint16, alpha=True), format) == ()
    assert encoding_notes(document(format="HEIF"), "same") == (
        "The result is written as JPEG because of its format HEIF.",
    )


@pytest.mark.parametrize(
    ("given_name", "written"),
    [
        ("beach", "beach.png"),
        ("beach.JPG", "beach.png"),
        ("beach.v2", "beach.v2.png"),
        ("a.b.heic", "a.b.png"),
        ("Strand ☀", "Strand ☀.png"),
        ("x" * 80, "x" * 80 + ".png"),
    ],
)
def test_only_a_pictures_ending_is_replaced(given_name, written, tmp_path):
    path = write_image(document(), tmp_path / given_name)
    assert path == tmp_path / written
    assert [entry.name for entry in tmp_path.iterdir()] == [written]
    assert write_image(document(), str(tmp_path / given_name)) == path


def test_a_failed_write_leaves_the_old_file_and_no_rubbish(tmp_path, monkeypatch):
    path = write_image(document(), tmp_path / "x.png")
    before = path.read_bytes()

    def half(self, handle, **options):
        handle.write(b"half a picture")
        raise OSError("disk full")

    monkeypatch.setattr(Image.Image, "save", half)
    with pytest.raises(OSError, match="disk full"):
        write_image(document((3, 3, 3)), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_written_file_has_the_usual_permissions(tmp_path):
    reference = tmp_path / "reference"
    reference.write_bytes(b"")
    assert write_image(document(), tmp_path / "x").stat().st_mode == reference.stat().st_mode


def test_a_profile_kept_beside_16_bit_colours_is_written_back(tmp_path):
    path = write_image(document(dtype=np.uint16, icc=rgb_table_icc()), tmp_path / "x", format="png")
    assert read_image(path).origin.icc == rgb_table_icc()


def test_the_png_chunks_stand_in_their_order_and_have_their_checksums():
    data = encode_png16(noise((5, 6, 3), np.uint16), icc=SRGB_ICC, exif=exif_with(), dpi=(300, 300))
    at, kinds = 8, []
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        kinds.append(data[at + 4 : at + 8])
        assert zlib.crc32(data[at + 4 : at + 8 + length]) == struct.unpack_from(">I", data, at + 8 + length)[0]
        at += 12 + length
    assert kinds == [b"IHDR", b"iCCP", b"pHYs", b"eXIf", b"IDAT", b"IDAT", b"IEND"]


@settings(max_examples=25, deadline=None)
@given(arrays(np.uint8, st.tuples(st.integers(1, 20), st.integers(1, 20), st.sampled_from([1, 3]))), st.booleans())
def test_any_8_bit_picture_survives_png(tmp_path_factory, color, transparent):
    original = ImageDocument(color=color, alpha=color[..., 0].copy() if transparent else None)
    again = read_image(write_image(original, tmp_path_factory.getbasetemp() / "any", format="png"))
    np.testing.assert_array_equal(np.broadcast_to(again.color, color.shape), color)
    assert (again.alpha is None) == (original.alpha is None)
