import io
import struct

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageOps

from restoration.images.reading import read_header, read_image

from .made_files import chunk, exif_with, noise, png_of, saved, smooth

ORIENTATIONS = range(1, 9)
LOSSLESS = {"JPEG": {"quality": 90}, "PNG": {}, "WEBP": {"lossless": True}, "TIFF": {}}


def transposed(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as picture:
        return np.asarray(ImageOps.exif_transpose(picture).convert("RGB"))


def exif_of(block: bytes | None) -> Image.Exif:
    exif = Image.Exif()
    exif.load(block or b"")
    return exif


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("format", LOSSLESS)
def test_every_orientation_is_applied_once_as_pillow_applies_it(format, orientation):
    data = saved(Image.fromarray(smooth(20, 30)), format, exif=exif_with(orientation=orientation), **LOSSLESS[format])
    document = read_image(data)
    np.testing.assert_array_equal(document.color, transposed(data))
    assert document.color.flags.c_contiguous
    assert 0x0112 not in exif_of(document.origin.exif)
    header = read_header(data)
    assert (header.height, header.width) == document.color.shape[:2]


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_alpha_turns_with_the_colours(orientation):
    pixels = noise((6, 9, 4))
    data = saved(Image.fromarray(pixels), "PNG", exif=exif_with(orientation=orientation))
    document = read_image(data)
    with Image.open(io.BytesIO(data)) as picture:
        reference = np.asarray(ImageOps.exif_transpose(picture))
    np.testing.assert_array_equal(np.dstack([document.color, document.alpha]), reference)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_16_bit_png_and_tiff_turn_too(orientation):
    samples = noise((6, 9, 3), np.uint16)
    exif = chunk(b"eXIf", exif_with(orientation=orientation)[6:])
    turned = read_image(png_of(samples, exif)).color
    eight = png_of((samples >> 8).astype(np.uint8), exif)
    assert turned.dtype == np.uint16
    np.testing.assert_array_equal(turned >> 8, transposed(eight))

    tifffile = pytest.importorskip("tifffile")
    stream = io.BytesIO()
    tags = [(274, 3, 1, orientation, True)]
    tifffile.imwrite(stream, samples, photometric="rgb", metadata=None, extratags=tags)
    np.testing.assert_array_equal(read_image(stream.getvalue()).color, turned)
    header = read_header(stream.getvalue())
    assert (header.height, header.width) == turned.shape[:2]

    stream = io.BytesIO()
    tifffile.imwrite(stream, samples[..., 0], metadata=None, extratags=tags)
    np.testing.assert_array_equal(read_image(stream.getvalue()).color[..., 0], turned[..., 0])

    stream = io.BytesIO()
    floats = (samples / 65535).astype(np.float32)
    tifffile.imwrite(stream, floats, photometric="rgb", metadata=None, extratags=tags)
    np.testing.assert_allclose(read_image(stream.getvalue()).color, turned / 65535, atol=1e-6)
    header = read_header(stream.getvalue())
    assert (header.height, header.width) == turned.shape[:2]


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("format", ["AVIF", "HEIF"])
def test_formats_that_turn_in_the_container_are_turned_once(format, orientation):
    picture = Image.fromarray(smooth(24, 36))
    exif = exif_with(orientation=orientation)
    if format == "HEIF":
        pillow_heif = pytest.importorskip("pillow_heif")
        stream = io.BytesIO()
        pillow_heif.from_pillow(picture).save(stream, format="HEIF", exif=exif, quality=95)
        data = stream.getvalue()
    else:
        data = saved(picture, "AVIF", exif=exif, quality=95)
    document = read_image(data)
    expected = transposed(saved(picture, "PNG", exif=exif))
    if format == "HEIF" and document.color.shape != expected.shape:
        pytest.fail("the HEIC lies on its side")
    assert np.abs(document.color.astype(int) - expected).mean() < 4
    header = read_header(data)
    assert (header.height, header.width) == document.color.shape[:2]


def test_an_orientation_found_only_in_xmp_is_applied():
    xmp = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    data = saved(Image.fromarray(smooth(20, 30)), "JPEG", xmp=xmp)
    np.testing.assert_array_equal(read_image(data).color, transposed(data))
    assert read_image(data).height == 30


@pytest.mark.parametrize("value", [0, 9, 77])
def test_a_senseless_orientation_is_ignored(value):
    data = saved(Image.fromarray(smooth(20, 30)), "JPEG", exif=exif_with(orientation=value))
    assert read_image(data).color.shape == (20, 30, 3)


def with_thumbnail(jpeg: bytes) -> bytes:
    """Puts a second directory with a thumbnail into a JPEG's EXIF."""
    picture = saved(Image.new("RGB", (8, 8), "red"), "JPEG")
    entries = struct.pack("<HHHII", 1, 0x010F, 2, 4, int.from_bytes(b"Abc\0", "little"))
    first = b"II*\0\x08\0\0\0" + entries
    at = len(first) + 4
    second = struct.pack("<HHHIIHHII", 2, 0x0201, 4, 1, at + 30, 0x0202, 4, 1, len(picture)) + b"\0\0\0\0"
    block = b"Exif\0\0" + first + struct.pack("<I", at) + second + picture
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + jpeg[2:]


def test_the_thumbnail_is_left_out():
    data = with_thumbnail(saved(Image.fromarray(smooth()), "JPEG"))
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.getexif().get_ifd(ExifTags.IFD.IFD1)
    block = read_image(data).origin.exif
    assert exif_of(block)[0x010F] == "Abc"
    assert not exif_of(block).get_ifd(ExifTags.IFD.IFD1)
    assert b"\xff\xd8" not in (block or b"")


@pytest.mark.parametrize("format", LOSSLESS)
def test_camera_date_and_author_are_kept_and_the_place_is_not(format):
    data = saved(Image.fromarray(smooth()), format, exif=exif_with(orientation=6), **LOSSLESS[format])
    block = read_image(data).origin.exif
    exif = exif_of(block)
    assert (exif[0x010F], exif[0x0110], exif[0x013B]) == ("Maker", "Model", "Ann Author")
    details = exif.get_ifd(ExifTags.IFD.Exif)
    assert details[0x9003] == "2024:05:06 07:08:09"
    assert float(details[0x829A]) == pytest.approx(0.005)
    assert details[0x8827] == 200
    assert not {0x927C, 0xA002, 0xA003, 0xA005} & set(details)
    assert not exif.get_ifd(ExifTags.IFD.GPSInfo)
    assert b"private maker block" not in (block or b"")


def test_a_picture_without_exif_has_none():
    assert read_image(saved(Image.fromarray(smooth()), "JPEG")).origin.exif is None
    assert read_image(saved(Image.fromarray(smooth()), "TIFF")).origin.exif is None


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow says what is broken
@pytest.mark.parametrize(
    "block",
    [
        b"Exif\0\0",
        b"Exif\0\0garbage that is no directory at all",
        b"Exif\0\0II*\0\xff\xff\xff\x7f",
        b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + bytes(40),
        exif_with()[:60],
        exif_with()[:90] + b"\xff" * 60,
    ],
)
def test_broken_exif_is_left_out_and_the_picture_is_read(block):
    data = saved(Image.fromarray(smooth()), "JPEG")
    data = data[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + data[2:]
    document = read_image(data)
    assert document.color.shape == (40, 56, 3)
    assert read_header(data).width == 56


def test_exif_that_is_no_directory_is_mentioned():
    block = b"Exif\0\0garbage that is no directory at all"
    data = saved(Image.fromarray(smooth()), "JPEG")
    data = data[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + data[2:]
    assert read_image(data).origin.notes == ("The EXIF data in the file is damaged and was left out.",)


def test_an_oversized_exif_block_is_left_out():
    exif = Image.Exif()
    exif[0x010E] = "x" * 70_000
    document = read_image(png_of(noise((4, 4, 3)), chunk(b"eXIf", exif.tobytes()[6:])))
    assert document.origin.exif is None
    assert len(document.origin.notes) == 1


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "BMP"])
def test_resolution_is_kept(format):
    dpi = read_image(saved(Image.fromarray(smooth()), format, dpi=(300, 150))).origin.dpi
    assert dpi == pytest.approx((300, 150), rel=1e-3)


def test_resolution_turns_with_the_picture_and_absurd_ones_are_dropped():
    turned = saved(Image.fromarray(smooth()), "JPEG", dpi=(300, 150), exif=exif_with(orientation=6))
    assert read_image(turned).origin.dpi == pytest.approx((150, 300))
    assert read_image(png_of(noise((4, 4, 3)), chunk(b"pHYs", struct.pack(">IIB", 0, 0, 1)))).origin.dpi is None
    assert read_image(saved(Image.fromarray(smooth()), "PNG")).origin.dpi is None


def test_a_tiff_without_a_resolution_gets_none():
    tifffile = pytest.importorskip("tifffile")
    stream = io.BytesIO()
    tifffile.imwrite(stream, noise((4, 4)), metadata=None, resolutionunit="NONE")
    assert read_image(stream.getvalue()).origin.dpi is None
    assert read_image(saved(Image.fromarray(smooth()), "TIFF", compression="jpeg")).origin.dpi is None
