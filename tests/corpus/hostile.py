"""Files made to hurt: over every limit, bombs, cut short, mislabelled, two things at once, empty."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from functools import cache, partial

from PIL import Image

from tests.corpus.entry import Entry
from tests.corpus.pictures import DEEP, FRAMES, RGB, RGBA, SIZE, SOFT, avif, heic
from tests.corpus.png_maker import RGB as C
from tests.corpus.png_maker import SIGNATURE, bmp, claiming, ihdr, png
from tests.corpus.tiff_maker import LONG, SHORT, page_of, tiff
from tests.images.made_files import chunk, noise, saved

_Refused = partial(Entry, expect="refusal")
_FORMATS = {
    "jpg": saved(RGB, "JPEG", quality=90), "png": saved(RGB, "PNG"), "webp": saved(RGB, "WEBP"),
    "bmp": saved(RGB, "BMP"),    "tif": saved(RGB, "TIFF"), "gif": saved(RGB, "GIF"), "avif": avif(), "heic": heic(),
    "16bit.png": png(DEEP, 16, C), "16bit.tif": tiff(page_of(DEEP)),
    "lzw.tif": saved(RGB, "TIFF", compression="tiff_lzw"),
}  # fmt: skip


def entries() -> Iterator[Entry]:
    """Every hostile file."""
    for made in (oversized, many_frames, bombs, tiff_bombs, truncated, damaged, mislabelled, polyglots, empties):
        yield from made()


def sized(format: str, width: int, height: int) -> bytes:
    """A small file whose header claims that many pixels."""
    if format == "png":
        return claiming(width, height)
    if format == "tif":
        return tiff(page_of(SOFT, t256=(LONG, [width]), t257=(LONG, [height])))
    if format == "bmp":
        return bmp(bytes(99), width, height, 24)
    data = bytearray(_FORMATS[format])
    if format == "gif":
        data[6:10] = struct.pack("<HH", width, height)
        return bytes(data)
    old, new = (struct.pack(">HH", *pair) for pair in (SIZE, (height, width)))
    if format == "jpg":
        return bytes(data).replace(old, new, 1)
    new = b"ispe\0\0\0\0" + struct.pack(">II", width, height)
    for stored in (SIZE[::-1], (64, 64)):  # HEVC has blocks of 64 pixels, and a frame that cuts them
        data = data.replace(b"ispe\0\0\0\0" + struct.pack(">II", *stored), new)
    return bytes(data).replace(b"clap", b"free")


def webp_canvas(width: int, height: int) -> bytes:
    """An animated WebP's header of a canvas that large."""
    data = bytearray(saved(RGB, "WEBP", save_all=True, append_images=FRAMES, duration=50))
    at = data.index(b"VP8X") + 12
    data[at : at + 6] = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return bytes(data)


@cache
def _zeros_packed(megabytes: int) -> bytes:
    """A thousandth of their size."""
    packer = zlib.compressobj(9)
    return b"".join(packer.compress(bytes(1_000_000)) for _ in range(megabytes)) + packer.flush()


def oversized() -> Iterator[Entry]:
    for ending in ("png", "tif", "bmp", "gif", "jpg", "avif", "heic"):
        over = partial(_Refused, name=f"15000x15000.{ending}", data=sized(ending, 15_000, 15_000))
        yield over(kind="over-pixels", word="megapixels" if ending not in ("avif", "heic") else "")
        data = sized(ending, 2, 40_000)
        yield _Refused(kind="over-side", name=f"2x40000.{ending}", data=data)
        if ending != "gif":  # whose canvas grows with its first frame
            yield _Refused(kind="over-aspect", name=f"1x20000.{ending}", data=sized(ending, 1, 20_000))
    yield _Refused(kind="over-pixels", name="canvas.webp", data=webp_canvas(16_000, 16_000), word="megapixels")
    real = saved(Image.new("1", (15_000, 15_000)), "PNG")
    yield _Refused(kind="over-pixels", name="15000x15000-whole.png", data=real, word="megapixels")
    padding = bytes(4_000_000)
    for ending in ("jpg", "png", "webp", "tif", "gif"):
        yield _Refused(kind="over-bytes", name=f"padded.{ending}", data=_FORMATS[ending] + padding, word="megabytes")


def many_frames() -> Iterator[Entry]:
    over = partial(_Refused, kind="over-frames", word="frames")
    pages = [page_of(SOFT[:1, :1]) for _ in range(3000)]
    yield over(name="pages-3000.tif", data=tiff(*pages))
    yield over(name="pages-3000-big.tif", data=tiff(*pages, big=True))
    tiny = Image.new("P", (1, 1))
    gif = saved(tiny, "GIF")
    start = gif.index(b",")
    yield over(name="frames-100000.gif", data=gif[:start] + gif[start:-1] * 100_000 + b";")
    yield over(name="apng-frames.png", data=png(SOFT, 8, C, chunk(b"acTL", struct.pack(">II", 1_000_000, 0))))
    frame = saved(Image.new("RGB", (1, 1)), "WEBP")[12:]
    animation = b"ANMF" + struct.pack("<I", 16 + len(frame)) + bytes(16) + frame
    body = b"WEBPVP8X" + struct.pack("<I", 10) + b"\2\0\0\0" + bytes(6) + b"ANIM" + struct.pack("<IIH", 6, 0, 0)
    body += animation * 5000
    yield over(name="frames-5000.webp", data=b"RIFF" + struct.pack("<I", len(body)) + body)


def bombs() -> Iterator[Entry]:
    bomb = partial(_Refused, kind="bomb")
    zeros = _zeros_packed(50)
    yield bomb(name="ihdr.png", data=claiming(2**31 - 1, 2**31 - 1))
    yield bomb(name="ihdr-16bit.png", data=claiming(100_000, 100_000, bits=16))
    yield bomb(name="too-few-pixels.png", data=claiming(10_000, 10_000), word="damaged")
    yield bomb(name="zlib-of-zlib.png", data=claiming(9, 9, payload=zeros))
    harmless = partial(Entry, kind="bomb", size=SIZE)
    for count in (1, 40):
        text = b"".join(chunk(b"zTXt", b"key%d\0\0" % n + zeros) for n in range(count))
        yield harmless(name=f"ztxt-{count}.png", data=png(SOFT, 8, C, text))
        text = b"".join(chunk(b"iTXt", b"key%d\0\1\0\0\0" % n + zeros) for n in range(count))
        yield harmless(name=f"itxt-{count}.png", data=png(SOFT, 8, C, text))
    profile = chunk(b"iCCP", b"x\0\0" + _zeros_packed(200))
    yield harmless(name="iccp.png", data=png(SOFT, 8, C, profile), word="profile")
    late = png(SOFT, 8, C)
    text = chunk(b"zTXt", b"key\0\0" + _zeros_packed(200))
    yield harmless(name="ztxt-behind.png", data=late[:-12] + text + late[-12:])
    yield harmless(name="many-chunks.png", data=png(SOFT, 8, C, chunk(b"tEXt", b"k\0v") * 100_000))
    wanted = chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(bytes(499_000), 9))
    yield harmless(name="ztxt-exif-3000.png", data=png(SOFT, 8, C, wanted * 3000))
    yield bomb(name="empty-chunks.png", data=png(SOFT, 8, C, chunk(b"abCd", b"") * 200_000), word="chunks")
    jpeg = _FORMATS["jpg"]
    yield bomb(name="empty-segments.jpg", data=jpeg[:2] + b"\xff\xef\0\2" * 200_000 + jpeg[2:], word="parts")
    yield bomb(name="filling-bytes.jpg", data=jpeg[:2] + b"\xff" * 2_000_000 + jpeg[2:], word="parts")
    yield bomb(name="gif-canvas.gif", data=sized("gif", 65_535, 65_535))
    yield bomb(name="webp-canvas.webp", data=webp_canvas(2**14, 2**14))


def tiff_bombs() -> Iterator[Entry]:
    bomb = partial(_Refused, kind="bomb")
    deflated = _zeros_packed(200)
    strip = page_of(SOFT, compression=8, t278=(LONG, [2**31]))
    strip.pieces = [deflated]
    yield bomb(name="strip.tif", data=tiff(strip))
    tile = page_of(SOFT, tile=16, compression=8, t322=(LONG, [65_536]), t323=(LONG, [65_536]))
    tile.pieces = [deflated]
    yield bomb(name="tile.tif", data=tiff(tile), word="pixels")
    wide = page_of(SOFT.astype("u4"), tile=64, compression=8, t322=(LONG, [4000]), t323=(LONG, [4000]))
    wide.pieces = [deflated]
    yield bomb(name="tile-of-32-bits.tif", data=tiff(wide), word="tiles")
    yield bomb(name="samples.tif", data=tiff(page_of(SOFT, t277=(SHORT, [65_535]))))
    yield bomb(name="bits.tif", data=tiff(page_of(SOFT, t258=(SHORT, [65_535] * 3))))
    claimed = bytearray(tiff(page_of(SOFT)))
    at = claimed.index(struct.pack("<HH", 273, LONG))
    claimed[at + 4 : at + 8] = struct.pack("<I", 2**31)  # so many strips
    yield bomb(name="strips.tif", data=bytes(claimed))
    looped = bytearray(tiff(page_of(SOFT), page_of(SOFT)))
    first = struct.unpack_from("<I", looped, 4)[0]
    looped[-4:] = struct.pack("<I", first)  # the last page leads to the first
    yield Entry(kind="bomb", name="looped-pages.tif", data=bytes(looped), size=SIZE)


def truncated() -> Iterator[Entry]:
    for ending, data in _FORMATS.items():
        for percent in (1, 30, 60, 90):
            cut = data[: max(12, len(data) * percent // 100)]
            yield _Refused(kind="truncated", name=f"cut-{percent}.{ending}", data=cut)
    yield _Refused(kind="truncated", name="half-marker.jpg", data=b"\xff\xd8\xff")
    yield _Refused(kind="truncated", name="signature.png", data=SIGNATURE)
    yield _Refused(kind="truncated", name="no-pixels.png", data=SIGNATURE + ihdr(9, 9) + chunk(b"IEND", b""))


def damaged() -> Iterator[Entry]:
    entry = partial(_Refused, kind="damaged")
    for ending in ("avif", "heic"):
        data = _FORMATS[ending]
        middle = len(data) // 2
        yield entry(name=f"zeroed-end.{ending}", data=data[: middle // 2] + bytes(len(data) - middle // 2))
    shifted = bytearray(_FORMATS["heic"])
    struct.pack_into(">I", shifted, shifted.index(b"clap") + 28, 48)  # what is seen ends outside of what is there
    yield entry(name="another-size.heic", data=bytes(shifted))
    jpeg = _FORMATS["jpg"]
    frame = jpeg.index(b"\xff\xc0")
    for name, marker, precision, word in (
        ("12-bit", 0xC1, 12, "12 bits"), ("lossless", 0xC3, 8, "lossless"), ("jpeg-ls", 0xF7, 8, "lossless"),
        ("arithmetic-12-bit", 0xC9, 12, "12 bits"), ("layered", 0xC5, 8, "rare kind"),
    ):  # fmt: skip
        changed = bytearray(jpeg)
        changed[frame + 1], changed[frame + 4] = marker, precision
        yield entry(name=f"{name}.jpg", data=bytes(changed), word=word)
    yield entry(name="no-height.jpg", data=sized("jpg", 56, 0))
    wrong_sum = bytearray(_FORMATS["png"])
    wrong_sum[29] ^= 1
    yield entry(name="wrong-checksum.png", data=bytes(wrong_sum))
    yield entry(name="no-width.png", data=claiming(0, 9))
    yield entry(name="bits-3.png", data=claiming(9, 9, bits=3))
    yield entry(name="filter-9.png", data=claiming(3, 3, payload=b"\x09" * 30))
    yield entry(name="no-palette.png", data=claiming(9, 9, kind=3, payload=bytes(90)))
    yield entry(name="no-size.gif", data=b"GIF89a" + bytes(7) + b";")
    yield entry(name="no-directory.tif", data=b"II*\0\xff\xff\xff\x7f")
    yield entry(name="no-strips.tif", data=tiff(page_of(SOFT, t259=(SHORT, [9999]))))
    yield entry(name="jpeg-inside.tif", data=tiff(page_of(SOFT, t259=(SHORT, [6]))))


def mislabelled() -> Iterator[Entry]:
    """Another format than the name says: read all the same, since names are not asked."""
    endings = ["jpg", "png", "webp", "bmp", "tif", "gif", "avif", "heic"]
    for ending, wrong in zip(endings, endings[1:] + endings[:1], strict=True):
        yield Entry(kind="mislabelled", name=f"{ending}-called.{wrong}", data=_FORMATS[ending], size=SIZE)
    yield Entry(kind="mislabelled", name="png-called.exe", data=_FORMATS["png"], size=SIZE)
    yield Entry(kind="mislabelled", name="jpg-called.svg", data=_FORMATS["jpg"], size=SIZE)


def polyglots() -> Iterator[Entry]:
    """A picture that is something else as well: the picture is taken, and nothing of the rest goes on."""
    both = partial(Entry, kind="polyglot", size=SIZE)
    script = b"<script>alert(1)</script><?php system('id'); ?>"
    archive = b"PK\x03\x04" + noise((200,)).tobytes() + b"PK\x05\x06" + bytes(18)
    gif = _FORMATS["gif"]
    yield both(name="gif-and-script.gif", data=gif[:-1] + b"!\xfe" + bytes([len(script)]) + script + b"\0;" + script)
    yield both(name="jpg-and-zip.jpg", data=_FORMATS["jpg"] + archive)
    yield both(name="png-and-zip.png", data=_FORMATS["png"] + archive)
    jpeg = _FORMATS["jpg"]
    comment = b"\xff\xfe" + struct.pack(">H", len(script) + 2) + script
    yield both(name="jpg-and-php.jpg", data=jpeg[:2] + comment + jpeg[2:])
    yield both(name="png-and-html.png", data=png(SOFT, 8, C, chunk(b"tEXt", b"x\0" + script)))
    yield both(name="bmp-and-pdf.bmp", data=_FORMATS["bmp"] + b"%PDF-1.4\n1 0 obj\n")
    yield both(name="webp-and-svg.webp", data=_FORMATS["webp"] + b"<svg xmlns='http://www.w3.org/2000/svg'/>")
    yield both(name="alpha-and-html.png", data=saved(RGBA, "PNG") + script)
    yield Entry(kind="polyglot", name="gif-by-five-bytes.gif", data=b"GIF89a=1;alert(1)//", expect="refusal")


def empties() -> Iterator[Entry]:
    for name in ("empty.jpg", "empty.png", "empty", "empty.heic", "empty.tif"):
        yield _Refused(kind="zero-bytes", name=name, data=b"", word="empty")
    for length in (1, 2, 3, 4, 11):
        yield _Refused(kind="few-bytes", name=f"bytes-{length}.jpg", data=_FORMATS["jpg"][:length])
