import io

import numpy as np
import pytest
from PIL import Image, ImageChops, ImageCms

from restoration.images import matrix_profile
from restoration.images.reading import read_image

from .made_files import (
    ADOBE_RGB,
    P3,
    SRGB,
    chunk,
    cmyk_icc,
    display_p3,
    gamma_curve,
    gray_icc,
    matrix_icc,
    noise,
    parametric_curve,
    png_of,
    rgb_table_icc,
    saved,
    smooth,
    srgb_curve,
    table_curve,
)

COLOURS = noise((40, 50, 3))
P3_NOTE = "The colours were converted from Display P3 to sRGB."


def by_little_cms(colors: np.ndarray, icc: bytes, extra_flags: int = 0) -> np.ndarray:
    converted = ImageCms.profileToProfile(
        Image.fromarray(colors),
        ImageCms.ImageCmsProfile(io.BytesIO(icc)),
        ImageCms.createProfile("sRGB"),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION | extra_flags,
    )
    return np.asarray(converted)


def by_the_book(colors: np.ndarray) -> np.ndarray:
    """Display P3 to sRGB as CSS Color 4 gives it: 8-bit in, 8-bit out."""
    v = colors / 255
    linear = np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)
    p3_to_srgb = np.array([[1.2249, -0.2247, 0.0], [-0.0420, 1.0419, 0.0], [-0.0197, -0.0786, 1.0979]])
    linear = np.clip(linear @ p3_to_srgb.T, 0, 1)
    return np.rint(255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055))


def wide(icc: bytes, samples: np.ndarray) -> bytes:
    """A 16-bit PNG with a profile."""
    import zlib

    return png_of(samples, chunk(b"iCCP", b"x\0\0" + zlib.compress(icc)))


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_display_p3_becomes_srgb_and_is_named(format):
    document = read_image(saved(Image.fromarray(COLOURS), format, icc_profile=display_p3()))
    assert document.origin.notes == (P3_NOTE,)
    assert document.origin.icc is None
    assert np.abs(document.color.astype(int) - by_the_book(COLOURS)).max() <= 2
    assert np.abs(document.color.astype(int) - COLOURS).max() > 20


def test_a_p3_jpeg_with_a_turned_camera_is_converted_and_turned():
    exif = Image.Exif()
    exif[0x0112], exif[0x8769] = 6, {0xA001: 65535, 0x8827: 100}
    data = saved(Image.fromarray(smooth()), "JPEG", quality=95, icc_profile=display_p3(), exif=exif.tobytes())
    document = read_image(data)
    decoded = np.asarray(Image.open(io.BytesIO(data)))
    expected = np.rot90(by_the_book(decoded), -1)
    assert np.abs(document.color.astype(int) - expected).max() <= 2
    block = Image.Exif()
    block.load(document.origin.exif or b"")
    assert block.get_ifd(0x8769)[0xA001] == 1  # the colour space tag says sRGB now


def test_white_gray_and_black_stay_neutral():
    ramp = np.repeat(np.arange(0, 256, 5, dtype=np.uint8)[None, :, None], 3, 2)
    document = read_image(saved(Image.fromarray(ramp), "PNG", icc_profile=display_p3()))
    assert document.color.shape[2] == 1  # they are not only close to gray
    assert document.color[0, [0, -1], 0].tolist() == [0, 255]


def test_alpha_does_not_go_through_the_profile():
    alpha = noise((40, 50), seed=3)
    document = read_image(saved(Image.fromarray(np.dstack([COLOURS, alpha])), "PNG", icc_profile=display_p3()))
    np.testing.assert_array_equal(document.alpha, alpha)
    assert np.abs(document.color.astype(int) - by_the_book(COLOURS)).max() <= 2


@pytest.mark.parametrize(
    "icc",
    [
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
        matrix_icc(SRGB, srgb_curve(), title="Nameless"),
    ],
    ids=["little-cms", "by-hand"],
)
def test_srgb_is_recognised_by_what_it_does_and_kept_unconverted(icc):
    for data in (saved(Image.fromarray(COLOURS), "PNG", icc_profile=icc), wide(icc, noise((5, 6, 3), np.uint16))):
        document = read_image(data)
        assert document.origin.icc == icc
        assert document.origin.notes == ()
    np.testing.assert_array_equal(read_image(wide(icc, COLOURS)).color, COLOURS)


def test_a_profile_that_only_calls_itself_srgb_is_converted():
    document = read_image(
        saved(Image.fromarray(COLOURS), "PNG", icc_profile=matrix_icc(P3, gamma_curve(1.8), title="sRGB"))
    )
    assert document.origin.notes == ("The colours were converted from sRGB to sRGB.",)
    assert np.abs(document.color.astype(int) - COLOURS).max() > 20


@pytest.mark.parametrize(
    "data", [b"no profile", b"", display_p3()[:200], b"\0" * 500, display_p3()[:140] + b"\xff" * 300]
)
def test_a_broken_profile_is_ignored_with_a_note(data):
    document = read_image(saved(Image.fromarray(COLOURS), "TIFF", icc_profile=data))
    np.testing.assert_array_equal(document.color, COLOURS)
    assert document.origin.icc is None
    assert document.origin.notes == (
        () if not data else ("The colour profile in the file is damaged and was ignored.",)
    )


def test_a_profile_whose_name_or_kind_is_no_text_does_no_harm():
    unnamed = bytearray(display_p3())
    at = unnamed.index(b"Display P3")
    unnamed[at : at + 10] = b"\xff" * 10
    document = read_image(saved(Image.fromarray(COLOURS), "PNG", icc_profile=bytes(unnamed)))
    assert np.abs(document.color.astype(int) - by_the_book(COLOURS)).max() <= 2
    kindless = display_p3().replace(b"RGB ", b"R\xffB ")
    document = read_image(saved(Image.fromarray(COLOURS), "TIFF", icc_profile=kindless))
    assert document.origin.notes == ("The colour profile in the file is damaged and was ignored.",)


def test_a_huge_profile_is_ignored_with_a_note():
    data = saved(Image.fromarray(smooth()), "JPEG", icc_profile=display_p3() + bytes(9_000_000))
    assert read_image(data).origin.notes == ("The colour profile in the file is far too large and was ignored.",)


def test_a_profile_of_the_wrong_kind_is_ignored_with_a_note():
    document = read_image(saved(Image.fromarray(COLOURS), "PNG", icc_profile=gray_icc()))
    np.testing.assert_array_equal(document.color, COLOURS)
    assert document.origin.notes == ("The colour profile in the file (Dot gain) does not fit it and was ignored.",)


def test_a_hostile_profile_name_is_cut_and_cleaned():
    icc = matrix_icc(P3, srgb_curve(), title="a\nb\x07" + "y" * 500)
    (note,) = read_image(saved(Image.fromarray(COLOURS), "PNG", icc_profile=icc)).origin.notes
    assert len(note) < 120
    assert note.isprintable()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_gray_with_a_gray_profile_stays_as_it_is_with_its_profile(dtype):
    gray = noise((8, 9, 1), dtype)
    document = read_image(wide(gray_icc(), gray))
    np.testing.assert_array_equal(document.color, gray)
    assert document.origin.icc == gray_icc()
    assert document.origin.gray


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_gray_with_a_colour_profile_keeps_one_channel_in_srgb_tone(dtype):
    peak = np.iinfo(dtype).max
    gray = np.linspace(0, peak, 64).astype(dtype).reshape(8, 8, 1)
    document = read_image(wide(matrix_icc(P3, gamma_curve(1.8), title="Old Screen"), gray))
    linear = (gray / peak) ** round(1.8 * 256).__truediv__(256)
    expected = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055) * peak
    assert document.color.shape == (8, 8, 1)
    assert document.color.dtype == dtype
    assert np.abs(document.color - expected).max() <= peak / 255 * 1.5
    assert document.origin.notes == ("The colours were converted from Old Screen to sRGB.",)
    assert read_image(wide(matrix_icc(SRGB, srgb_curve(), title="s"), gray)).origin.icc is None


CURVES = {
    "srgb": srgb_curve(),
    "gamma": gamma_curve(2.2),
    "identity": b"curv" + bytes(8),
    "table": table_curve(np.linspace(0, 1, 1024) ** 1.9),
    "power": parametric_curve(0, 2.0),
    "cie": parametric_curve(1, 2.0, 1.1, -0.1),
    "iec": parametric_curve(2, 2.0, 0.9, -0.05, 0.02),
    "general": parametric_curve(4, 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045, 0.001, 0.0005),
}


@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize("matrix", [P3, ADOBE_RGB], ids=["p3", "adobe"])
def test_matrix_profiles_in_numpy_agree_with_little_cms(curve, matrix):
    icc = matrix_icc(matrix, CURVES[curve], title="Some Space")
    profile = matrix_profile.parse(icc)
    assert profile is not None
    ours = profile.to_srgb(COLOURS.astype(np.uint16) * 257) / 257
    theirs = by_little_cms(COLOURS, icc, ImageCms.Flags.NOOPTIMIZE)  # not through a coarse table
    assert np.abs(ours - theirs).max() <= 2, np.bincount(np.abs(np.rint(ours) - theirs).astype(int).ravel())


def test_three_different_curves_go_to_their_own_channels():
    icc = matrix_icc(P3, gamma_curve(1.4), gamma_curve(2.0), gamma_curve(2.6), title="Three")
    profile = matrix_profile.parse(icc)
    assert profile is not None
    ours = profile.to_srgb(COLOURS.astype(np.uint16) * 257) / 257
    assert np.abs(ours - by_little_cms(COLOURS, icc)).max() <= 2


def test_16_bit_p3_is_converted_in_16_bits():
    ramp = np.linspace(20_000, 22_000, 600).astype(np.uint16)
    samples = np.stack([ramp, ramp + 3000, ramp + 9000], 1).reshape(20, 30, 3)
    document = read_image(wide(display_p3(), samples))
    assert document.color.dtype == np.uint16
    assert document.origin.notes == (P3_NOTE,)
    assert np.abs(document.color / 257 - by_the_book(samples / 257)).max() <= 1
    assert len(np.unique(document.color[..., 0])) > 300


def test_float_p3_is_converted_without_clipping():
    tifffile = pytest.importorskip("tifffile")
    samples = (noise((6, 7, 3)) / 255).astype(np.float32)
    samples[0, 0] = (0.0, 1.0, 0.0)
    stream = io.BytesIO()
    tifffile.imwrite(stream, samples, photometric="rgb", metadata=None, iccprofile=display_p3())
    document = read_image(stream.getvalue())
    assert document.origin.notes == (P3_NOTE,)
    assert np.abs(np.clip(document.color, 0, 1) * 255 - by_the_book(samples * 255)).max() <= 2
    assert document.color[0, 0, 0] < -0.1  # P3's green lies outside sRGB


def test_a_16_bit_picture_with_a_table_profile_keeps_both_and_says_so():
    samples = noise((5, 6, 3), np.uint16)
    document = read_image(wide(rgb_table_icc(), samples))
    np.testing.assert_array_equal(document.color, samples)
    assert document.origin.icc == rgb_table_icc()
    assert document.origin.notes == (
        "The colours were left in Table Space: its tables cannot be applied to more than 8 bits here.",
    )
    eight = read_image(wide(rgb_table_icc(), COLOURS))
    assert eight.origin.notes == ("The colours were converted from Table Space to sRGB.",)
    np.testing.assert_array_equal(eight.color, by_little_cms(COLOURS, rgb_table_icc()))


@pytest.mark.parametrize(
    "icc",
    [
        b"",
        b"x" * 200,
        gray_icc(),
        rgb_table_icc(),
        display_p3().replace(b"rXYZ", b"qXYZ"),
        display_p3().replace(b"rTRC", b"qTRC"),
        display_p3().replace(b"para", b"parb"),
        matrix_icc(P3, parametric_curve(9, 1.0), title="x"),
        matrix_icc(P3, parametric_curve(1, 1.0, 0.0, 0.0), title="x"),
    ],
)
def test_what_is_not_a_matrix_profile_is_not_taken_for_one(icc):
    assert matrix_profile.parse(icc) is None


INKS = {"white": (0, 0, 0, 0), "black": (0, 0, 0, 255), "cyan": (255, 0, 0, 0), "half": (0, 0, 0, 128)}


@pytest.mark.parametrize("adobe", [True, False])
@pytest.mark.parametrize("profiled", [True, False])
def test_cmyk_jpegs_come_out_positive_with_and_without_adobes_marker(adobe, profiled):
    from .made_files import without_adobe

    picture = Image.new("CMYK", (64, 16))
    for index, ink in enumerate(INKS.values()):
        picture.paste(ink, (16 * index, 0, 16 * index + 16, 16))
    options = {"icc_profile": cmyk_icc()} if profiled else {}
    if adobe:
        data = saved(picture, "JPEG", quality=100, **options)
    else:  # such files hold the inks as they are, not turned over
        data = without_adobe(saved(ImageChops.invert(picture), "JPEG", quality=100, **options))
    document = read_image(data)
    white, black, cyan, half = document.color[8, 8::16].astype(int)
    assert white.min() >= 253
    assert black.max() <= 4
    assert 60 < half.mean() < 200
    if profiled:  # that profile knows no colour: L = 83 for full cyan
        assert np.ptp(cyan) <= 6
        assert 190 < cyan.mean() < 220
        assert document.origin.notes == ("The colours were converted from Grey Ink to sRGB.",)
    else:
        assert cyan[0] < 40
        assert cyan[1:].min() > 200
        assert "without a colour profile" in document.origin.notes[0]


def test_a_ycck_jpeg_is_read_like_its_cmyk():
    cv2 = pytest.importorskip("cv2")
    rgb = smooth()
    cmyk = Image.fromarray(rgb).convert("CMYK")
    document = read_image(saved(cmyk, "JPEG", quality=98))
    assert np.abs(document.color.astype(int) - rgb).mean() < 3
    # the inks as YCbCr and a marker that says so: libjpeg undoes it before the inks are read
    ycc = cv2.cvtColor(np.asarray(cmyk)[..., :3], cv2.COLOR_RGB2YCrCb)[..., [0, 2, 1]]
    stored = Image.merge("CMYK", [*(Image.fromarray(255 - ycc[..., c].copy()) for c in range(3)), cmyk.getchannel("K")])
    data = bytearray(saved(stored, "JPEG", quality=98))
    at = data.index(b"Adobe")
    data[at + 11] = 2
    assert np.abs(read_image(bytes(data)).color.astype(int) - rgb).mean() < 4


@pytest.mark.parametrize("format", ["TIFF"])
def test_cmyk_and_lab_tiffs_become_rgb(format):
    rgb = Image.fromarray(smooth())
    document = read_image(saved(rgb.convert("CMYK"), format))
    assert np.abs(document.color.astype(int) - smooth()).max() <= 2
    to_lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
    lab = ImageCms.applyTransform(rgb, to_lab)
    assert lab is not None
    document = read_image(saved(lab, format))
    assert np.abs(document.color.astype(int) - smooth()).mean() < 2  # 8-bit Lab is coarse
    assert document.origin.notes == ("The colours were converted from Lab to sRGB.",)


def test_ycbcr_tiffs_become_rgb():
    data = saved(Image.fromarray(smooth()).convert("YCbCr"), "TIFF", compression="jpeg", quality=98)
    assert np.abs(read_image(data).color.astype(int) - smooth()).mean() < 2
