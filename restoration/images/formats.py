"""What kind of file it is, decided by its first bytes alone: an allowlist, and one sentence for everything else.

Knows nothing of decoding; the file's ending is never looked at.
"""

from __future__ import annotations

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
_CANON_RAW = b"CR"  # at byte 8 of what is otherwise a TIFF
_BMP_HEADER_SIZES = (12, 16, 40, 52, 56, 64, 108, 124)
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
    (b"\x76\x2f\x31\x01", "an OpenEXR picture"),
    (b"FUJIFILMCCD-RAW", "a camera raw file"),
    (b"IIRO", "a camera raw file"),
    (b"IIU\x00", "a camera raw file"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\x1aE\xdf\xa3", "a video"),
)


def identify(data: bytes) -> str:
    """The format of a file, one of READABLE.

    Args:
        data: the whole file or at least its first 4096 bytes.

    Raises:
        ImageFileError: it is empty, or not one of the formats read here.
    """
    if not data:
        raise ImageFileError("The file is empty.")
    found = _readable(data)
    if found is None:
        raise ImageFileError(f"The file is {_describe(data)}; {_READS}.")
    return found


def _readable(data: bytes) -> str | None:
    for start, format_name in _STARTS:
        if data.startswith(start):
            return None if format_name == "TIFF" and data[8:10] == _CANON_RAW else format_name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[:2] == b"BM" and int.from_bytes(data[14:18], "little") in _BMP_HEADER_SIZES:
        return "BMP"
    return _iso_media(data)


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
    if data[:2] in (b"II", b"MM") and data[8:10] == _CANON_RAW:
        return "a camera raw file"
    head = data[:4096].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith((b"<svg", b"<?xml", b"<!doctype", b"<!--")) and b"<svg" in head:
        return "an SVG drawing"
    return "text, not a picture" if _is_text(data[:4096]) else "not a picture of a kind known here"


def _is_text(head: bytes) -> bool:
    return not any(byte < 9 or 13 < byte < 27 or 27 < byte < 32 for byte in head)
