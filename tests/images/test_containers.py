"""What is learnt from a file before a decoder sees it: texts and profiles of PNGs, directories of TIFFs, frames."""

import struct
import zlib
from dataclasses import fields
from io import BytesIO

import pytest
from PIL import Image

from restoration.errors import ImageFileError
from restoration.images import formats, png_chunks
from restoration.images.frames import count_frames
from restoration.images.limits import Limits
from restoration.images.png_chunks import lighten
from restoration.images.reading import read_header, read_image
from restoration.images.tiff_directories import survey
from tests.corpus.pictures import FRAMES, RGB, SOFT, animated
from tests.corpus.png_maker import RGB as COLOR
from tests.corpus.png_maker import png
from tests.corpus.tiff_maker import SHORT, page_of, tiff

from .made_files import chunk, display_p3, exif_with, saved

PLAIN = png(SOFT, 8, COLOR)


def with_text(kind: bytes, body: bytes) -> bytes:
    return png(SOFT, 8, COLOR, chunk(kind, body))


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (b"tEXt", b"Comment\0at home"),
        (b"zTXt", b"Comment\0\0" + zlib.compress(b"at home")),
        (b"iTXt", b"Comment\0\0\0\0\0at home"),
        (b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(bytes(600_000))),
        (b"zTXt", b"Raw profile type exif\0\0no zlib"),
        (b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(bytes(600_000))),
    ],
)
def test_texts_are_taken_out(kind, body):
    assert lighten(with_text(kind, body), 1000).data == PLAIN


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0<x/>"),
        (b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(b"<x/>")),
        (b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(b"\nexif\n 4\n0000\n")),
        (b"tEXt", b"Raw profile type exif\0\nexif\n"),
    ],
)
def test_texts_that_may_hold_an_orientation_stay(kind, body):
    data = with_text(kind, body)
    assert lighten(data, 1000).data is data


def test_a_profile_is_taken_out_up_to_its_limit():
    icc = display_p3()
    data = with_text(b"iCCP", b"x\0\0" + zlib.compress(icc))
    taken = lighten(data, len(icc))
    assert (taken.data, taken.profile, taken.oversized, taken.damaged) == (PLAIN, icc, False, False)
    assert lighten(data, len(icc) - 1).oversized
    assert lighten(with_text(b"iCCP", b"x\0\0" + zlib.compress(icc)[:-9]), 10**6).damaged
    assert read_image(data).origin.notes == ("The colours were converted from Display P3 to sRGB.",)


def test_what_stands_behind_a_broken_chunk_stays():
    cut = with_text(b"tEXt", b"Comment\0at home")[:-20]
    assert lighten(cut, 10).data == PLAIN[:-20]


@pytest.mark.parametrize("packed", [zlib.compress(bytes(499_000)), zlib.compress(bytes(600_000)), b"no zlib"])
@pytest.mark.parametrize("head", [b"zTXt Raw profile type exif\0\0", b"iTXt XML:com.adobe.xmp\0\1\0\0\0"])
def test_all_texts_of_a_file_unpack_to_little(head, packed, monkeypatch):
    kind, _, key = head.partition(b" ")
    tries: list[int] = []
    unpacked = png_chunks._unpacked
    monkeypatch.setattr(png_chunks, "_unpacked", lambda *given: (tries.append(given[1]), unpacked(*given))[1])
    data = png(SOFT, 8, COLOR, chunk(kind, key + packed) * 50)
    lighter = lighten(data, 1000).data
    assert sum(tries) <= 1_000_000
    assert lighter.count(kind) == (2 if len(zlib.compress(bytes(499_000))) == len(packed) else 0)
    assert (read_image(data).color == SOFT).all()


def test_texts_that_are_not_packed_are_few_too():
    assert (
        lighten(
            with_text(b"tEXt", b"Raw profile type exif\0x")[:-12] + chunk(b"tEXt", b"Raw profile type exif\0x") * 9, 10
        ).data.count(b"tEXt")
        == 2
    )


def test_chunks_and_segments_are_counted(monkeypatch):
    few = 50
    monkeypatch.setattr(png_chunks, "_MOST_CHUNKS", few)
    monkeypatch.setattr(formats, "_MOST_PARTS", few)
    own = 3  # header, pixels, end
    read_header(png(SOFT, 8, COLOR, chunk(b"abCd", b"") * (few - own - 1)))
    with pytest.raises(ImageFileError, match=r"^The PNG is cut into more than 50 chunks, which is the limit\.$"):
        read_header(png(SOFT, 8, COLOR, chunk(b"abCd", b"") * (few - own)))
    jpeg = saved(RGB, "JPEG")
    read_header(jpeg)
    tables = jpeg.index(b"\xff\xdb")
    for part in (b"\xff\xef\0\2", b"\xff", b"\xff\xd0", b"\xff\0", b"x\xff\0"):
        with pytest.raises(ImageFileError, match=r"^The JPEG has more than 50 parts before its pixels"):
            read_header(jpeg[:tables] + part * few + jpeg[tables:])
    frame = jpeg.index(b"\xff\xc0")
    with pytest.raises(ImageFileError, match="50 parts"):  # behind the frame too
        read_header(jpeg[:frame] + jpeg[frame:].replace(b"\xff\xda", b"\xff\xef\0\2" * few + b"\xff\xda", 1))


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
def test_pages_are_counted_up_to_one_more_than_asked_for(order, big):
    pages = [page_of(SOFT[:2, :2], order=order) for _ in range(7)]
    data = tiff(*pages, order=order, big=big)
    assert [survey(data, most).pages for most in (3, 6, 7, 50)] == [4, 7, 7, 7]
    assert not survey(data, 9).raw


def test_a_chain_of_pages_that_leads_back_ends():
    data = bytearray(tiff(page_of(SOFT), page_of(SOFT)))
    data[-4:] = data[4:8]
    assert survey(bytes(data), 100).pages == 2
    assert survey(b"II*\0\xff\xff\xff\x7f", 100).pages == 0


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("photometric", [32803, 34892])
def test_sensor_data_are_found_in_a_page_and_below_it(photometric, order):
    sensor = page_of(SOFT[..., :1], order=order, t262=(SHORT, [photometric]))
    stamp = page_of(SOFT[:4, :4], order=order)
    stamp.below = [page_of(SOFT[:4, :4], order=order), sensor]
    for pages in ([sensor], [stamp], [page_of(SOFT, order=order), sensor]):
        assert survey(tiff(*pages, order=order), 9).raw
    below_only = page_of(SOFT, order=order)
    below_only.below = [page_of(SOFT[:4, :4], order=order)]  # an ordinary picture with a smaller copy
    assert not survey(tiff(below_only, order=order), 9).raw
    assert read_image(tiff(below_only, order=order)).color.shape == SOFT.shape


def test_frames_of_a_gif_are_counted_as_pillow_counts_them_and_no_further():
    for data in (saved(RGB, "GIF"), animated("GIF"), animated("GIF", disposal=2)):
        with Image.open(BytesIO(data)) as picture:
            assert count_frames(picture, data, 100) == picture.n_frames
    data = animated("GIF")
    with Image.open(BytesIO(data)) as picture:
        assert count_frames(picture, data, 1) == 2


def test_previews_in_a_jpeg_are_no_pictures_of_their_own():
    data = bytearray(saved(RGB, "MPO", save_all=True, append_images=FRAMES[:1]))
    assert read_header(bytes(data)).frames == 2
    at = data.index(b"\x02\xb0")  # the list's tag: 7, the bytes, and where they stand, from the header before
    start = data.index(b"MPF\0") + 4
    entries = start + struct.unpack_from("<I", data, at + 8)[0]
    data[entries + 16 : entries + 20] = struct.pack("<I", 0x010001)
    assert read_header(bytes(data)).frames == 1


@pytest.mark.parametrize(("name", "value"), [("frames", 3), ("aspect", 1.2), ("side", 50), ("megapixels", 0.001)])
def test_every_limit_is_checked_at_the_header(name, value):
    data = animated("GIF")
    read_header(data)
    for read in (read_header, read_image):
        with pytest.raises(ImageFileError):
            read(data, limits=Limits(**{name: value}))


def test_a_profile_over_its_limit_is_left_out_of_every_format():
    limits = Limits(profile_megabytes=0.0001)
    for format in ("JPEG", "PNG", "TIFF", "WEBP"):
        document = read_image(saved(RGB, format, icc_profile=display_p3(), exif=exif_with()), limits=limits)
        assert document.origin.notes == ("The colour profile in the file is far too large and was ignored.",)


def test_each_limit_can_be_set_for_one_device():
    for field in fields(Limits):
        if field.name == "per_device":
            continue
        limits = Limits.from_environment({f"RESTORATION_GPU_MAX_{field.name.upper()}": "5"})
        assert getattr(limits.on("cuda"), field.name) == 5
        assert limits.on("cpu") == limits
        assert getattr(limits, field.name) == getattr(Limits(), field.name)
    both = Limits.from_environment({"RESTORATION_MAX_MEGAPIXELS": "9", "RESTORATION_CPU_MAX_MEGAPIXELS": "4"})
    assert (both.on("cpu").megapixels, both.on("cuda").megapixels) == (4, 9)
    assert hash(both) == hash(both.on("cuda")) or both != both.on("cpu")
