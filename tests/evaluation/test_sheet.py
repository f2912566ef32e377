"""The contact sheet: three columns, evenly spread rows, real pixels."""

import numpy as np
import pytest
from PIL import Image

from restoration.errors import OptionError
from restoration.evaluation.evaluate import evaluate
from restoration.evaluation.sheet import Sheet


def test_a_row_holds_input_output_and_truth_at_full_resolution(tmp_path, pictures, fake_engine):
    sheet, seen = Sheet(tmp_path / "made" / "sheet.png"), []
    engine = fake_engine(change=lambda picture: 255 - picture)
    evaluate("enhance", pictures, engine=engine, on_pair=lambda measured: (sheet.add(measured), seen.append(measured)))
    drawn = np.asarray(Image.open(sheet.write()))
    height = drawn.shape[0] // 3
    assert drawn.shape[1] == 3 * 64 + 2 * 6
    for number, measured in enumerate(seen):
        top = number * height + 22
        cells = [drawn[top : top + 64, left : left + 64] for left in (0, 70, 140)]
        for cell, picture in zip(cells, (measured.pair.degraded, measured.restored, measured.pair.sharp), strict=True):
            assert np.array_equal(cell, picture)
        assert drawn[top - 22 : top, :64].min() < 128  # a label stands above


def test_many_pictures_are_thinned_evenly(tmp_path, pictures, kernel_file, fake_engine):
    sheet = Sheet(tmp_path / "sheet.jpg", rows=2)
    evaluate("deblur", pictures, engine=fake_engine(), kernels=kernel_file, on_pair=sheet.add)
    with Image.open(sheet.write()) as drawn:
        assert drawn.height == 2 * (64 + 22 + 6)


def test_large_pictures_show_their_centre(tmp_path, fake_engine):
    folder = tmp_path / "large"
    folder.mkdir()
    wide = np.zeros((400, 500, 3), np.uint8)
    wide[8:392, 58:442] = (10, 200, 30)
    Image.fromarray(wide).save(folder / "a.png")
    sheet = Sheet(tmp_path / "sheet.png")
    evaluate("enhance", folder, engine=fake_engine(), on_pair=sheet.add)
    truth = np.asarray(Image.open(sheet.write()))[22 : 22 + 384, -384:]
    assert (truth == (10, 200, 30)).all()


def test_a_png_sheet_is_packed_fast(tmp_path):
    sheet = Sheet(tmp_path / "sheet.png")
    content = sheet.write().read_bytes()
    packed = content[content.index(b"IDAT") + 4 :]
    assert packed[1] >> 6 == 0, "zlib's header tells its level; 2 is the default one"


def test_another_ending_or_an_unwritable_place_is_one_sentence(tmp_path):
    with pytest.raises(OptionError, match=r"\.png or \.jpg"):
        Sheet(tmp_path / "sheet.pdf")
    (tmp_path / "file").touch()
    with pytest.raises(OptionError, match="cannot be written"):
        Sheet(tmp_path / "file" / "sheet.png").write()
