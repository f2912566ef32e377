import io

import numpy as np
import pytest
from PIL import Image

from restoration.images.limits import Limits
from restoration.images.reading import Header, read_header, read_image

from .made_files import chunk, noise, png_of, saved, smooth

RGB = noise((9, 13, 3))
ALPHA = noise((9, 13), seed=5)


def heif(picture: Image.Image, **options) -> bytes:
    pillow_heif = pytest.importorskip("pillow_heif")
    stream = io.BytesIO()
    pillow_heif.from_pillow(picture).save(stream, format="HEIF", **options)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("format", "options"),
    [
        ("PNG", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("BMP", {}),
        ("WEBP", {"lossless": True}),
    ],
)
def test_lossless_files_give_their_exact_pixels(format, options):
    document = read_image(saved(Image.fromarray(RGB), format, **options), name="a.b.xyz")
    np.testing.assert_array_equal(document.color, RGB)
    assert document.alpha is None
    assert document.color.dtype == np.uint8
    assert document.color.flags.c_contiguous
    assert document.color.flags.writeable
    origin = document.origin
    assert (origin.format, origin.bits, origin.gray, origin.icc, origin.notes) == (format, 8, False, None, ())
    assert origin.name == "a.b.xyz"


@pytest.mark.parametrize("format", ["JPEG", "WEBP", "AVIF"])
def test_lossy_files_give_what_pillow_decodes(format):
    data = saved(Image.fromarray(smooth()), format, quality=90)
    document = read_image(data)
    assert document.origin.format == format
    np.testing.assert_array_equal(document.color, np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))


def test_heic_is_read_upright_and_close():
    data = heif(Image.fromarray(smooth()), quality=95)
    document = read_image(data)
    assert document.origin.format == "HEIF"
    assert np.abs(document.color.astype(int) - smooth()).mean() < 3
    assert read_header(data) == Header(format="HEIF", height=40, width=56)


def test_a_multi_picture_jpeg_is_read_as_the_jpeg_it_begins_with():
    first, second = Image.fromarray(smooth()), Image.fromarray(255 - smooth())
    data = saved(first, "MPO", save_all=True, append_images=[second], quality=95)
    document = read_image(data)
    assert document.origin.format == "JPEG"
    assert np.abs(document.color.astype(int) - smooth()).mean() < 4


def test_paths_bytes_and_open_files_give_the_same_document(tmp_path):
    path = tmp_path / "Ferien ☀ 2024.png"
    data = saved(Image.fromarray(RGB), "PNG")
    path.write_bytes(data)
    with path.open("rb") as handle:
        documents = [
            read_image(path),
            read_image(str(path)),
            read_image(handle),
            read_image(data),
            read_image(io.BytesIO(data)),
        ]
    for document in documents:
        np.testing.assert_array_equal(document.color, RGB)
    assert [document.origin.name for document in documents] == ["Ferien ☀ 2024"] * 3 + ["photo"] * 2
    assert read_image(path, name="given.jpg").origin.name == "given"


@pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP"])
def test_rgba_alpha_comes_apart_and_is_not_multiplied_in(format):
    picture = Image.fromarray(np.dstack([RGB, ALPHA]))
    options = {"lossless": True, "exact": True} if format == "WEBP" else {}
    document = read_image(saved(picture, format, **options))
    np.testing.assert_array_equal(document.color, RGB)
    np.testing.assert_array_equal(document.alpha, ALPHA)


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_gray_with_alpha_stays_one_channel(format):
    document = read_image(saved(Image.fromarray(np.dstack([RGB[..., 0], ALPHA])), format))
    np.testing.assert_array_equal(document.color[..., 0], RGB[..., 0])
    np.testing.assert_array_equal(document.alpha, ALPHA)
    assert document.color.shape == (9, 13, 1)
    assert document.origin.gray


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "BMP"])
def test_gray_stays_one_channel(format):
    data = saved(Image.fromarray(RGB[..., 0]), format)
    document = read_image(data)
    assert document.color.shape == (9, 13, 1)
    np.testing.assert_array_equal(document.color[..., 0], np.asarray(Image.open(io.BytesIO(data))))


@pytest.mark.parametrize("format", ["PNG", "TIFF", "BMP"])
def test_one_bit_becomes_black_and_white_gray(format):
    bits = RGB[..., 0] > 127
    document = read_image(saved(Image.fromarray(bits), format))
    np.testing.assert_array_equal(document.color[..., 0], np.where(bits, 255, 0))


def test_a_palette_becomes_its_colours():
    picture = Image.fromarray(RGB).quantize(16)
    document = read_image(saved(picture, "PNG"))
    np.testing.assert_array_equal(document.color, np.asarray(picture.convert("RGB")))
    assert not document.origin.gray


def test_a_palette_of_grays_becomes_gray():
    picture = Image.fromarray(RGB[..., 0] // 32 * 32).convert("RGB").quantize(8)
    document = read_image(saved(picture, "PNG"))
    assert document.color.shape == (9, 13, 1)
    np.testing.assert_array_equal(document.color[..., 0], np.asarray(picture.convert("RGB"))[..., 0])


@pytest.mark.parametrize("transparency", [3, bytes([0, 40, 80, 255, 7])])
def test_a_palette_with_transparency_gives_alpha(transparency):
    picture = Image.fromarray(RGB).quantize(16)
    indices = np.asarray(picture)
    document = read_image(saved(picture, "PNG", transparency=transparency))
    table = np.full(256, 255)
    if isinstance(transparency, int):
        table[transparency] = 0
    else:
        table[: len(transparency)] = list(transparency)
    np.testing.assert_array_equal(document.alpha, table[indices])
    np.testing.assert_array_equal(document.color, np.asarray(picture.convert("RGB")))


def test_png_files_naming_one_transparent_colour_give_alpha():
    gray, rgb = RGB[..., :1], RGB
    key = int(gray[2, 3, 0])
    document = read_image(png_of(gray, chunk(b"tRNS", key.to_bytes(2, "big"))))
    np.testing.assert_array_equal(document.alpha, np.where(gray[..., 0] == key, 0, 255))
    assert document.color.shape[2] == 1
    pixel = rgb[4, 4]
    document = read_image(png_of(rgb, chunk(b"tRNS", pixel.astype(">u2").tobytes())))
    np.testing.assert_array_equal(document.alpha, np.where((rgb == pixel).all(2), 0, 255))
    np.testing.assert_array_equal(document.color, rgb)


def test_the_transparent_gray_of_a_png_of_2_or_4_bits_is_found():
    for bits, step in ((2, 85), (4, 17)):
        top = 2**bits
        levels = np.arange(8 * 8).reshape(8, 8) % top
        picture = Image.fromarray((levels * step).astype(np.uint8))
        data = bytearray(saved(picture, "PNG"))
        packed = np.zeros((8, 8 * bits // 8), np.uint8)
        for x in range(8):
            packed[:, x * bits // 8] |= (levels[:, x] << (8 - bits - x * bits % 8)).astype(np.uint8)
        import struct
        import zlib

        header = struct.pack(">IIBBBBB", 8, 8, bits, 0, 0, 0, 0)
        raw = b"".join(b"\0" + row.tobytes() for row in packed)
        data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"tRNS", (2).to_bytes(2, "big"))
        data += chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")
        document = read_image(data)
        np.testing.assert_array_equal(document.color[..., 0], levels * step)
        np.testing.assert_array_equal(document.alpha, np.where(levels == 2, 0, 255))


def test_a_transparent_gif_gives_alpha():
    picture = Image.fromarray(RGB).quantize(16)
    document = read_image(saved(picture, "GIF", transparency=3))
    np.testing.assert_array_equal(document.alpha == 0, np.asarray(picture) == 3)


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "TIFF", "AVIF"])
def test_of_several_frames_the_first_is_taken_and_said(format):
    frames = [Image.fromarray(np.full((20, 24, 3), value, np.uint8)) for value in (40, 200, 90)]
    options = {"lossless": True} if format == "WEBP" else {}
    data = saved(frames[0], format, save_all=True, append_images=frames[1:], **options)
    document = read_image(data)
    assert np.abs(document.color.astype(int) - 40).max() <= 2
    assert "The file holds several pictures; the first was taken." in document.origin.notes
    assert read_header(data).frames == 3
    alone = read_image(saved(frames[0], format, **options))
    assert not alone.origin.notes


@pytest.mark.parametrize("size", [(1, 1), (5000, 1), (1, 8192)])
@pytest.mark.parametrize("format", ["PNG", "JPEG", "TIFF"])
def test_the_thinnest_pictures_are_read(size, format):
    document = read_image(saved(Image.new("RGB", size, (9, 90, 200)), format))
    assert (document.width, document.height) == size


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF"])
def test_a_header_has_format_and_size_and_decodes_nothing(format, monkeypatch):
    data = saved(Image.fromarray(smooth()), format)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda self: pytest.fail("the pixels were decoded"))
    header = read_header(data)
    assert (header.format, header.height, header.width) == (format, 40, 56)
    assert header.megapixels == pytest.approx(40 * 56 / 1e6)


def test_a_photograph_of_over_89_megapixels_is_read_without_a_warning():
    data = saved(Image.new("L", (9500, 9500), 7), "PNG", compress_level=1)
    assert read_image(data, limits=Limits(megapixels=91)).color[-1, -1, 0] == 7


def test_a_bmp_with_alpha_gives_alpha():
    pixels = np.dstack([RGB, ALPHA])
    data = saved(Image.fromarray(pixels), "BMP")
    document = read_image(data)
    with Image.open(io.BytesIO(data)) as reference:
        bands = reference.mode
    assert (document.alpha is not None) == bands.endswith("A")
    np.testing.assert_array_equal(document.color, RGB)
