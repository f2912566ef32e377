"""Files that are no pictures for this program, and are refused by their own name."""

from __future__ import annotations

import gzip
import struct
import time
import zipfile
from collections.abc import Iterator
from functools import partial
from io import BytesIO

import numpy as np

from tests.corpus.entry import Entry
from tests.corpus.pictures import RGB, SOFT
from tests.corpus.tiff_maker import ASCII, BYTE, LONG, SHORT, Page, page_of, tiff
from tests.images.made_files import noise, saved

_Refused = partial(Entry, expect="refusal")
_JUNK = noise((3000,)).tobytes()
_CFA, _LINEAR_RAW = 32803, 34892


def entries() -> Iterator[Entry]:
    """Every file of a kind that is not read."""
    for made in (drawings, documents, tables, raws, others):
        yield from made()


def drawings() -> Iterator[Entry]:
    svg = partial(_Refused, kind="svg", word="SVG")
    body = "<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'><script>alert(1)</script></svg>"
    yield svg(name="plain.svg", data=body.encode())
    yield svg(name="declared.svg", data=b"<?xml version='1.0'?>\n<!DOCTYPE svg>\n<!-- x -->\n" + body.encode())
    yield svg(name="marked.svg", data=b"\xef\xbb\xbf" + body.encode())
    yield svg(name="wide.svg", data=body.encode("utf-16"))
    yield svg(name="svg-called-png.png", data=b"\n\n  " + body.encode())
    talkative = b"<?xml version='1.0'?><!--" + b"x" * 20_000 + b"-->"
    yield svg(name="long-comment.svg", data=talkative + body.encode())
    yield svg(name="prefixed.svg", data=b"<svg:svg xmlns:svg='http://www.w3.org/2000/svg'/>")
    yield svg(name="zipped.svgz", data=gzip.compress(body.encode(), mtime=0), word="gzip")
    eps = partial(_Refused, kind="eps", word="PostScript")
    yield eps(name="plain.eps", data=b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n")
    yield eps(name="plain.ps", data=b"%!PS\n(x) show\n")
    yield eps(name="with-preview.eps", data=b"\xc5\xd0\xd3\xc6" + struct.pack("<IIII", 30, 40, 70, 90) + _JUNK)
    yield eps(name="from-pillow.eps", data=saved(RGB, "EPS"))
    yield eps(name="eps-called-jpg.jpg", data=b"%!PS-Adobe-2.0 EPSF-1.2\n%%BoundingBox: 0 0 9000000 9000000\n")


def documents() -> Iterator[Entry]:
    pdf = partial(_Refused, kind="pdf", word="PDF")
    document = saved(RGB, "PDF", creationDate=time.gmtime(0), modDate=time.gmtime(0))
    yield pdf(name="from-pillow.pdf", data=document)
    yield pdf(name="head-only.pdf", data=b"%PDF-1.7\n")
    yield pdf(name="version-2.pdf", data=b"%PDF-2.0\n%\xe2\xe3\xcf\xd3\n" + _JUNK)
    yield pdf(name="pdf-called-png.png", data=document)
    yield pdf(name="behind-junk.pdf", data=b"\r\n\r\n" + document)


def tables() -> Iterator[Entry]:
    fits = partial(_Refused, kind="fits", word="FITS")
    cards = ["SIMPLE  =                    T", "BITPIX  =                    8", "NAXIS   =                    2"]
    for name, size in {"small": 20, "large": 4_000_000}.items():
        lines = [*cards, f"NAXIS1  = {size:20d}", f"NAXIS2  = {size:20d}", "END"]
        yield fits(name=f"{name}.fits", data="".join(f"{line:80s}" for line in lines).encode().ljust(2880) + _JUNK)
    yield fits(name="head.fits", data=f"{cards[0]:80s}".encode())
    yield fits(name="head.fit", data=f"{cards[0]:80s}{cards[1]:80s}".encode())
    yield fits(name="fits-called-tif.tif", data="".join(f"{line:80s}" for line in cards).encode().ljust(2880))


def raws() -> Iterator[Entry]:
    """Camera raw: most of them are TIFFs whose first page is a stamp-sized preview."""
    raw = partial(_Refused, kind="raw", word="raw")
    sensor = noise((24, 32, 1), np.uint16)
    cfa = page_of(sensor, t262=(SHORT, [_CFA]), t33421=(SHORT, [2, 2]), t33422=(BYTE, [0, 1, 1, 2]))
    linear = page_of(noise((24, 32, 3), np.uint16), t262=(SHORT, [_LINEAR_RAW]))
    for name, maker, below in (
        ("nikon.nef", b"NIKON CORPORATION\0", cfa), ("sony.arw", b"SONY\0", cfa), ("samsung.srw", b"SAMSUNG\0", cfa),
        ("linear.tif", b"Maker\0", linear),
    ):  # fmt: skip
        yield raw(name=name, data=tiff(_stamp(maker, below)))
        yield raw(name=f"big-endian-{name}", data=tiff(_stamp(maker, below, ">"), order=">"))
    dng = _stamp(b"Maker\0", cfa)
    dng.tags[50706] = (BYTE, [1, 4, 0, 0])
    yield raw(name="adobe.dng", data=tiff(dng))
    yield raw(name="pentax.pef", data=tiff(Page(cfa.tags | {271: (ASCII, b"PENTAX\0")}, cfa.pieces)))
    yield raw(name="second-page.tif", data=tiff(_stamp(b"Maker\0"), cfa))
    jpeg = saved(RGB, "JPEG")
    old = Page(
        {254: (LONG, [1]), 259: (SHORT, [6]), 513: (LONG, [8]), 514: (LONG, [len(jpeg)]), 271: (ASCII, b"SONY\0")}
    )
    old.below = [cfa]
    yield raw(name="jpeg-stamp.arw", data=tiff(old))
    yield raw(name="canon.cr2", data=b"II*\0\x10\0\0\0CR\x02\0" + tiff(_stamp(b"Canon\0"))[12:])
    yield raw(name="canon.cr3", data=b"\0\0\0\x18ftypcrx \0\0\0\1crx isom" + _JUNK)
    yield raw(name="canon.crw", data=b"II\x1a\0\0\0HEAPCCDR" + _JUNK)
    yield raw(name="olympus.orf", data=b"IIRO" + _JUNK)
    yield raw(name="olympus-2.orf", data=b"IIRS" + _JUNK)
    yield raw(name="olympus-3.orf", data=b"MMOR" + _JUNK)
    yield raw(name="panasonic.rw2", data=b"IIU\0" + _JUNK)
    yield raw(name="fuji.raf", data=b"FUJIFILMCCD-RAW 0201" + _JUNK)
    yield raw(name="sigma.x3f", data=b"FOVb" + _JUNK)
    yield raw(name="minolta.mrw", data=b"\0MRM" + _JUNK)
    yield raw(name="phase-one.iiq", data=b"II*\0\x10\0\0\0IIII" + tiff(_stamp(b"Phase One\0"))[12:])


def _stamp(maker: bytes, below: Page | None = None, order: str = "<") -> Page:
    """A preview as raw files begin with."""
    page = page_of(np.ascontiguousarray(SOFT[:16, :24]), order=order, t254=(LONG, [1]), t271=(ASCII, maker))
    page.below = [below] if below else []
    return page


def others() -> Iterator[Entry]:
    other = partial(_Refused, kind="other-pictures")
    yield other(name="photoshop.psd", data=b"8BPS\0\1" + bytes(6) + _JUNK, word="Photoshop")
    yield other(name="photoshop.psb", data=b"8BPS\0\2" + bytes(6) + _JUNK, word="Photoshop")
    yield other(name="bare.jxl", data=b"\xff\x0a\xfa\x1f" + _JUNK, word="JPEG XL")
    yield other(name="boxed.jxl", data=b"\0\0\0\x0cJXL \r\n\x87\n" + _JUNK, word="JPEG XL")
    yield other(name="from-pillow.jp2", data=saved(RGB, "JPEG2000"), word="JPEG 2000")
    yield other(name="bare.j2k", data=saved(RGB, "JPEG2000", no_jp2=True), word="JPEG 2000")
    yield other(name="windows.ico", data=saved(RGB, "ICO"), word="icon")
    yield other(name="apple.icns", data=b"icns" + struct.pack(">I", 3008) + _JUNK, word="icon")
    yield other(name="cursor.cur", data=b"\0\0\2\0\1\0" + _JUNK, word="cursor")
    yield other(name="placeable.wmf", data=b"\xd7\xcd\xc6\x9a" + _JUNK, word="Windows metafile")
    yield other(
        name="metafile.emf",
        data=struct.pack("<IIiiiiiiii", 1, 108, *range(8)) + b" EMF" + _JUNK,
        word="Windows metafile",
    )
    yield other(name="from-pillow.ppm", data=saved(RGB, "PPM"), word="PNM")
    yield other(name="high-range.exr", data=b"\x76\x2f\x31\x01" + _JUNK, word="OpenEXR")
    yield other(name="radiance.hdr", data=b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 9 +X 9\n" + _JUNK, word="Radiance")
    yield other(name="from-pillow.dds", data=saved(RGB, "DDS"), word="DDS")
    yield other(name="free.qoi", data=b"qoif" + struct.pack(">IIBB", 9, 9, 3, 0) + _JUNK, word="QOI")
    yield other(name="gimp.xcf", data=b"gimp xcf v011\0" + _JUNK, word="GIMP")
    yield other(name="deja.djvu", data=b"AT&TFORM" + struct.pack(">I", 3000) + b"DJVU" + _JUNK, word="DjVu")
    for name, head, word in (
        ("extended.jxr", b"II\xbc\x01", "JPEG XR"), ("better.bpg", b"BPG\xfb", "BPG"), ("free.flif", b"FLIF", "FLIF"),
        ("scan.dcm", bytes(128) + b"DICM", "DICOM"), ("film.mng", b"\x8aMNG\r\n\x1a\n", "MNG"),
        ("graphics.sgi", b"\x01\xda\x01\x01", "SGI"), ("sun.ras", b"\x59\xa6\x6a\x95", "Sun"),
        ("texture.ktx", b"\xabKTX 11\xbb\r\n\x1a\n", "KTX"), ("array.npy", b"\x93NUMPY\1\0", "NumPy"),
    ):  # fmt: skip
        yield other(name=name, data=head + _JUNK, word=word)
    no_picture = partial(_Refused, kind="no-picture")
    yield no_picture(name="text.txt", data=b"hello, this is a text called picture.png", word="text")
    yield no_picture(name="page.html", data=b"<!DOCTYPE html><html><script>alert(1)</script></html>", word="text")
    yield no_picture(name="noise.bin", data=bytes(range(200, 256)) + _JUNK, word="not a picture")
    yield no_picture(name="zeros.jpg", data=bytes(5000), word="not a picture")
    yield no_picture(name="film.mp4", data=b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + _JUNK, word="video")
    yield no_picture(name="film.mkv", data=b"\x1aE\xdf\xa3" + _JUNK, word="video")
    yield no_picture(name="sound.wav", data=b"RIFF\x24\x0b\0\0WAVEfmt " + _JUNK, word="not a picture")
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(zipfile.ZipInfo("photo.jpg"), saved(RGB, "JPEG"))
    yield no_picture(name="photos.zip", data=stream.getvalue(), word="zip")
    yield no_picture(name="weights.pkl", data=b"\x80\x04cos\nsystem\n(S'true'\ntR.", word="not a picture")
