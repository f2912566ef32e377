"""JPEGs through arrays: Pillow's very pixels, Pillow's very bytes, and Pillow's word on what is damaged."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageCms

from restoration.errors import ImageFileError
from restoration.images import jpeg
from restoration.images.document import ImageDocument, Origin
from restoration.images.limits import Limits
from restoration.images.opening import open_picture
from restoration.images.reading import read_image
from restoration.images.writing import write_image


def pixels(height: int = 97, width: int = 131, channels: int = 3) -> np.ndarray:
    rows, columns = np.mgrid[:height, :width]
    planes = [rows * 2 + columns, rows + columns * 3, 255 - rows // 2 + 20 * (columns // 9 % 2)]
    noise = np.random.default_rng(0).integers(0, 30, (height, width, channels))
    return (np.stack(planes[:channels], axis=-1) % 200 + noise).astype(np.uint8)


def saved(mode: str, **options: object) -> bytes:
    stream = BytesIO()
    Image.fromarray(pixels()).convert(mode).save(stream, "JPEG", **options)
    return stream.getvalue()


KINDS = [{}, {"progressive": True}, {"subsampling": 0}, {"subsampling": 1, "quality": 96}, {"restart_marker_rows": 1}]


@pytest.mark.parametrize("options", [*KINDS, {"keep_rgb": True}], ids=str)
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_the_pixels_are_pillows(mode, options):
    if mode == "L":
        options = {key: value for key, value in options.items() if key not in ("keep_rgb", "subsampling")}
    content = saved(mode, **options)
    opened = open_picture(content, Limits())
    samples = jpeg.decode(opened.image, opened.data)
    assert samples is not None
    assert samples.flags.writeable
    with Image.open(BytesIO(content)) as image:
        assert (samples.squeeze() == np.asarray(image)).all()


@pytest.mark.parametrize("mode", ["CMYK"])
def test_other_colours_are_left_to_pillow(mode):
    opened = open_picture(saved(mode), Limits())
    assert jpeg.decode(opened.image, opened.data) is None


def test_what_pillow_forgives_is_forgiven_and_what_it_does_not_is_not():
    content = saved("RGB")
    middle = bytearray(content)
    middle[len(middle) // 2 : len(middle) // 2 + 2] = b"\0\0"
    with Image.open(BytesIO(middle)) as image:
        expected = np.asarray(image)
    assert (read_image(bytes(middle)).color == expected).all()
    with pytest.raises(ImageFileError, match="damaged, cut short"):
        read_image(content[: len(content) // 2])


@pytest.mark.parametrize("quality", [1, 60, 89, 90, 92, 100])
@pytest.mark.parametrize("reuse", [False, True])
def test_the_bytes_are_pillows(tmp_path, monkeypatch, quality, reuse):
    exif = Image.Exif()
    exif[0x010F] = "Maker \xff\xdb"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    origin = Origin(format="JPEG", exif=exif.tobytes(), dpi=(300.0, 72.0), icc=profile)
    document = ImageDocument(color=pixels(), origin=origin)
    before = document.color.copy()
    ours = write_image(document, tmp_path / "ours", quality=quality, reuse=reuse).read_bytes()
    assert reuse or (document.color == before).all()
    monkeypatch.setattr(jpeg, "encode", lambda *_, **__: None)
    again = ImageDocument(color=before, origin=origin)
    assert ours == write_image(again, tmp_path / "pillows", quality=quality).read_bytes()


def test_a_picture_of_many_bands_is_written_as_it_is(tmp_path):
    color = pixels(3 * jpeg._BAND_ROWS + 7, 40)
    document = ImageDocument(color=color.copy(), origin=Origin(format="JPEG"))
    path = write_image(document, tmp_path / "long", quality=100, reuse=True)
    assert np.abs(read_image(path).color.astype(int) - color).mean() < 2


def test_reading_needs_no_memory_but_the_pixels():
    """All of it in numpy's or Pillow's hands: the greatest resident memory of a process of its own."""
    from benchmarks.timing import peak_memory

    stream = BytesIO()
    Image.fromarray(pixels(3000, 4000)).save(stream, "JPEG", quality=80)
    content = stream.getvalue()
    read_image(content)
    added = peak_memory(lambda: read_image(content))
    if added is None:
        pytest.skip("this system tells no memory")
    assert 30 < added < 34.3 * 1.4  # Pillow's own way takes 80


@pytest.mark.parametrize("reuse", [False, True])
@pytest.mark.parametrize("raises", [False, True])
def test_a_failing_encoder_leaves_the_right_colours_to_pillow(tmp_path, monkeypatch, raises, reuse):
    cv2 = pytest.importorskip("cv2")

    def fail(*_):
        if raises:
            raise cv2.error("Insufficient memory")
        return False, None

    monkeypatch.setattr(cv2, "imencode", fail)
    color = pixels(height=300)  # of two bands
    path = write_image(ImageDocument(color=color.copy(), origin=Origin(format="JPEG")), tmp_path / "a", reuse=reuse)
    expected = BytesIO()
    Image.fromarray(color).save(expected, "JPEG", quality=92, subsampling=0)
    assert (read_image(path).color == read_image(expected.getvalue()).color).all()
