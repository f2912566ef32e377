import contextlib
import io
import struct
import subprocess
import sys
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from restoration.errors import ImageFileError
from restoration.images.document import ImageDocument
from restoration.images.limits import Limits
from restoration.images.reading import read_header, read_image

from .made_files import noise, png_claiming, png_of, saved, smooth

PICTURE = Image.fromarray(smooth())
FORMATS = ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "HEIF"]


def encoded(picture: Image.Image, format: str) -> bytes:
    if format != "HEIF":
        return saved(picture, format)
    stream = io.BytesIO()
    pytest.importorskip("pillow_heif").from_pillow(picture).save(stream, format="HEIF")
    return stream.getvalue()


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"", "empty"),
        (b"hello, this is a text called picture.png", "text"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"\xef\xbb\xbf<?xml version='1.0'?>\n<!-- x -->\n<svg/>", "SVG"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "PostScript"),
        (b"\xc5\xd0\xd3\xc6" + bytes(30), "PostScript"),
        (b"%PDF-1.7\n", "PDF"),
        (b"SIMPLE  =                    T", "FITS"),
        (b"8BPS\0\1", "Photoshop"),
        (b"\xff\x0a\xfa\x1f", "JPEG XL"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
        (b"II*\0\x10\0\0\0CR\x02\0", "camera raw"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", "video"),
        (b"PK\x03\x04" + bytes(20), "zip"),
        (b"BM is how this text begins", "text"),
        (bytes(range(200, 256)) + bytes(40), "not a picture"),
    ],
)
def test_what_is_no_photograph_is_refused_in_one_sentence(data, word):
    with pytest.raises(ImageFileError, match=word) as refusal:
        read_image(data)
    sentence = str(refusal.value)
    assert sentence.endswith(".")
    assert sentence.count(". ") == 0
    with pytest.raises(ImageFileError, match=word):
        read_header(data)


def test_the_ending_is_never_believed(tmp_path):
    path = tmp_path / "picture.png"
    path.write_bytes(saved(PICTURE, "JPEG"))
    assert read_image(path).origin.format == "JPEG"
    path.write_text("not a picture")
    with pytest.raises(ImageFileError, match="text"):
        read_image(path)


@pytest.mark.parametrize("format", FORMATS)
def test_a_file_cut_short_is_refused_in_one_sentence(format):
    data = encoded(PICTURE, format)
    for part in (0.3, 0.6, 0.9):
        with pytest.raises(ImageFileError, match="damaged, cut short"):
            read_image(data[: int(len(data) * part)])


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_a_16_bit_png_cut_short_or_with_missing_rows_is_refused(channels):
    data = png_of(noise((30, 20, channels), np.uint16))
    with pytest.raises(ImageFileError, match="damaged"):
        read_image(data[: len(data) // 2])
    taller = bytearray(data)
    taller[16:24] = struct.pack(">II", 20, 60)  # the header now promises twice the rows, its checksum is wrong
    with pytest.raises(ImageFileError, match="damaged"):
        read_image(bytes(taller))


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_damage_anywhere_gives_a_sentence_or_a_picture_and_nothing_else(format):
    data = encoded(PICTURE.resize((24, 16)), format)

    @settings(max_examples=25, deadline=None, derandomize=True)
    @given(st.lists(st.tuples(st.integers(0, len(data) - 1), st.integers(0, 255)), min_size=1, max_size=6))
    def check(changes):
        damaged = bytearray(data)
        for at, value in changes:
            damaged[at] = value
        with contextlib.suppress(ImageFileError):  # anything else is a bug
            assert isinstance(read_image(bytes(damaged), limits=Limits(megapixels=1)), ImageDocument)

    check()


def test_missing_files_and_folders_are_refused_without_their_path(tmp_path):
    for path in (tmp_path / "nowhere.jpg", tmp_path):
        with pytest.raises(ImageFileError) as refusal:
            read_image(path)
        assert str(tmp_path.parent) not in str(refusal.value)
        assert path.name in str(refusal.value)


def test_the_byte_limit_is_checked_before_anything_is_read(tmp_path, monkeypatch):
    data = saved(PICTURE, "PNG")
    limits = Limits(megabytes=(len(data) - 1) / 1e6)
    path = tmp_path / "large.png"
    path.write_bytes(data)
    with pytest.raises(ImageFileError, match="megabytes"):
        read_image(data, limits=limits)
    stream = io.BytesIO(data + bytes(1000))
    with pytest.raises(ImageFileError, match="megabytes"):
        read_image(stream, limits=limits)
    assert stream.tell() <= len(data)
    monkeypatch.setattr("pathlib.Path.read_bytes", lambda self: pytest.fail("the file was read"))
    with pytest.raises(ImageFileError, match="megabytes"):
        read_image(path, limits=limits)
    assert read_header(data, limits=Limits(megabytes=len(data) / 1e6)).width == 56


def test_a_bomb_is_refused_at_its_header_with_the_numbers():
    with pytest.raises(ImageFileError, match=r"20,000 x 15,000 pixels \(300 megapixels\); the limit is 120"):
        read_image(png_claiming(20_000, 15_000))
    with pytest.raises(ImageFileError, match="1 x 30,001 pixels"):
        read_image(png_claiming(1, 30_001))
    with pytest.raises(ImageFileError, match="damaged"):  # inside the limits, so decoding begins, and nothing is there
        read_image(png_claiming(1000, 1000))


def test_a_picture_just_under_the_limit_is_read_and_one_pixel_row_more_is_not():
    limits = Limits(megapixels=0.01)
    assert read_image(png_of(noise((100, 100, 3))), limits=limits).megapixels == 0.01
    with pytest.raises(ImageFileError, match=r"0.0101 megapixels"):
        read_image(png_of(noise((101, 100, 3))), limits=limits)


@pytest.mark.parametrize("format", FORMATS)
def test_pillows_own_pixel_limit_neither_warns_nor_refuses_nor_changes(format, monkeypatch):
    data = encoded(PICTURE, format)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    filters = list(warnings.filters)
    assert read_image(data).width == 56
    assert Image.MAX_IMAGE_PIXELS == 100
    assert warnings.filters == filters


def test_compressed_tiffs_are_not_stopped_by_pillows_limit_either(monkeypatch):
    files = [saved(PICTURE, "TIFF", compression=kind) for kind in ("tiff_lzw", "tiff_deflate", "packbits", "jpeg")]
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    for data in files:
        assert read_image(data).color.shape == (40, 56, 3)


def test_a_small_tiff_with_an_enormous_tile_is_refused():
    tifffile = pytest.importorskip("tifffile")
    stream = io.BytesIO()
    tifffile.imwrite(stream, noise((16, 16)), tile=(16, 16), metadata=None)
    data = bytearray(stream.getvalue())
    for tag in (322, 323):
        at = data.index(struct.pack("<HHI", tag, 3, 1)) if struct.pack("<HHI", tag, 3, 1) in data else -1
        if at < 0:
            at = data.index(struct.pack("<HHI", tag, 4, 1))
            data[at + 8 : at + 12] = struct.pack("<I", 20_000)
        else:
            data[at + 8 : at + 10] = struct.pack("<H", 20_000)
    with pytest.raises(ImageFileError, match="400 megapixels"):
        read_image(bytes(data))


def test_camera_raw_inside_a_tiff_is_refused_by_name():
    data = saved(PICTURE, "TIFF", tiffinfo={50706: b"\1\4\0\0"})
    with pytest.raises(ImageFileError, match="Camera raw"):
        read_image(data)


def test_heic_without_its_package_is_refused_in_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(ImageFileError, match="need the package pillow-heif"):
        read_image(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64))


def test_a_mode_that_no_photograph_has_is_refused():
    from restoration.images.modes import separate

    with pytest.raises(ImageFileError, match="kind 'F'"):
        separate(Image.new("F", (2, 2)))


def test_importing_the_package_imports_neither_torch_nor_opencv_nor_pillow_heif():
    code = (
        "import sys, restoration.images.reading, restoration.images.writing, restoration.images.preview;"
        "sys.exit(any(m in sys.modules for m in ('torch', 'cv2', 'pillow_heif')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
