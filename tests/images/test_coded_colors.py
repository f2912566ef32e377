"""Colours told in numbers: the samples stay, and the result's profile says what the numbers said."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from restoration.images.coded_colors import SRGB, from_code_points, from_png_numbers
from restoration.images.reading import read_image
from restoration.images.writing import write_image
from tests.corpus.pictures import avif

from .made_files import SRGB as SRGB_MATRIX
from .made_files import chunk, display_p3, matrix_icc, noise, png_of, srgb_curve

SAMPLES = noise((12, 16, 3))
CHRM_P3 = (31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)
CHRM_SRGB = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)


def gama(number: int) -> bytes:
    return chunk(b"gAMA", struct.pack(">I", number))


def chrm(*numbers: int) -> bytes:
    return chunk(b"cHRM", struct.pack(">8I", *numbers))


def cicp(primaries: int, transfer: int) -> bytes:
    return chunk(b"cICP", bytes([primaries, transfer, 0, 1]))


def seen_in_srgb(samples: np.ndarray, icc: bytes) -> np.ndarray:
    """What Little CMS shows of them."""
    profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
    picture = ImageCms.profileToProfile(
        Image.fromarray(samples), profile, ImageCms.createProfile("sRGB"), outputMode="RGB", renderingIntent=1
    )
    return np.asarray(picture).astype(int)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_display_p3_in_code_points_is_kept_and_said(dtype, tmp_path):
    samples = noise((12, 16, 3), dtype)
    document = read_image(png_of(samples, cicp(12, 13)))
    np.testing.assert_array_equal(document.color, samples)
    assert document.origin.notes == ("The colours were left in Display P3, which the result says in a profile.",)
    with Image.open(write_image(document, tmp_path / "photo")) as result:
        icc = result.info["icc_profile"]
    assert np.abs(seen_in_srgb(SAMPLES, icc) - seen_in_srgb(SAMPLES, display_p3())).max() <= 2


@pytest.mark.parametrize(
    ("primaries", "transfer"),
    [(1, 13), (1, 1), (2, 2), (1, 6), (99, 99), (12, 99), (0, 0), (8, 8), (10, 8), (8, 13), (2, 8)],
)
def test_what_means_srgb_or_nothing_adds_nothing(primaries, transfer):
    document = read_image(png_of(SAMPLES, cicp(primaries, transfer)))
    assert (document.origin.icc, document.origin.notes) == (None, ())


@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG")])
def test_hdr_is_said(transfer, name):
    document = read_image(png_of(SAMPLES, cicp(9, transfer)))
    assert document.origin.icc is None
    assert document.origin.notes == (
        f"The picture is HDR ({name}, BT.2020); its colours were left as they are stored, so it may look pale.",
    )
    (note,) = read_image(png_of(SAMPLES, cicp(99, transfer))).origin.notes
    assert f"HDR ({name});" in note
    np.testing.assert_array_equal(document.color, SAMPLES)


@pytest.mark.parametrize("gamma", [1.0, 1.8, 2.8])
def test_a_gamma_is_kept_in_a_profile(gamma):
    document = read_image(png_of(SAMPLES, gama(round(1e5 / gamma))))
    np.testing.assert_array_equal(document.color, SAMPLES)
    linear = (SAMPLES / 255.0) ** gamma
    wanted = 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    assert np.abs(seen_in_srgb(SAMPLES, document.origin.icc) - wanted).max() <= 2
    gray = read_image(png_of(SAMPLES[..., :1], gama(round(1e5 / gamma))))
    assert ImageCms.ImageCmsProfile(io.BytesIO(gray.origin.icc)).profile.xcolor_space.strip() == "GRAY"


def test_primaries_of_their_own_are_kept_in_a_profile():
    document = read_image(png_of(SAMPLES, gama(45455), chrm(*CHRM_P3)))
    assert np.abs(seen_in_srgb(SAMPLES, document.origin.icc) - seen_in_srgb(SAMPLES, display_p3())).max() <= 2


@pytest.mark.parametrize(
    "chunks",
    [
        [gama(45455)],
        [gama(45455), chrm(*CHRM_SRGB)],
        [chrm(*CHRM_P3)],
        [gama(0)],
        [gama(2**32 - 1)],
        [gama(45455), chrm(0, 0, 0, 0, 0, 0, 0, 0)],
        [gama(45455), chrm(*[2**32 - 1] * 8)],
        [chunk(b"gAMA", b"\1")],
        [chunk(b"cICP", b"")],
        [chunk(b"sRGB", b"\0"), gama(100_000)],
    ],
)
def test_numbers_of_srgb_or_without_sense_add_nothing(chunks):
    document = read_image(png_of(SAMPLES, *chunks))
    assert (document.origin.icc, document.origin.notes) == (None, ())
    np.testing.assert_array_equal(document.color, SAMPLES)


def test_a_profile_counts_more_than_a_gamma_and_less_than_code_points():
    icc = matrix_icc(SRGB_MATRIX, srgb_curve(), title="Ours")
    profile = chunk(b"iCCP", b"x\0\0" + zlib.compress(icc))
    assert read_image(png_of(SAMPLES, profile, gama(100_000))).origin.icc == icc
    assert "Display P3" in read_image(png_of(SAMPLES, profile, cicp(12, 13))).origin.notes[0]


@pytest.mark.parametrize(
    "points",
    [b"", b"ab", bytes(5), bytes([12, 13, 0, 1, 0]), bytes([2, 2, 0, 1]), bytes([12, 2, 0, 1]), bytes([2, 13, 0, 1]),
     bytes([255, 255, 0, 1]), bytes([8, 8, 0, 1]), bytes([10, 8, 0, 1]), bytes([12, 9, 0, 1])],
)  # fmt: skip
def test_code_points_that_are_broken_or_not_known_leave_the_profile_in_force(points):
    profile = chunk(b"iCCP", b"x\0\0" + zlib.compress(display_p3()))
    document = read_image(png_of(SAMPLES, chunk(b"cICP", points), profile))
    assert document.origin.notes == ("The colours were converted from Display P3 to sRGB.",)


def test_code_points_that_are_not_known_leave_a_gamma_in_force():
    document = read_image(png_of(SAMPLES, cicp(99, 99), gama(55_556)))
    assert "gamma 1.8" in document.origin.notes[0]
    assert "Display P3" in read_image(png_of(SAMPLES, cicp(12, 2))).origin.notes[0]  # sRGB's curve by custom


def test_an_avifs_colours_are_read_from_its_box():
    data = avif()
    at = data.index(b"colrnclx") + 8
    assert data[at : at + 4] == bytes([0, 1, 0, 13])
    p3 = data[:at] + bytes([0, 12, 0, 13]) + data[at + 4 :]
    assert read_image(data).origin.notes == ()
    document = read_image(p3)
    assert "left in Display P3" in document.origin.notes[0]
    np.testing.assert_array_equal(document.color, read_image(data).color)


def test_every_set_of_primaries_makes_white_white():
    for primaries in (1, 4, 5, 6, 7, 9, 11, 12):
        coded = from_code_points(primaries, 8)
        icc = coded.profile(gray=False)
        assert icc is not None
        assert np.abs(seen_in_srgb(np.full((1, 1, 3), 255, np.uint8), icc) - 255).max() <= 1
    assert from_png_numbers(None, CHRM_P3) is SRGB
