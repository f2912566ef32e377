"""Pairs of two folders: brought together by name, measured as published, or refused in one sentence."""

import numpy as np
import pytest
import skimage.data
from PIL import Image
from skimage.color import rgb2ycbcr
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from restoration.errors import DataError, OptionError
from restoration.evaluation.evaluate import evaluate_pairs
from restoration.evaluation.pairs import match_folders
from restoration.evaluation.scores import markdown


def written(picture, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.ascontiguousarray(picture)).save(path)
    return picture


@pytest.fixture
def folders(tmp_path):
    """(blur, sharp): three pictures of 64 x 48 in two sub-folders, the blurred ones darker, with another ending."""
    blur, sharp = tmp_path / "blur", tmp_path / "sharp"
    for number, name in enumerate(("000/2", "000/10", "001/1")):
        picture = skimage.data.astronaut()[60 + number : 108 + number, 180:244]
        written(picture, sharp / f"{name}.png")
        written(picture - picture // 16, blur / f"{name}.bmp")
    (sharp / "000" / "notes.txt").write_text("no picture")
    return blur, sharp


def test_folders_are_matched_by_their_names_in_natural_order(folders):
    assert [one.name for one in match_folders(*folders)] == ["000/2", "000/10", "001/1"]


def test_scores_are_those_of_scikit_image_over_the_whole_rgb_picture(folders, fake_engine):
    seen = []
    engine = fake_engine(change=lambda picture: picture + 2)
    (score,) = evaluate_pairs(*folders, engine=engine, on_pair=seen.append)
    assert (score.task, score.pictures) == ("deblur", 3)
    expected = []
    for measured in seen:
        a, b = measured.pair.sharp, measured.pair.degraded + 2
        ssim = structural_similarity(
            a, b, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
        expected.append((peak_signal_noise_ratio(a, b), ssim))
    assert (score.psnr, score.ssim) == pytest.approx(tuple(np.mean(expected, axis=0)), abs=1e-3)
    assert [row.psnr for row in score.rows] == pytest.approx([psnr for psnr, _ in expected])
    assert [row.name for row in score.rows] == ["000/2", "000/10", "001/1"]
    assert score.baseline_psnr < score.psnr


def test_channels_and_border_can_be_chosen(folders, fake_engine):
    (score,) = evaluate_pairs(*folders, engine=fake_engine(), channels="y", border=5, limit=1)
    sharp, blur = (np.asarray(Image.open(folder / name).convert("RGB")) for folder, name in
                   zip(folders[::-1], ("000/2.png", "000/2.bmp"), strict=True))  # fmt: skip
    a, b = (rgb2ycbcr(picture)[5:-5, 5:-5, 0] for picture in (sharp, blur))
    assert score.psnr == pytest.approx(peak_signal_noise_ratio(a, b, data_range=255), abs=1e-3)
    (other,) = evaluate_pairs(*folders, engine=fake_engine(), limit=1)
    assert abs(other.psnr - score.psnr) > 0.05


def test_small_pictures_are_enlarged_and_measured_on_luma(folders, tmp_path, fake_engine):
    sharp = skimage.data.astronaut()[60:120, 180:240]
    written(sharp, tmp_path / "high" / "a.png")
    low = np.asarray(Image.fromarray(np.ascontiguousarray(sharp)).resize((20, 20), Image.Resampling.BICUBIC))
    written(low, tmp_path / "low" / "a.png")
    options = {"engine": fake_engine(), "task": "enlarge"}
    (score,) = evaluate_pairs(tmp_path / "low", tmp_path / "high", scale=3, **options)
    bicubic = np.asarray(Image.fromarray(low).resize((60, 60), Image.Resampling.BICUBIC))
    a, b = (rgb2ycbcr(picture)[3:-3, 3:-3, 0] for picture in (sharp, bicubic))
    assert score.baseline_psnr == pytest.approx(peak_signal_noise_ratio(a, b, data_range=255), abs=1e-3)
    with pytest.raises(DataError, match="asks for 40 x 40"):
        evaluate_pairs(tmp_path / "low", tmp_path / "high", scale=2, **options)


def test_without_a_scale_the_first_pair_says_which_cards_fit(tmp_path, fake_engine):
    sharp = skimage.data.astronaut()[60:120, 180:240]
    for name in ("1", "2"):
        written(sharp, tmp_path / "high" / f"{name}.png")
        written(sharp[::3, ::3], tmp_path / "low" / f"{name}.png")
    options = {"engine": fake_engine(), "task": "enlarge"}
    scores = evaluate_pairs(tmp_path / "low", tmp_path / "high", **options)
    assert [(score.model, score.pictures) for score in scores] == [("edsr-baseline-x3", 2)]
    written(sharp[:50, :50], tmp_path / "high" / "1.png")
    with pytest.raises(DataError, match=r"50 x 50 pixels and its partner 20 x 20, which is none of the scales 2, 3\."):
        evaluate_pairs(tmp_path / "low", tmp_path / "high", **options)


def test_folders_that_do_not_match_say_what_is_missing_where(folders, fake_engine):
    blur, sharp = folders
    (sharp / "000" / "10.png").unlink()
    with pytest.raises(DataError, match=r"1 of 3 pictures in .*blur have no partner .* in .*sharp, .*'000/10'"):
        evaluate_pairs(blur, sharp, engine=fake_engine())
    with pytest.raises(DataError, match=r"1 of 3 pictures in .*blur have no partner .* in .*sharp"):
        evaluate_pairs(sharp, blur, engine=fake_engine())
    (sharp / "000" / "10.jpg").write_text("damaged")
    with pytest.raises(DataError, match=r"000/10\.jpg: "):
        evaluate_pairs(blur, sharp, engine=fake_engine())
    Image.new("RGB", (48, 64)).save(sharp / "000" / "10.jpg")
    with pytest.raises(DataError, match="48 x 64 pixels; its partner asks for 64 x 48"):
        evaluate_pairs(blur, sharp, engine=fake_engine())
    Image.new("RGB", (48, 64)).save(sharp / "000" / "10.webp")
    with pytest.raises(DataError, match="two pictures named '000/10'"):
        evaluate_pairs(blur, sharp, engine=fake_engine())


def test_folders_that_are_not_there_or_empty_and_odd_options_are_one_sentence(folders, tmp_path, fake_engine):
    (tmp_path / "empty").mkdir()
    for folder, sentence in ((tmp_path / "none", "no folder"), (tmp_path / "empty", "no picture")):
        with pytest.raises(DataError, match=sentence):
            evaluate_pairs(folder, folders[1], engine=fake_engine())
    for options, sentence in (
        ({"border": -1}, "border"), ({"channels": "cmyk"}, "rgb or y"), ({"limit": 0}, "At least one"),
    ):  # fmt: skip
        with pytest.raises(OptionError, match=sentence):
            evaluate_pairs(*folders, engine=fake_engine(), **options)
    with pytest.raises(DataError, match="64 x 48 pixels is too small"):
        evaluate_pairs(*folders, engine=fake_engine(), border=20)


def test_single_pictures_are_in_the_json_and_the_table_only_when_asked_for(folders, fake_engine):
    (score,) = evaluate_pairs(*folders, engine=fake_engine())
    assert "rows" not in score.as_json()
    assert "per_picture" not in score.as_json()
    rows = score.as_json(per_picture=True)["per_picture"]
    assert [row["name"] for row in rows] == ["000/2", "000/10", "001/1"]
    assert set(rows[0]) == {"name", "psnr", "ssim", "baseline_psnr", "baseline_ssim"}
    assert np.mean([row["psnr"] for row in rows]) == pytest.approx(score.psnr, abs=1e-3)
    assert markdown([score]).count("\n") == 2
    table = markdown([score], per_picture=True).splitlines()
    assert table[4].startswith("| blind-wiener-unet: picture |")
    assert [line.split(" | ")[0] for line in table[6:]] == ["| 000/2", "| 000/10", "| 001/1", "| mean"]
