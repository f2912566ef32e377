"""What kind of file it is, decided by its first bytes alone: an allowlist, and one sentence for everything else.

Knows nothing of decoding; the file's ending is never looked at.
"""

from __future__ import annotations

from collections.abc import Iterator

from restoration.errors import ImageFileError

READABLE = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "HEIF")

_READS = "this program reads JPEG, PNG, WebP, TIFF, BMP, GIF, AVIF and HEIC"
_STARTS = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
)
_TIFF_LIKE_RAW = (b"CR", b"IIII", b"MMMM")  # Canon and Phase One, at byte 8 of what is otherwise a TIFF
_BMP_HEADER_SIZES = (12, 16, 40, 52, 56, 64, 108, 124)
_TEXT_BYTES = 65_536  # searched for what a text is
_FRAMES = (0xC0, 0xC1, 0xC2, 0xC9, 0xCA)  # JPEG's kinds of frames: baseline, extended, progressive, arithmetic
_LOSSLESS_FRAMES = (0xC3, 0xCB, 0xF7)  # the last one is JPEG-LS
_BARE = (0xC8, *range(0xD0, 0xDA), *range(0xF0, 0xFE))  # markers without a segment
_MOST_PARTS = 100_000  # segments of a JPEG before its pixels, and bytes between them
_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs", b"mif1", b"msf1")
_AVIF_BRANDS = (b"avif", b"avis")

# first bytes -> what people call it
_REFUSED = (
    (b"%PDF", "a PDF document"),
    (b"%!PS", "a PostScript drawing"),
    (b"\xc5\xd0\xd3\xc6", "a PostScript drawing"),
    (b"SIMPLE  =", "a FITS file"),
    (b"8BPS", "a Photoshop document"),
    (b"\xff\x0a", "a JPEG XL picture"),
    (b"\x00\x00\x00\x0cJXL ", "a JPEG XL picture"),
    (b"\x00\x00\x00\x0cjP  ", "a JPEG 2000 picture"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 picture"),
    (b"\x00\x00\x01\x00", "an icon"),
    (b"icns", "an icon"),
    (b"\x00\x00\x02\x00", "a cursor"),
    (b"\xd7\xcd\xc6\x9a", "a Windows metafile"),
    (b"#?RADIANCE", "a Radiance picture"),
    (b"#?RGBE", "a Radiance picture"),
    (b"DDS ", "a DDS texture"),
    (b"qoif", "a QOI picture"),
    (b"gimp xcf", "a GIMP drawing"),
    (b"AT&TFORM", "a DjVu document"),
    (b"\x76\x2f\x31\x01", "an OpenEXR picture"),
    (b"FUJIFILMCCD-RAW", "a camera raw file"),
    (b"IIRO", "a camera raw file"),
    (b"IIRS", "a camera raw file"),
    (b"MMOR", "a camera raw file"),
    (b"IIU\x00", "a camera raw file"),
    (b"II\x1a\0\0\0HEAPCCDR", "a camera raw file"),
    (b"FOVb", "a camera raw file"),
    (b"\0MRM", "a camera raw file"),
    (b"II\xbc\x01", "a JPEG XR picture"),
    (b"BPG\xfb", "a BPG picture"),
    (b"FLIF", "a FLIF picture"),
    (b"\x8aMNG\r\n", "an MNG animation"),
    (b"\x8bJNG\r\n", "a JNG picture"),
    (b"\x01\xda\x00", "an SGI picture"),
    (b"\x01\xda\x01", "an SGI picture"),
    (b"\x59\xa6\x6a\x95", "a Sun raster picture"),
    (b"\xabKTX ", "a KTX texture"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!\x1a", "a RAR archive"),
    (b"\x1aE\xdf\xa3", "a video"),
)


def identify(data: bytes) -> str:
    """The format of a file, one of READABLE.

    Args:
        data: the whole file or at least its first 4096 bytes.

    Raises:
        ImageFileError: it is empty, not one of the formats read here, or a JPEG in too many parts.
    """
    if not data:
        raise ImageFileError("The file is empty.")
    found = _readable(data)
    rare = _rare_jpeg(data) if found == "JPEG" else ""
    if rare:
        raise ImageFileError(f"The file is {rare}; {_READS}.")
    if found is None:
        raise ImageFileError(f"The file is {_describe(data)}; {_READS}.")
    return found


def is_lossless_webp(data: bytes) -> bool:
    """Whether the (first) picture of a WebP was encoded without loss; False for other formats."""
    at = 12
    while data[:4] == b"RIFF" and at + 8 <= len(data):
        kind, length = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if kind in (b"VP8 ", b"VP8L"):
            return kind == b"VP8L"
        at += 24 if kind == b"ANMF" else 8 + length + length % 2
    return False


def _readable(data: bytes) -> str | None:
    for start, format_name in _STARTS:
        if data.startswith(start):
            return None if format_name == "TIFF" and _is_raw(data) else format_name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[:2] == b"BM" and int.from_bytes(data[14:18], "little") in _BMP_HEADER_SIZES:
        return "BMP"
    return _iso_media(data)


def _rare_jpeg(data: bytes) -> str:
    """What kind of JPEG it is when it is one that no reader here knows; "" for all others (ITU-T T.81, table B.1).

    Raises:
        ImageFileError: there is more before the pixels than in any photograph.
    """
    kind: str | None = None  # by the first frame
    for at, marker in _markers(data):
        if kind is None and marker in _LOSSLESS_FRAMES:
            kind = "a lossless JPEG"
        elif kind is None and marker in _FRAMES:
            kind = "a JPEG of 12 bits per channel" if data[at + 4 : at + 5] == b"\x0c" else ""
    return kind or ""


def _markers(data: bytes) -> Iterator[tuple[int, int]]:
    """Where each marker of a JPEG stands, and which, up to its pixels; what lies between is passed over, as by Pillow.

    Raises ImageFileError when they are too many: each costs a reader time.
    """
    at = 2
    for _ in range(_MOST_PARTS):
        if at + 1 >= len(data):
            return
        marker = data[at + 1]
        if data[at] != 0xFF or marker == 0xFF:  # a byte without meaning, or a filling one
            at += 1
        elif marker == 0:
            at += 2
        else:
            yield at, marker
            if marker == 0xDA:
                return
            at += 2 if marker in _BARE else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    raise ImageFileError(f"The JPEG has more than {_MOST_PARTS:,} parts before its pixels, which is the limit.")


def _iso_media(data: bytes) -> str | None:
    """AVIF or HEIF out of the brands of an ISO base media file (ISO/IEC 14496-12, `ftyp` box)."""
    if data[4:8] != b"ftyp":
        return None
    end = min(int.from_bytes(data[:4], "big"), 512)
    brands = [data[8:12], *(data[at : at + 4] for at in range(16, end - 3, 4))]
    if any(brand in _AVIF_BRANDS for brand in brands):
        return "AVIF"
    return "HEIF" if any(brand in _HEIF_BRANDS for brand in brands) else None


def _describe(data: bytes) -> str:
    for start, title in _REFUSED:
        if data.startswith(start):
            return title
    if data[4:8] == b"ftyp":
        return "a camera raw file" if data[8:11] == b"crx" else "a video"
    if data[:2] in (b"II", b"MM") and _is_raw(data):
        return "a camera raw file"
    if data[:4] == b"\1\0\0\0" and data[40:44] == b" EMF":
        return "a Windows metafile"
    if data[:1] == b"P" and data[1:2] in b"1234567" and data[2:3].isspace():
        return "a PNM picture"
    return "a DICOM file" if data[128:132] == b"DICM" else _described_text(data[:_TEXT_BYTES])


def _described_text(head: bytes) -> str:
    """What files of text are, and those that may begin with something else."""
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):  # UTF-16
        head = head.decode("utf-16", "replace").encode()
    head = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith((b"<svg", b"<?xml", b"<!doctype", b"<!--")) and b"<svg" in head:
        return "an SVG drawing"
    if b"%pdf-" in head[:1024]:
        return "a PDF document"
    return "text, not a picture" if _is_text(head) else "not a picture of a kind known here"


def _is_raw(tiff: bytes) -> bool:
    return tiff[8:].startswith(_TIFF_LIKE_RAW)


def _is_text(head: bytes) -> bool:
    return not any(byte < 9 or 13 < byte < 27 or 27 < byte < 32 for byte in head)
