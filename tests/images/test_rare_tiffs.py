"""TIFFs that few programs write: YCbCr without compression, planes with alpha or inks, Lab of 16 bits."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from skimage.color import lab2rgb

from restoration.errors import ImageFileError
from restoration.images.reading import read_header, read_image
from tests.corpus.pictures import ALPHA, RGB, SOFT
from tests.corpus.tiff_maker import RATIONAL, SHORT, Page, blocks_of, page_of, tiff
from tests.images.test_round_trip import upright

from .made_files import cmyk_icc, saved

BLOCKS = [(1, 1), (2, 1), (2, 2), (1, 2), (4, 2), (4, 4), (4, 1)]
YCBCR = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])


def in_ycbcr(color: np.ndarray) -> np.ndarray:
    """By the numbers of ITU-R BT.601."""
    return np.rint(color.astype(float) @ YCBCR.T + (0, 128, 128)).clip(0, 255).astype(np.uint8)


def ycbcr(color: np.ndarray, across: int, down: int, order: str = "<", compression: int = 1, **tags) -> bytes:
    page = page_of(color, order=order, **{"t262": (SHORT, [6]), "t530": (SHORT, [across, down]), **tags})
    page.tags[278] = (SHORT, [len(color)])
    packed = blocks_of(in_ycbcr(color), across, down)
    return tiff(
        Page(page.tags | {259: (SHORT, [compression])}, [zlib.compress(packed) if compression == 8 else packed]),
        order=order,
    )


@pytest.mark.parametrize("compression", [1, 8])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("across", "down"), BLOCKS)
def test_ycbcr_of_every_subsampling_is_read(across, down, order, compression):
    document = read_image(ycbcr(SOFT, across, down, order, compression))
    # colours of a block are one: what a block's mean colour gives is the reference
    height, width = SOFT.shape[:2]
    padded = np.pad(SOFT, ((0, -height % down), (0, -width % across), (0, 0)), mode="edge")
    tones = in_ycbcr(padded).astype(float)
    mean = tones.reshape(len(padded) // down, down, padded.shape[1] // across, across, 3).mean((1, 3)).round()
    tones[..., 1:] = mean.repeat(down, 0).repeat(across, 1)[..., 1:]
    expected = (tones - (0, 128, 128)) @ np.linalg.inv(YCBCR).T
    away = np.abs(document.color - expected[:height, :width].clip(0, 255))
    assert away.max() <= 2
    assert document.origin.notes == ()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_ycbcr_is_turned_once(orientation):
    data = ycbcr(SOFT, 1, 1, t274=(SHORT, [orientation]))
    seen = upright(SOFT, orientation)
    document, header = read_image(data), read_header(data)
    assert (header.height, header.width) == seen.shape[:2]
    assert np.abs(document.color.astype(int) - seen).max() <= 3


def test_ycbcr_of_studio_range_is_widened():
    narrow = np.rint(
        in_ycbcr(SOFT) * (219 / 255, 224 / 255, 224 / 255) + (16, 128 - 128 * 224 / 255, 128 - 128 * 224 / 255)
    )
    black_and_white = (RATIONAL, [16, 235, 128, 240, 128, 240])
    page = page_of(narrow.astype(np.uint8), t262=(SHORT, [6]), t530=(SHORT, [1, 1]), t532=black_and_white)
    assert np.abs(read_image(tiff(page)).color.astype(int) - SOFT).max() <= 6


@pytest.mark.parametrize("compression", [1, 8])
def test_alpha_multiplied_into_separate_planes_is_divided_out(compression):
    alpha = np.maximum(ALPHA, 40)
    multiplied = np.rint(SOFT * (alpha[..., None] / 255)).astype(np.uint8)
    page = page_of(np.dstack([multiplied, alpha]), planar=True, compression=compression, t338=(SHORT, [1]))
    document = read_image(tiff(page))
    np.testing.assert_array_equal(document.alpha, alpha)
    assert np.abs(document.color.astype(int) - SOFT).max() <= 4


@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize("icc", [b"", cmyk_icc()], ids=["plain", "profile"])
def test_16_bit_inks_are_read_as_8_bit_ones(planar, icc):
    inks = RGB.convert("CMYK")
    tags = {"t262": (SHORT, [5])} | ({"t34675": (7, icc)} if icc else {})
    deep = read_image(tiff(page_of(np.asarray(inks).astype(np.uint16) * 257, planar=planar, **tags)))
    plain = read_image(saved(inks, "TIFF", **({"icc_profile": icc} if icc else {})))
    np.testing.assert_array_equal(deep.color, plain.color)
    assert set(deep.origin.notes) == {
        "The picture has more than 8 bits per channel; it was read with 8.",
        *plain.origin.notes,
    }


@pytest.mark.parametrize(("photometric", "bits"), [(8, 8), (8, 16), (9, 8), (9, 16)])
def test_lab_of_both_kinds_and_depths_is_converted(photometric, bits):
    lightness, a, b = np.meshgrid([30, 50, 70], [-20, 0, 25], [-16, 0, 30], indexing="ij")
    lab = np.stack([lightness, a, b], -1).reshape(9, 3, 3).astype(float)
    coded = np.empty_like(lab)
    if bits == 8:
        coded[..., 0] = lab[..., 0] * 255 / 100
        coded[..., 1:] = lab[..., 1:] % 256 if photometric == 8 else lab[..., 1:] + 128
    else:
        coded[..., 0] = lab[..., 0] * (65535 if photometric == 8 else 65280) / 100
        coded[..., 1:] = lab[..., 1:] * 256 % 65536 if photometric == 8 else (lab[..., 1:] + 128) * 256
    page = page_of(np.rint(coded).astype(f"u{bits // 8}"), t262=(SHORT, [photometric]))
    document = read_image(tiff(page))
    expected = np.rint(lab2rgb(lab) * 255)
    assert np.abs(document.color - expected).max() <= 12  # of another white: D65's
    assert "The colours were converted from Lab to sRGB." in document.origin.notes
    assert any("read with 8" in note for note in document.origin.notes) == (bits == 16)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**16 - 1), st.integers(1, 9), st.integers(1, 9))
def test_a_header_of_ycbcr_with_any_subsampling_gives_a_picture_or_a_sentence(seed, across, down):
    color = np.random.default_rng(seed).integers(0, 256, (7, 9, 3)).astype(np.uint8)
    try:
        document = read_image(ycbcr(color, across, down))
    except ImageFileError:
        return
    assert document.color.shape == (7, 9, 3)


KINDS = {
    "plain": np.uint8, "deep": np.uint16, "whole numbers": np.uint32, "float": np.float32, "long float": np.float64,
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("turn", [1, 6])
def test_tiles_may_be_larger_than_the_picture_and_not_much_larger(kind, turn):
    samples = SOFT[:20, :40].astype(KINDS[kind])
    fine = page_of(samples, tile=1024, compression=8, t274=(SHORT, [turn]))
    assert read_image(tiff(fine)).color.shape == ((20, 40, 3) if turn == 1 else (40, 20, 3))
    for height, width in ((6000, 6000), (16, 6000), (6000, 48)):
        page = page_of(samples, tile=48, compression=8, t274=(SHORT, [turn]))
        page.tags |= {322: (SHORT, [width]), 323: (SHORT, [height])}
        page.pieces = [zlib.compress(bytes(99))]
        with pytest.raises(ImageFileError, match=rf"tiles of {width:,} x {height:,} pixels, far larger than its pict"):
            read_header(tiff(page))


def test_a_tile_has_the_limits_of_a_picture_in_every_reader():
    for dtype in KINDS.values():
        page = page_of(SOFT.astype(dtype), tile=64, compression=8)
        page.tags |= {322: (SHORT, [20_000]), 323: (SHORT, [20_000])}
        with pytest.raises(ImageFileError, match="400 megapixels"):
            read_header(tiff(page))


def test_a_jpegs_broken_profile_is_said_and_the_photo_read():
    plain = saved(RGB, "JPEG", quality=95)

    def segment(body: bytes) -> bytes:
        return b"\xff\xe2" + struct.pack(">H", len(body) + 2) + body

    for body in (b"ICC_PROFILE\0", b"ICC_PROFILE\0\1\2half a profile", b"ICC_PROFILE\0\0\0none"):
        document = read_image(plain[:2] + segment(body) + plain[2:])
        with Image.open(io.BytesIO(plain)) as picture:
            np.testing.assert_array_equal(document.color, np.asarray(picture))
        assert document.origin.notes == ("The colour profile in the file is damaged and was ignored.",)
