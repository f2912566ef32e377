"""AVIF and HEIC of 10 and 12 bits: every bit comes in, and an AVIF's go out again."""

import io
import sys

import cv2
import numpy as np
import pillow_heif
import pytest
from PIL import Image

from restoration.errors import ImageFileError, OptionError
from restoration.images.avif_encoder import encode_deep_avif
from restoration.images.depth import to_uint8
from restoration.images.document import ImageDocument, Origin
from restoration.images.reading import read_header, read_image
from restoration.images.writing import encoding_notes, output_format, write_image, written_bits
from restoration.pipelines.restore import restore
from restoration.pipelines.written import as_written
from tests.images.test_round_trip import ENGINE, upright

from .made_files import display_p3, exif_with, gray_icc, noise, saved

# a ramp of steps that 8 bits cannot hold, and another one across it
_Y, _X = np.mgrid[0:48, 0:80]
RAMP = np.stack([20_000 + 160 * _X, 30_000 + 300 * _Y, 25_000 + 90 * (_X + _Y)], -1).astype(np.uint16)
ALPHA = (700 * _X + 9000).astype(np.uint16)
WITH_ALPHA = np.dstack([RAMP, ALPHA])


def avif(samples: np.ndarray, bits: int, *, exif: bytes = b"", icc: bytes = b"", quality: int = 100) -> bytes:
    order = {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[samples.shape[2]]
    narrow = np.ascontiguousarray(samples[..., order] >> (16 - bits))
    kinds = [kind for kind, data in ((cv2.IMAGE_METADATA_EXIF, exif), (cv2.IMAGE_METADATA_ICCP, icc)) if data]
    extra = [np.frombuffer(data, np.uint8) for data in (exif, icc) if data]
    options = [cv2.IMWRITE_AVIF_DEPTH, bits, cv2.IMWRITE_AVIF_QUALITY, quality, cv2.IMWRITE_AVIF_SPEED, 9]
    return cv2.imencodeWithMetadata(".avif", narrow, kinds, extra, options)[1].tobytes()


def heic(samples: np.ndarray, mode: str, **options) -> bytes:
    stream = io.BytesIO()
    size = samples.shape[1::-1]
    pillow_heif.encode(mode, size, samples.tobytes(), stream, quality=-1, chroma=444, **options)
    return stream.getvalue()


@pytest.mark.parametrize("bits", [10, 12])
@pytest.mark.parametrize("samples", [RAMP, WITH_ALPHA, RAMP[..., :1]], ids=["rgb", "rgba", "gray"])
def test_an_avif_keeps_its_bits(samples, bits):
    document = read_image(avif(samples, bits))
    assert document.origin.bits == bits
    assert document.origin.notes == ()
    channels = 3 if samples.shape[2] > 1 else 1
    stored = (samples >> (16 - bits)).astype(np.float64) * 65535 / (2**bits - 1)
    assert document.color.dtype == np.uint16
    np.testing.assert_allclose(document.color[..., :channels], stored[..., :channels], atol=0.51)
    if samples.shape[2] == 4:
        np.testing.assert_allclose(document.alpha, stored[..., 3], atol=0.51)
    assert len(np.unique(document.color[..., 0])) > 80 * bits / 12 - 20  # in 8 bits there would be 51


@pytest.mark.parametrize(("mode", "samples"), [("RGB;16", RAMP), ("RGBA;16", WITH_ALPHA), ("L;16", RAMP[..., :1])])
def test_a_heic_keeps_its_bits(mode, samples):
    document = read_image(heic(np.ascontiguousarray(samples), mode))
    assert (document.origin.bits, document.color.dtype, document.origin.notes) == (10, np.uint16, ())
    channels = document.color.shape[2]
    assert channels == (1 if mode == "L;16" else 3)
    assert np.abs(document.color.astype(int) - samples[..., :channels]).max() < 400  # six of 1024: HEVC is lossy
    assert document.color.max() % 257  # no widened 8 bits
    if "A" in mode:
        assert np.abs(document.alpha.astype(int) - ALPHA).max() < 400


@pytest.mark.parametrize("orientation", range(1, 9))
def test_they_are_turned_once(orientation):
    exif = exif_with(orientation=orientation)
    for data in (avif(RAMP, 10, exif=exif), heic(RAMP, "RGB;16", exif=exif)):
        document, seen = read_image(data), upright(RAMP, orientation)
        header = read_header(data)
        assert (header.height, header.width) == seen.shape[:2] == (document.height, document.width)
        assert np.abs(document.color.astype(int) - seen).max() < 600


def test_their_profile_is_converted_like_any():
    document = read_image(avif(RAMP, 12, icc=display_p3()))
    assert document.origin.notes == ("The colours were converted from Display P3 to sRGB.",)
    plain = saved(Image.fromarray(to_uint8(RAMP)), "PNG", icc_profile=display_p3())
    away = np.abs(to_uint8(document.color).astype(int) - read_image(plain).color)
    assert (away.mean() < 0.7, away.max() < 7) == (True, True)  # dark reds lie outside of sRGB and spread the rounding


@pytest.mark.parametrize("bits", [10, 12])
@pytest.mark.parametrize("samples", [RAMP, WITH_ALPHA, RAMP[..., :1]], ids=["rgb", "rgba", "gray"])
def test_an_avif_is_written_as_deep_as_it_came(samples, bits, tmp_path):
    data = avif(samples, bits, exif=exif_with())
    result = restore(data, task="deblur", model="same", engine=ENGINE)
    report = as_written(result.report, result.image, "same")
    assert (report.output.format, report.output.bits, report.warnings) == ("AVIF", bits, ())
    path = write_image(result.image, tmp_path / "photo")
    again = read_image(path.read_bytes())
    assert (path.suffix, again.origin.bits) == (".avif", bits)
    assert np.abs(again.color.astype(int) - read_image(data).color).max() < 1200  # quality 92
    with Image.open(path) as picture:
        assert picture.getexif()[0x010F] == "Maker"
        assert 0x8825 not in picture.getexif()  # no place


STRIPES = np.where(np.arange(80)[:, None] % 2, (60, 60, 220), (220, 60, 60)).astype(np.uint16)[None].repeat(48, 0) * 257


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("bits", [10, 12])
def test_thin_stripes_of_colour_survive_where_full_colour_is_promised(bits, alpha, tmp_path):
    document = ImageDocument(color=STRIPES, alpha=ALPHA if alpha else None, origin=Origin(format="AVIF", bits=bits))
    for quality in (None, 90, 99, 100):
        again = read_image(write_image(document, tmp_path / "x", quality=quality))
        assert again.origin.bits == bits
        assert np.abs(again.color.astype(int) - STRIPES).max() <= 65535 / (2**bits - 1) / 2 + 1
    small = write_image(document, tmp_path / "small", quality=89)
    assert np.abs(read_image(small).color.astype(int) - STRIPES).mean() > 2000


def test_gray_is_written_without_waste(tmp_path):
    gray = noise((64, 64, 1), np.uint16)
    for color, colorless in ((gray, False), (gray, True), (gray.repeat(3, 2), True)):
        origin = Origin(format="AVIF", bits=10, colorless=colorless)
        good, whole = (
            write_image(ImageDocument(color=color, origin=origin), tmp_path / name, quality=quality).stat().st_size
            for name, quality in (("a", 92), ("b", 100))
        )
        assert good < 0.9 * whole


@pytest.mark.parametrize("refusal", ["flag", "error"])
def test_an_encoder_that_refuses_is_said_and_leaves_no_file(refusal, tmp_path, monkeypatch):
    def refuse(*_):
        if refusal == "error":
            raise cv2.error("no")
        return False, np.zeros(0, np.uint8)

    monkeypatch.setattr(cv2, "imencodeWithMetadata", refuse)
    document = ImageDocument(color=RAMP, origin=Origin(format="AVIF", bits=10))
    with pytest.raises(OptionError, match=r"^This picture cannot be written as AVIF here; choose PNG or TIFF\.$"):
        write_image(document, tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("alpha", [False, True])
def test_gray_with_a_gray_profile_stays_gray(alpha, tmp_path):
    icc = gray_icc()
    origin = Origin(format="AVIF", bits=10, gray=True, icc=icc)
    document = ImageDocument(color=RAMP[..., :1], alpha=ALPHA if alpha else None, origin=origin)
    again = read_image(write_image(document, tmp_path / "x"))
    assert (again.color.shape[2], again.origin.gray, again.origin.icc, again.origin.notes) == (1, True, icc, ())
    assert np.abs(again.color.astype(int) - RAMP[..., :1]).max() < 1200
    assert (again.alpha is not None) == alpha
    colored = read_image(encode_deep_avif(WITH_ALPHA, 10, 100, icc=icc))
    assert colored.color.shape[2] == 3
    assert "does not fit" in colored.origin.notes[0]


def test_a_deep_heic_says_what_its_jpeg_cannot_hold(tmp_path):
    image = read_image(heic(RAMP, "RGB;16"))
    assert written_bits(image, "jpeg") == 8
    assert "JPEG holds 8 bits per channel, so the 10 bits of this picture were rounded." in encoding_notes(
        image, "same"
    )
    assert encoding_notes(image, "tiff") == ()
    with Image.open(write_image(image, tmp_path / "photo")) as picture:
        assert picture.format == "JPEG"


def test_damage_gives_a_sentence():
    for data in (avif(RAMP, 10), heic(RAMP, "RGB;16")):
        for part in (0.4, 0.7, 0.95):
            with pytest.raises(ImageFileError, match="damaged"):
                read_image(data[: int(len(data) * part)])


def test_without_opencv_8_bits_are_read_and_said(monkeypatch):
    data = avif(RAMP, 10)
    monkeypatch.setitem(sys.modules, "cv2", None)
    document = read_image(data)
    assert (document.color.dtype, document.origin.bits) == (np.uint8, 8)
    assert document.origin.notes == ("The picture has more than 8 bits per channel; it was read with 8.",)


def test_a_large_one_becomes_a_png_which_takes_less_memory():
    def document(rows: int, dtype: type) -> ImageDocument:
        return ImageDocument(color=np.broadcast_to(dtype(7), (rows, 8000, 3)), origin=Origin(format="AVIF", bits=10))

    assert output_format(document(3000, np.uint16), "same") == "avif"
    assert output_format(document(3001, np.uint16), "same") == "png"
    assert output_format(document(3001, np.uint8), "same") == "avif"
    assert "written as PNG because of its size" in encoding_notes(document(3001, np.uint16), "same")[0]
