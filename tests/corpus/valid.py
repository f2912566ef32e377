"""Files as cameras, phones and programs write them: every format this program reads."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import partial

import numpy as np
from PIL import Image, ImageChops

from tests.corpus.entry import Entry
from tests.corpus.pictures import (
    ALPHA,
    DEEP,
    DEEP_ALPHA,
    FRAMES,
    GRAY,
    HEIGHT,
    RGB,
    RGBA,
    SIZE,
    SOFT,
    WIDTH,
    animated,
    avif,
    deep_avif,
    heic,
    heic_of_bits,
    undated,
)  # fmt: skip
from tests.corpus.png_maker import GRAY as G
from tests.corpus.png_maker import GRAY_ALPHA, PALETTE, bmp, bmp_rows, png
from tests.corpus.png_maker import RGB as C
from tests.corpus.png_maker import RGBA as CA
from tests.corpus.tiff_maker import SHORT, blocks_of, page_of, tiff
from tests.images.made_files import chunk, noise, saved, without_adobe

_Entry = partial(Entry, size=SIZE)
ANIMATION = "first"  # a note says that the first was taken


def entries() -> Iterator[Entry]:
    """Every valid file."""
    for made in (jpegs, pngs, deep_pngs, webps, avifs, heics, tiffs, deep_tiffs, cmyk_tiffs, bmps, gifs):
        yield from made()


def jpegs() -> Iterator[Entry]:
    jpeg = partial(_Entry, kind="jpeg")
    yield jpeg(name="baseline.jpg", data=saved(RGB, "JPEG", quality=90))
    yield jpeg(name="progressive.jpg", data=saved(RGB, "JPEG", quality=80, progressive=True))
    yield jpeg(name="gray.jpg", data=saved(GRAY, "JPEG"))
    yield jpeg(name="full-colour.jpg", data=saved(RGB, "JPEG", quality=95, subsampling=0))
    yield jpeg(name="half-colour.jpg", data=saved(RGB, "JPEG", quality=95, subsampling=1))
    yield jpeg(name="restarts.jpg", data=saved(RGB, "JPEG", restart_marker_rows=1))
    yield jpeg(name="rgb-inside.jpg", data=saved(RGB, "JPEG", quality=95, keep_rgb=True))
    yield jpeg(name="lowest-quality.jpg", data=saved(RGB, "JPEG", quality=1))
    plain = saved(RGB, "JPEG")
    yield jpeg(name="no-huffman-tables.jpg", data=plain.replace(b"\xff\xc4", b"\xff\xef"))
    yield jpeg(name="multi.mpo", data=saved(RGB, "MPO", save_all=True, append_images=FRAMES), word=ANIMATION)
    for name, picture in {"adobe": RGB.convert("CMYK"), "plain": ImageChops.invert(RGB.convert("CMYK"))}.items():
        data = saved(picture, "JPEG", quality=95)
        data = data if name == "adobe" else without_adobe(data)
        yield _Entry(kind="jpeg-cmyk", name=f"cmyk-{name}.jpg", data=data, word="CMYK")
    yield _Entry(kind="jpeg-cmyk", name="cmyk-progressive.jpg", word="CMYK",
                 data=saved(RGB.convert("CMYK"), "JPEG", progressive=True))  # fmt: skip
    ycck = bytearray(saved(RGB.convert("CMYK"), "JPEG", quality=95))
    ycck[ycck.index(b"Adobe") + 11] = 2
    yield _Entry(kind="jpeg-cmyk", name="ycck.jpg", data=bytes(ycck), word="CMYK")
    yield _Entry(kind="jpeg-cmyk", name="cmyk-low.jpg", data=saved(RGB.convert("CMYK"), "JPEG", quality=20))


def pngs() -> Iterator[Entry]:
    levels = SOFT[..., :1]
    for bits in (1, 2, 4, 8):
        few = levels >> (8 - bits)
        yield _Entry(kind="png-gray", name=f"gray-{bits}.png", data=png(few, bits, G))
        yield _Entry(kind="png-interlaced", name=f"gray-{bits}-interlaced.png", data=png(few, bits, G, interlaced=True))
        palette = chunk(b"PLTE", noise((2**bits, 3), seed=bits).tobytes())
        yield _Entry(kind="png-palette", name=f"palette-{bits}.png", data=png(few, bits, PALETTE, palette))
        yield _Entry(kind="png-palette", name=f"palette-{bits}-interlaced.png",
                     data=png(few, bits, PALETTE, palette, interlaced=True))  # fmt: skip
        clear = chunk(b"tRNS", bytes([0, 128])[: 2**bits])
        yield _Entry(kind="png-transparent", name=f"palette-{bits}-alpha.png",
                     data=png(few, bits, PALETTE, palette, clear))  # fmt: skip
    keyed = chunk(b"tRNS", struct.pack(">H", int(levels[3, 3, 0])))
    yield _Entry(kind="png-gray", name="gray-keyed.png", data=png(levels, 8, G, keyed))
    yield _Entry(kind="png-rgb", name="rgb.png", data=png(SOFT, 8, C))
    yield _Entry(kind="png-rgb", name="rgb-keyed.png", data=png(SOFT, 8, C, chunk(b"tRNS", b"\0\5\0\6\0\7")))
    yield _Entry(kind="png-rgb", name="rgb-gamma.png", data=png(SOFT, 8, C, chunk(b"gAMA", struct.pack(">I", 45455))))
    linear, p3 = chunk(b"gAMA", struct.pack(">I", 100_000)), chunk(b"cICP", bytes([12, 13, 0, 1]))
    yield _Entry(kind="png-rgb", name="rgb-linear.png", data=png(SOFT, 8, C, linear), word="gamma 1")
    yield _Entry(kind="png-rgb", name="rgb-code-points.png", data=png(SOFT, 8, C, p3), word="Display P3")
    hdr = chunk(b"cICP", bytes([9, 16, 0, 1]))
    yield _Entry(kind="png-16bit", name="rgb-hdr.png", data=png(DEEP, 16, C, hdr), word="HDR")
    yield _Entry(kind="png-gray", name="gray-linear.png", data=png(levels, 8, G, linear), word="gamma 1")
    nonsense = [chunk(b"gAMA", b"\1"), chunk(b"cHRM", bytes(32)), chunk(b"cICP", b"")]
    yield _Entry(kind="png-rgb", name="rgb-odd-numbers.png", data=png(SOFT, 8, C, *nonsense))
    yield _Entry(kind="png-rgb", name="rgb-srgb.png", data=png(SOFT, 8, C, chunk(b"sRGB", b"\0")))
    text = chunk(b"tEXt", b"Comment\0made by a script")
    yield _Entry(kind="png-rgb", name="rgb-text.png", data=png(SOFT, 8, C, text))
    yield _Entry(kind="png-interlaced", name="rgb-interlaced.png", data=png(SOFT, 8, C, interlaced=True))
    yield _Entry(kind="png-transparent", name="rgba.png", data=png(np.asarray(RGBA), 8, CA))
    yield _Entry(kind="png-transparent", name="gray-alpha.png", data=png(np.asarray(RGBA)[..., [0, 3]], 8, GRAY_ALPHA))
    for number in range(5):
        options = {"disposal": number % 3, "blend": number % 2, "default_image": number == 4}
        yield _Entry(kind="apng", name=f"animated-{number}.png", data=animated("PNG", **options), word=ANIMATION)


def deep_pngs() -> Iterator[Entry]:
    deep = partial(_Entry, kind="png-16bit")
    for lace, interlaced in {"": False, "-interlaced": True}.items():
        write = partial(png, bits=16, interlaced=interlaced)
        yield deep(name=f"rgb16{lace}.png", data=write(DEEP, kind=C))
        yield deep(name=f"rgba16{lace}.png", data=write(DEEP_ALPHA, kind=CA))
        yield deep(name=f"gray16{lace}.png", data=write(DEEP[..., :1], kind=G))
        yield deep(name=f"gray16-alpha{lace}.png", data=write(DEEP_ALPHA[..., [0, 3]], kind=GRAY_ALPHA))
    key = chunk(b"tRNS", DEEP[4, 4].astype(">u2").tobytes())
    yield deep(name="rgb16-keyed.png", data=png(DEEP, 16, C, key))
    key = chunk(b"tRNS", DEEP[4, 4, :1].astype(">u2").tobytes())
    yield deep(name="gray16-keyed.png", data=png(DEEP[..., :1], 16, G, key))


def webps() -> Iterator[Entry]:
    webp = partial(_Entry, kind="webp")
    yield webp(name="lossy.webp", data=saved(RGB, "WEBP", quality=85))
    yield webp(name="lossless.webp", data=saved(RGB, "WEBP", lossless=True))
    yield webp(name="lossy-alpha.webp", data=saved(RGBA, "WEBP", quality=85))
    yield webp(name="lossless-alpha.webp", data=saved(RGBA, "WEBP", lossless=True, exact=True))
    yield webp(name="gray.webp", data=saved(GRAY, "WEBP"))
    for number, picture in enumerate((RGB, RGBA, GRAY, FRAMES[0], FRAMES[1])):
        data = saved(picture, "WEBP", save_all=True, append_images=FRAMES, duration=50, lossless=number % 2 == 0)
        yield _Entry(kind="webp-animated", name=f"animated-{number}.webp", data=data, word=ANIMATION)


def avifs() -> Iterator[Entry]:
    yield _Entry(kind="avif", name="rgb.avif", data=avif())
    yield _Entry(kind="avif", name="rgba.avif", data=avif(RGBA))
    yield _Entry(kind="avif", name="gray.avif", data=avif(GRAY))
    yield _Entry(kind="avif", name="full-colour.avif", data=avif(subsampling="4:4:4"))
    yield _Entry(kind="avif", name="monochrome.avif", data=avif(GRAY, subsampling="4:0:0"))
    yield _Entry(kind="avif", name="lowest-quality.avif", data=avif(quality=1))
    yield _Entry(kind="avif", name="10-bit.avif", data=deep_avif())
    yield _Entry(kind="avif", name="12-bit.avif", data=deep_avif(12))
    yield _Entry(kind="avif", name="12-bit-alpha.avif", data=deep_avif(12, alpha=True))
    frames = undated(saved(RGB, "AVIF", save_all=True, append_images=FRAMES, speed=10))
    yield _Entry(kind="avif", name="animated.avif", data=frames, word=ANIMATION)


def heics() -> Iterator[Entry]:
    yield _Entry(kind="heic", name="rgb.heic", data=heic())
    yield _Entry(kind="heic", name="rgba.heic", data=heic(RGBA))
    yield _Entry(kind="heic", name="gray.heic", data=heic(GRAY))
    yield _Entry(kind="heic", name="full-colour.heif", data=heic(chroma=444))
    yield _Entry(kind="heic", name="lowest-quality.hif", data=heic(quality=1))
    yield _Entry(kind="heic", name="deep.heic", data=heic_of_bits())
    yield _Entry(kind="heic", name="deep-alpha.heic", data=heic_of_bits("RGBA;16"))
    yield _Entry(kind="heic", name="several.heic", word=ANIMATION, data=heic(RGB, *FRAMES))


def tiffs() -> Iterator[Entry]:
    eight = partial(_Entry, kind="tiff-8")
    for compression in ("raw", "tiff_lzw", "tiff_deflate", "packbits", "jpeg", "tiff_adobe_deflate", "zstd", "lzma"):
        yield eight(name=f"rgb-{compression}.tif", data=saved(RGB, "TIFF", compression=compression))
    for mode in ("1", "L", "P", "LA", "RGBA", "LAB"):
        picture = RGBA.convert("LA") if mode == "LA" else RGBA if mode == "RGBA" else _in_mode(mode)
        yield eight(name=f"mode-{mode}.tif", data=saved(picture, "TIFF"))
    for compression in ("group3", "group4"):
        yield eight(name=f"fax-{compression}.tif", data=saved(RGB.convert("1"), "TIFF", compression=compression))
    yield eight(name="big-endian.tif", data=tiff(page_of(SOFT, order=">"), order=">"))
    yield eight(name="bigtiff.tif", data=tiff(page_of(SOFT), big=True))
    yield eight(name="bigtiff-big-endian.tif", data=tiff(page_of(SOFT, order=">"), order=">", big=True))
    yield eight(name="tiled.tif", data=tiff(page_of(SOFT, tile=16)))
    yield eight(name="tiled-deflate.tif", data=tiff(page_of(SOFT, tile=16, compression=8, predictor=2)))
    yield eight(name="planes.tif", data=tiff(page_of(SOFT, planar=True)))
    yield eight(name="white-is-zero.tif", data=tiff(page_of(SOFT[..., :1], t262=(SHORT, [0]))))
    premultiplied = np.dstack([(SOFT * (ALPHA[..., None] / 255)).astype(np.uint8), ALPHA])
    yield eight(name="premultiplied.tif", data=tiff(page_of(premultiplied, t338=(SHORT, [1]))))
    yield eight(name="premultiplied-planes.tif", data=tiff(page_of(premultiplied, planar=True, t338=(SHORT, [1]))))
    yield eight(name="lab-unsigned.tif", data=tiff(page_of(SOFT, t262=(SHORT, [9]))), word="Lab")
    ycbcr = np.asarray(RGB.convert("YCbCr"))
    for across, down in ((1, 1), (2, 1), (2, 2), (4, 2)):
        page = page_of(ycbcr, t262=(SHORT, [6]), t530=(SHORT, [across, down]), t278=(SHORT, [HEIGHT]))
        page.pieces = [blocks_of(ycbcr, across, down)]
        yield eight(name=f"ycbcr-{across}-{down}.tif", data=tiff(page))
    yield eight(name="extra-channel.tif", data=tiff(page_of(np.dstack([SOFT, ALPHA]), t338=(SHORT, [0]))))
    for number in range(5):
        pages = [page_of(np.roll(SOFT, step, 1), compression=(1, 8)[number % 2]) for step in range(number + 2)]
        yield _Entry(kind="tiff-pages", name=f"pages-{number + 2}.tif", data=tiff(*pages), word=ANIMATION)


def _in_mode(mode: str) -> Image.Image:
    if mode != "LAB":
        return RGB.convert(mode)
    return Image.fromarray(np.dstack([SOFT[..., 0], np.full((HEIGHT, WIDTH, 2), 128, np.uint8)]), "LAB")


def deep_tiffs() -> Iterator[Entry]:
    sixteen = partial(_Entry, kind="tiff-16")
    yield sixteen(name="lab16.tif", data=tiff(page_of(DEEP, t262=(SHORT, [8]))), word="Lab")
    for name, options in {
        "plain": {}, "big-endian": {"order": ">"}, "tiled": {"tile": 16}, "deflate": {"compression": 8},
        "difference": {"compression": 8, "predictor": 2}, "planes": {"planar": True},
    }.items():  # fmt: skip
        order = str(options.get("order", "<"))
        yield sixteen(name=f"rgb16-{name}.tif", data=tiff(page_of(DEEP, **options), order=order))
        yield sixteen(name=f"gray16-{name}.tif", data=tiff(page_of(DEEP[..., :1], **options), order=order))
    yield sixteen(name="rgba16.tif", data=tiff(page_of(DEEP_ALPHA)))
    yield sixteen(name="gray16-alpha.tif", data=tiff(page_of(DEEP_ALPHA[..., [0, 3]])))
    yield sixteen(name="rgb16-big.tif", data=tiff(page_of(DEEP), big=True))
    yield sixteen(name="gray16-big.tif", data=tiff(page_of(DEEP[..., :1]), big=True))
    wide = partial(_Entry, kind="tiff-32")
    for channels in (1, 3):
        integers = DEEP[..., :channels].astype(np.uint32)
        yield wide(name=f"u32-{channels}.tif", data=tiff(page_of(integers * 65537)))
        yield wide(name=f"i32-{channels}.tif", data=tiff(page_of(integers.astype(np.int32))))
        yield wide(name=f"u32-{channels}-big-endian.tif", data=tiff(page_of(integers, order=">"), order=">"))
    floating = partial(_Entry, kind="tiff-float")
    floats = DEEP.astype(np.float64) / 65535
    for bits in (16, 32, 64):
        for channels in (1, 3):
            page = page_of(floats[..., :channels].astype(f"f{bits // 8}"))
            yield floating(name=f"f{bits}-{channels}.tif", data=tiff(page))
    yield floating(name="f32-tiled.tif", data=tiff(page_of(floats.astype("f4"), tile=16, compression=8)))
    yield floating(name="f32-alpha.tif", data=tiff(page_of(np.dstack([floats, ALPHA / 255]).astype("f4"))))
    yield floating(name="f32-big.tif", data=tiff(page_of(floats.astype("f4")), big=True))


def cmyk_tiffs() -> Iterator[Entry]:
    inks = np.asarray(RGB.convert("CMYK"))
    cmyk = partial(_Entry, kind="tiff-cmyk", word="CMYK")
    ink = {"t262": (SHORT, [5])}
    yield cmyk(name="cmyk.tif", data=tiff(page_of(inks, **ink)))
    yield cmyk(name="cmyk-deflate.tif", data=tiff(page_of(inks, compression=8, **ink)))
    yield cmyk(name="cmyk-tiled.tif", data=tiff(page_of(inks, tile=16, **ink)))
    yield cmyk(name="cmyk-planes.tif", data=tiff(page_of(inks, planar=True, **ink)))
    yield cmyk(name="cmyk-lzw.tif", data=saved(RGB.convert("CMYK"), "TIFF", compression="tiff_lzw"))
    yield cmyk(name="cmyk16-planes.tif", data=tiff(page_of(inks.astype(np.uint16) * 257, planar=True, **ink)))
    yield cmyk(name="cmyk16.tif", data=tiff(page_of(inks.astype(np.uint16) * 257, **ink)))


def bmps() -> Iterator[Entry]:
    upward = SOFT[::-1]
    for mode in ("1", "L", "P", "RGB", "RGBA"):
        picture = RGBA if mode == "RGBA" else RGB.convert(mode)
        yield _Entry(kind="bmp", name=f"mode-{mode}.bmp", data=saved(picture, "BMP"))
    blue_first = np.ascontiguousarray(SOFT[..., ::-1])
    yield _Entry(kind="bmp", name="top-first.bmp", data=bmp(bmp_rows(blue_first), WIDTH, -HEIGHT, 24))
    thirds = upward.astype(np.uint16) >> np.array([3, 2, 3], np.uint16)
    packed = thirds[..., 0] << 11 | thirds[..., 1] << 5 | thirds[..., 2]
    masks = struct.pack("<III", 0xF800, 0x07E0, 0x001F)
    yield _Entry(
        kind="bmp", name="565.bmp", data=bmp(bmp_rows(packed), WIDTH, HEIGHT, 16, compression=3, between=masks)
    )
    runs = b"".join(bytes([WIDTH, row]) + b"\0\0" for row in range(HEIGHT)) + b"\0\1"
    palette = b"".join(bytes([n, n // 2, 255 - n, 0]) for n in range(256))
    yield _Entry(kind="bmp", name="runs.bmp", data=bmp(runs, WIDTH, HEIGHT, 8, compression=1, between=palette))


def gifs() -> Iterator[Entry]:
    yield _Entry(kind="gif", name="plain.gif", data=saved(RGB, "GIF"))
    yield _Entry(kind="gif", name="gray.gif", data=saved(GRAY, "GIF"))
    yield _Entry(kind="gif", name="interlaced.gif", data=saved(RGB, "GIF", interlace=1))
    yield _Entry(kind="gif", name="transparent.gif", data=saved(RGB.quantize(16), "GIF", transparency=3))
    smaller = bytearray(saved(RGB, "GIF"))  # the first frame covers a part of the canvas only
    smaller[6:10] = struct.pack("<HH", WIDTH + 20, HEIGHT + 10)
    at = smaller.index(b",\0\0\0\0" + struct.pack("<HH", WIDTH, HEIGHT))
    smaller[at + 1 : at + 5] = struct.pack("<HH", 9, 5)
    yield Entry(kind="gif", name="part-of-canvas.gif", data=bytes(smaller), size=(HEIGHT + 10, WIDTH + 20))
    for disposal in range(5):
        data = animated("GIF", disposal=min(disposal, 3), optimize=disposal == 4)
        yield _Entry(kind="gif-animated", name=f"disposal-{disposal}.gif", data=data, word=ANIMATION)
