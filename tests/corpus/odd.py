"""Valid files with something odd about them: turned, oddly coloured, thin, oddly named, with broken metadata."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from functools import partial

import numpy as np
from PIL import Image

from tests.corpus.entry import Entry
from tests.corpus.pictures import DEEP, DEEP_ALPHA, GRAY, RGB, RGBA, SIZE, SOFT, avif, deep_avif, heic
from tests.corpus.png_maker import GRAY as G
from tests.corpus.png_maker import GRAY_ALPHA, png
from tests.corpus.png_maker import RGB as C
from tests.corpus.png_maker import RGBA as CA
from tests.corpus.tiff_maker import SHORT, UNDEFINED, page_of, tiff
from tests.corpus.turned import turned_heics
from tests.images.made_files import (
    ADOBE_RGB,
    chunk,
    cmyk_icc,
    display_p3,
    exif_with,
    gamma_curve,
    gray_icc,
    matrix_icc,
    noise,
    rgb_table_icc,
    saved,
    without_adobe,
)  # fmt: skip

_Entry = partial(Entry, size=SIZE)
_ADOBE = matrix_icc(ADOBE_RGB, gamma_curve(2.2), title="Adobe RGB (1998)")
ICC = "profile"  # what the note about an ignored colour profile says


def entries() -> Iterator[Entry]:
    """Every odd file."""
    for made in (
        turned,
        broken_exif,
        profiles,
        wrong_profiles,
        grays,
        transparent,
        thin,
        resolutions,
        telling,
        named,
        trailing,
    ):
        yield from made()


def turned() -> Iterator[Entry]:
    for value in range(1, 9):
        exif = exif_with(orientation=value)
        size = SIZE if value < 5 else SIZE[::-1]
        entry = partial(Entry, kind="orientation", size=size)
        yield entry(name=f"turned-{value}.jpg", data=saved(RGB, "JPEG", quality=90, exif=exif))
        yield entry(name=f"turned-{value}.png", data=saved(RGB, "PNG", exif=exif))
        yield entry(name=f"turned-{value}-16bit.png", data=png(DEEP, 16, C, chunk(b"eXIf", exif[6:])))
        yield entry(name=f"turned-{value}.webp", data=saved(RGB, "WEBP", lossless=True, exif=exif))
        yield entry(name=f"turned-{value}.avif", data=avif(exif=exif))
        yield entry(name=f"turned-{value}.heic", data=heic(exif=exif))
        yield entry(name=f"turned-{value}.tif", data=tiff(page_of(SOFT, t274=(SHORT, [value]))))
        yield entry(name=f"turned-{value}-16bit.tif", data=tiff(page_of(DEEP, t274=(SHORT, [value]))))
        for name, data, upright in turned_heics(value):
            yield Entry(kind="orientation", name=name, data=data, size=upright)
        late = chunk(b"eXIf", exif[6:]) + chunk(b"IEND", b"")
        yield entry(name=f"turned-{value}-late.png", data=png(SOFT, 8, C)[:-12] + late)
        yield entry(name=f"turned-{value}-10bit.avif", data=deep_avif(exif=exif))
    xmp = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    yield Entry(kind="orientation", name="turned-by-xmp.jpg", data=saved(RGB, "JPEG", xmp=xmp), size=SIZE[::-1])


def with_exif(block: bytes) -> bytes:
    """A JPEG with an APP1 segment right after its start."""
    jpeg = saved(RGB, "JPEG", quality=90)
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + jpeg[2:]


def broken_exif() -> Iterator[Entry]:
    good = exif_with()
    looped = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<HHHII", 1, 0x8769, 4, 1, 8) + struct.pack("<I", 8)
    many = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", 5000) + noise((60_000,)).tobytes()
    blocks = {
        "empty": b"Exif\0\0", "garbage": b"Exif\0\0garbage that is no directory at all",
        "far-offset": b"Exif\0\0II*\0\xff\xff\xff\x7f", "many-tags": b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + bytes(40),
        "cut": good[:60], "overwritten": good[:90] + b"\xff" * 60, "looped": looped, "random-tags": many,
        "half-marker": b"Exif\0", "wrong-order": b"Exif\0\0MM*\0\x08\0\0\0" + good[14:],
    }  # fmt: skip
    for name, block in blocks.items():
        yield _Entry(kind="exif-broken", name=f"exif-{name}.jpg", data=with_exif(block))
    for name in ("garbage", "cut", "looped"):
        yield _Entry(
            kind="exif-broken", name=f"exif-{name}.png", data=png(SOFT, 8, C, chunk(b"eXIf", blocks[name][6:]))
        )
        yield _Entry(kind="exif-broken", name=f"exif-{name}.webp", data=saved(RGB, "WEBP", exif=blocks[name]))
    for value in (0, 9, 77, 65535):
        data = saved(RGB, "JPEG", exif=exif_with(orientation=value))
        yield _Entry(kind="exif-broken", name=f"exif-orientation-{value}.jpg", data=data)


def profiles() -> Iterator[Entry]:
    for title, icc in {"Display P3": display_p3(), "Adobe RGB": _ADOBE, "Table Space": rgb_table_icc()}.items():
        entry, name = partial(_Entry, kind="icc-wide", word=title), title.lower().replace(" ", "-")
        yield entry(name=f"{name}.jpg", data=saved(RGB, "JPEG", quality=95, icc_profile=icc))
        yield entry(name=f"{name}.png", data=saved(RGB, "PNG", icc_profile=icc))
        yield entry(name=f"{name}-alpha.png", data=saved(RGBA, "PNG", icc_profile=icc))
        yield entry(name=f"{name}-16bit.png", data=png(DEEP, 16, C, _iccp(icc)))
        yield entry(name=f"{name}.webp", data=saved(RGB, "WEBP", icc_profile=icc))
        yield entry(name=f"{name}.avif", data=avif(icc_profile=icc))
        yield entry(name=f"{name}.heic", data=heic(icc_profile=icc))
        yield entry(name=f"{name}-16bit.tif", data=tiff(page_of(DEEP, t34675=(UNDEFINED, icc))))
    inks = RGB.convert("CMYK")
    entry = partial(_Entry, kind="icc-cmyk", word="Grey Ink")
    yield entry(name="inks.jpg", data=saved(inks, "JPEG", quality=95, icc_profile=cmyk_icc()))
    yield entry(name="inks-plain.jpg", data=without_adobe(saved(inks, "JPEG", quality=95, icc_profile=cmyk_icc())))
    yield entry(name="inks-progressive.jpg", data=saved(inks, "JPEG", progressive=True, icc_profile=cmyk_icc()))
    for compression in ("raw", "tiff_lzw"):
        data = saved(inks, "TIFF", compression=compression, icc_profile=cmyk_icc())
        yield entry(name=f"inks-{compression}.tif", data=data)


def _iccp(icc: bytes) -> bytes:
    return chunk(b"iCCP", b"profile\0\0" + zlib.compress(icc))


def wrong_profiles() -> Iterator[Entry]:
    broken = {
        "no-profile": b"no profile", "zeros": bytes(500), "cut": display_p3()[:200],
        "overwritten": display_p3()[:140] + b"\xff" * 300, "space-unknown": display_p3().replace(b"RGB ", b"R\xffB "),
        "huge-tag": display_p3().replace(b"rTRC", b"rTRC\xff\xff\xff\xff")[: len(display_p3())],
    }  # fmt: skip
    for name, icc in broken.items():
        yield _Entry(kind="icc-broken", name=f"icc-{name}.tif", data=saved(RGB, "TIFF", icc_profile=icc), word=ICC)
        yield _Entry(kind="icc-broken", name=f"icc-{name}.png", data=png(SOFT, 8, C, _iccp(icc)), word=ICC)
    for name, icc in {"gray": gray_icc(), "inks": cmyk_icc()}.items():
        entry = partial(_Entry, kind="icc-wrong-space", word=ICC)
        yield entry(name=f"icc-{name}-in-rgb.jpg", data=saved(RGB, "JPEG", icc_profile=icc))
        yield entry(name=f"icc-{name}-in-rgb.png", data=saved(RGB, "PNG", icc_profile=icc))
        yield entry(name=f"icc-{name}-in-rgb.tif", data=saved(RGB, "TIFF", icc_profile=icc))
    yield _Entry(kind="icc-wrong-space", name="icc-rgb-in-cmyk.jpg", word=ICC,
                 data=saved(RGB.convert("CMYK"), "JPEG", icc_profile=display_p3()))  # fmt: skip
    huge = partial(_Entry, kind="icc-huge")
    middling, enormous = display_p3() + bytes(1_500_000), display_p3() + bytes(9_000_000)
    for name, icc, word in (("middling", middling, ""), ("enormous", enormous, ICC)):
        huge_png = png(SOFT, 8, C, _iccp(icc))
        yield huge(name=f"icc-{name}.png", data=huge_png, word=word)
        yield huge(name=f"icc-{name}.tif", data=tiff(page_of(SOFT, t34675=(UNDEFINED, icc[:2_500_000]))))
    random = display_p3() + noise((1_200_000,)).tobytes()
    yield huge(name="icc-many-segments.jpg", data=saved(RGB, "JPEG", icc_profile=random))
    yield huge(name="icc-many-segments.webp", data=saved(RGB, "WEBP", icc_profile=random))
    yield huge(name="icc-large.heic", data=heic(icc_profile=random))


def grays() -> Iterator[Entry]:
    print_ = np.repeat(np.asarray(GRAY)[..., None], 3, axis=2)  # a black-and-white photo stored in colour
    for format, ending in {"JPEG": "jpg", "PNG": "png", "WEBP": "webp", "TIFF": "tif", "AVIF": "avif"}.items():
        options = {"lossless": True} if format == "WEBP" else {}
        data = saved(Image.fromarray(print_), format, **options)
        yield _Entry(kind="black-and-white", name=f"black-and-white.{ending}", data=data)
        if format not in ("WEBP", "AVIF"):  # those know no gray
            yield _Entry(kind="gray", name=f"one-channel.{ending}", data=saved(GRAY, format))
    yield _Entry(kind="gray", name="gray-profile.png", data=saved(GRAY, "PNG", icc_profile=gray_icc()))
    yield _Entry(kind="gray", name="gray-profile.jpg", data=saved(GRAY, "JPEG", icc_profile=gray_icc()))
    yield _Entry(kind="gray", name="gray-colour-profile.png", data=saved(GRAY, "PNG", icc_profile=display_p3()))
    yield _Entry(kind="gray", name="gray16-profile.png", data=png(DEEP[..., :1], 16, G, _iccp(gray_icc())))


def transparent() -> Iterator[Entry]:
    """Bright colours under full transparency, which must not show at the edge of a dark shape."""
    color = np.full((*SIZE, 3), (255, 0, 255), np.uint8)
    alpha = np.zeros(SIZE, np.uint8)
    color[10:30, 10:40], alpha[10:30, 10:40] = (20, 40, 20), 255
    cut_out = Image.fromarray(np.dstack([color, alpha]))
    entry = partial(_Entry, kind="transparent")
    yield entry(name="cut-out.png", data=saved(cut_out, "PNG"))
    yield entry(name="cut-out.webp", data=saved(cut_out, "WEBP", lossless=True, exact=True))
    yield entry(name="cut-out.tif", data=saved(cut_out, "TIFF"))
    yield entry(name="cut-out.avif", data=avif(cut_out))
    yield entry(name="cut-out.heic", data=heic(cut_out))
    yield entry(name="cut-out.gif", data=saved(cut_out.quantize(8), "GIF", transparency=0))
    yield entry(name="cut-out-16bit.png", data=png(DEEP_ALPHA, 16, CA))
    yield entry(name="cut-out-gray.png", data=png(np.dstack([alpha, alpha]), 8, GRAY_ALPHA))
    yield entry(name="all-clear.png", data=saved(Image.new("RGBA", SIZE[::-1], (9, 9, 9, 0)), "PNG"))


def thin() -> Iterator[Entry]:
    formats = {"PNG": "png", "JPEG": "jpg", "TIFF": "tif", "WEBP": "webp", "BMP": "bmp", "GIF": "gif", "AVIF": "avif"}
    for width, height in ((1, 1), (1, 5000), (8192, 1), (2, 1), (3, 3)):
        for format, ending in formats.items():
            data = saved(Image.new("RGB", (width, height), (9, 90, 200)), format)
            yield Entry(kind="thin", name=f"{width}x{height}.{ending}", data=data, size=(height, width))
    yield Entry(kind="thin", name="1x1-16bit.png", data=png(DEEP[:1, :1], 16, C), size=(1, 1))
    yield Entry(kind="thin", name="1x5000-16bit.tif", size=(5000, 1),
                data=tiff(page_of(noise((5000, 1, 3), np.uint16))))  # fmt: skip


def resolutions() -> Iterator[Entry]:
    for format, ending in {"JPEG": "jpg", "PNG": "png", "TIFF": "tif", "BMP": "bmp"}.items():
        yield _Entry(kind="dpi", name=f"dpi.{ending}", data=saved(RGB, format, dpi=(300, 150)))
    for name, values in {"zero": (0, 0), "endless": (2**31, 2**31), "one": (40, 40)}.items():
        density = chunk(b"pHYs", struct.pack(">IIB", *values, 1))
        yield _Entry(kind="dpi", name=f"dpi-{name}.png", data=png(SOFT, 8, C, density))


def telling() -> Iterator[Entry]:
    """Files that tell where they were taken, and hold a second, smaller picture."""
    exif = exif_with()
    xmp = b"<x:xmpmeta xmlns:exif='e'><rdf:Description exif:GPSLatitude='52,30.0N'/></x:xmpmeta>"
    iptc = b"Photoshop 3.0\0" + b"8BIM\x04\x04\0\0\0\0\0\x0b\x1c\x02\x5a\0\x06Berlin\0"
    jpeg = saved(RGB, "JPEG", exif=exif, xmp=xmp, comment=b"taken at home")
    iptc_segment = b"\xff\xed" + struct.pack(">H", len(iptc) + 2) + iptc
    entry = partial(_Entry, kind="place-and-thumbnail")
    yield entry(name="place.jpg", data=jpeg)
    yield entry(name="place-iptc.jpg", data=jpeg[:2] + iptc_segment + jpeg[2:])
    yield entry(name="place.png", data=saved(RGB, "PNG", exif=exif))
    yield entry(name="place.webp", data=saved(RGB, "WEBP", exif=exif, xmp=xmp))
    yield entry(name="place.avif", data=avif(exif=exif, xmp=xmp))
    yield entry(name="place.heic", data=heic(exif=exif, xmp=xmp))
    yield entry(name="place.tif", data=saved(RGB, "TIFF", exif=exif))


def named() -> Iterator[Entry]:
    """Names that a file system takes and that nobody should believe."""
    data = saved(RGB, "JPEG")
    names = (
        "new\nline.jpg", "bell\x07.jpg", "-rf.jpg", "ferien ☀ 写真.jpg", "left\u202egpj.exe.jpg", "..jpg",
        "x" * 240 + ".jpg",
        "$(touch x);`id`.jpg", "<img src=x onerror=alert(1)>.jpg", "con.jpg", "no-ending", ".jpg",
        "two.tar.gz.jpg", "%2e%2e%2f.jpg",
        "quote'\"s.jpg", "a\\b.jpg",
    )  # fmt: skip
    for name in names:
        yield _Entry(kind="name", name=name, data=data)


def trailing() -> Iterator[Entry]:
    """Something more behind the picture, as phones (motion pictures) and careless programs leave it."""
    for format, ending in {
        "JPEG": "jpg",
        "PNG": "png",
        "WEBP": "webp",
        "GIF": "gif",
        "BMP": "bmp",
        "TIFF": "tif",
    }.items():
        data = saved(RGB, format) + b"\0\0\0\x18ftypmp42" + noise((2000,)).tobytes()
        yield _Entry(kind="trailing-bytes", name=f"trailing.{ending}", data=data)
