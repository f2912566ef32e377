"""Reading takes the pixels' memory once beside the decoder's; a large photo need not be kept for its preview."""

import subprocess
import sys
import tracemalloc
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from restoration.images import color, preview
from restoration.images.document import ImageDocument
from restoration.images.preview import preview_size, reduced, write_preview
from restoration.images.reading import read_image


@pytest.mark.parametrize("shape", [(1, 1, 3), (255, 7, 3), (256, 30, 3), (1000, 77, 3), (513, 200)])
def test_pixels_are_copied_band_by_band_as_they_are(shape):
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    copied = color._array(Image.fromarray(pixels))
    assert copied.shape == (*shape[:2], 3 if len(shape) == 3 else 1)
    assert (copied.reshape(shape) == pixels).all()
    assert copied.flags.writeable


def test_reading_a_jpeg_takes_its_pixels_once(tmp_path):
    """Pillow's own picture is not counted here: it is no memory of Python's."""
    path, size = tmp_path / "large.jpg", 3000 * 2000 * 3
    Image.new("RGB", (3000, 2000), (90, 120, 200)).save(path)
    content = path.read_bytes()
    tracemalloc.start()
    try:
        read_image(content)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size < peak < 1.6 * size  # the rest: one band, as bytes and as pixels


SIDE = 3200
PEAK = """
import sys, pathlib
import cv2, pillow_heif, tifffile
from restoration.images.reading import read_image

def peak():
    words = pathlib.Path("/proc/self/status").read_text().split()
    return int(words[words.index("VmHWM:") + 1]) * 1024

path = pathlib.Path(sys.argv[1])
before = peak()
document = read_image(path)
print(document.color.dtype, document.color.shape[2], (peak() - before) / document.color[..., 0].size)
"""


def deep_file(kind: str) -> bytes:
    """One flat picture, which takes little time to pack."""
    import pillow_heif
    import tifffile

    from restoration.images.avif_encoder import encode_deep_avif
    from restoration.images.png_encoder import encode_png16

    flat = np.full((SIDE, SIDE, 3), (30_000, 20_000, 10_000), np.uint16)
    stream = BytesIO()
    if kind == "avif":
        return encode_deep_avif(flat, 10, 60)
    if kind == "png":
        return encode_png16(flat)
    if kind == "heic":
        pillow_heif.encode("RGB;16", (SIDE, SIDE), flat.tobytes(), stream, quality=50)
    elif kind == "cmyk":
        inks = flat[..., [0, 1, 2, 0]]
        tifffile.imwrite(stream, inks, compression="zlib", photometric="separated", metadata=None)
    elif kind == "gray float64":
        tifffile.imwrite(stream, flat[..., :1].astype(np.float64), compression="zlib", photometric="minisblack")
    else:
        tifffile.imwrite(stream, flat.astype(np.uint32) * 70_000, compression="zlib", photometric="rgb", metadata=None)
    return stream.getvalue()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize(
    ("kind", "megabytes", "read_as"),
    [
        ("avif", 24, "uint16 3"),  # of which OpenCV's decoder alone takes 22
        ("heic", 20, "uint16 3"),
        ("png", 20, "uint16 3"),
        ("uint32", 30, "uint16 3"),
        ("gray float64", 20, "float32 1"),
        ("cmyk", 14, "uint8 3"),
    ],
)
def test_deep_files_take_no_more_memory_than_they_must(kind, megabytes, read_as, tmp_path):
    """Megabytes for each megapixel, of the whole process."""
    path = tmp_path / "large"
    path.write_bytes(deep_file(kind))
    ran = subprocess.run([sys.executable, "-c", PEAK, str(path)], capture_output=True, text=True, check=True)
    *described, taken = ran.stdout.split()
    assert " ".join(described) == read_as
    assert 2 < float(taken) < megabytes


def large(alpha: bool) -> ImageDocument:
    y, x = np.mgrid[:300, :700]
    pixels = np.stack([x % 256, y % 256, (x + y) % 256], axis=-1).astype(np.uint8)
    return ImageDocument(color=pixels, alpha=(x % 200 + 50).astype(np.uint8) if alpha else None)


@pytest.mark.parametrize("alpha", [False, True])
def test_a_preview_of_the_reduced_document_is_that_of_the_document(tmp_path, alpha):
    document = large(alpha)
    size = preview_size(document, 100)
    small = reduced(document, size)
    assert (small.height, small.width) == size == (43, 100)
    own, its = (write_preview(each, tmp_path / name, size=size) for each, name in ((document, "a"), (small, "b")))
    with Image.open(own) as one, Image.open(its) as other:
        assert one.size == other.size == (100, 43)
        assert one.mode == other.mode
        difference = np.abs(np.asarray(one, np.int16) - np.asarray(other, np.int16))
    assert difference.max() <= (6 if alpha else 2)  # colours of thin alpha are rounded once more


@pytest.mark.parametrize("longest", [100, 400, 700, 900])
@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("factor", [1, 257])
def test_a_reduced_document_has_memory_of_its_own_and_is_never_enlarged(longest, alpha, factor):
    document = large(alpha)
    document = replace(document, color=document.color.astype(np.uint8 if factor == 1 else np.uint16) * factor)
    small = reduced(document, (round(300 * longest / 700), longest))
    assert max(small.color.shape) == min(longest, 700)
    assert small.color.dtype == np.uint8
    assert not np.shares_memory(small.color, document.color)
    assert small.alpha is None or not np.shares_memory(small.alpha, document.alpha)
    if longest >= 700:
        assert (small.color == document.color // factor).all()


def test_much_larger_pictures_are_shrunk_by_whole_factors_first():
    assert preview._factors(large(alpha=False), (43, 100)) == (2, 2)
