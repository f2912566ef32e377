"""Scores: the right pictures through the right seam, measured as the protocols say."""

import numpy as np
import pytest
from PIL import Image
from skimage.color import rgb2ycbcr
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from restoration.errors import DataError, OptionError, WeightsError
from restoration.evaluation import protocols
from restoration.evaluation.evaluate import evaluate
from restoration.evaluation.scores import Score, markdown


def _darker(picture):
    return picture // 2


def test_an_engine_that_changes_nothing_scores_exactly_the_baseline(pictures, kernel_file, fake_engine):
    for task in ("deblur", "enhance", "enlarge", "faces"):
        for score in evaluate(task, pictures, engine=fake_engine(), kernels=kernel_file):
            assert score.psnr == score.baseline_psnr
            assert score.ssim == score.baseline_ssim
            assert 15 < score.psnr < 50


def test_a_worse_engine_scores_below_the_baseline(pictures, fake_engine):
    (score,) = evaluate("enhance", pictures, engine=fake_engine(change=_darker))
    assert score.gain < -3
    assert score.ssim < score.baseline_ssim


def test_enlarge_is_measured_on_luma_without_a_border_of_the_scale(pictures, fake_engine):
    (score,) = evaluate("enlarge", pictures, engine=fake_engine(), scale=3, limit=1)
    sharp = np.asarray(Image.open(pictures / "1.png"))[:63, :63]
    image = Image.fromarray(sharp).resize((21, 21), Image.Resampling.BICUBIC).resize((63, 63), Image.Resampling.BICUBIC)
    a, b = (rgb2ycbcr(picture)[3:-3, 3:-3, 0] for picture in (sharp, np.asarray(image)))
    assert score.baseline_psnr == pytest.approx(peak_signal_noise_ratio(a, b, data_range=255), abs=1e-3)
    expected = structural_similarity(
        a, b, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255
    )
    assert score.baseline_ssim == pytest.approx(expected, abs=1e-4)


def test_deblur_measures_every_picture_with_every_kernel_inside_a_border_of_16(pictures, kernel_file, fake_engine):
    seen = []
    (score,) = evaluate("deblur", pictures, engine=fake_engine(), kernels=kernel_file, limit=2, on_pair=seen.append)
    assert score.pictures == 4
    assert [one.pair.name for one in seen] == ["1, kernel 1", "1, kernel 2", "2, kernel 1", "2, kernel 2"]
    sharp = np.asarray(Image.open(pictures / "2.png"))
    degraded = protocols.blur(sharp, protocols.read_kernels(kernel_file)[1], seed=9)
    inner = (slice(16, -16), slice(16, -16))
    expected = peak_signal_noise_ratio(sharp[inner], degraded[inner])
    assert seen[3].baseline_psnr == pytest.approx(expected)
    assert score.psnr == pytest.approx(np.mean([one.psnr for one in seen]))


def test_the_seed_is_the_place_in_natural_order(pictures, fake_engine):
    seen = []
    evaluate("enhance", pictures, engine=fake_engine(), on_pair=seen.append)
    assert [one.pair.name for one in seen] == ["1", "2", "10"]
    third = np.asarray(Image.open(pictures / "10.png"))
    assert np.array_equal(seen[2].pair.degraded, protocols.wear(third, 2))


def test_faces_go_straight_through_the_network(pictures, fake_engine):
    engine = fake_engine()
    evaluate("faces", pictures, engine=engine)
    assert engine.calls == [("residual-unet-faces", "square")] * 3


def test_a_network_beyond_the_range_is_clipped_not_wrapped(pictures, fake_engine):
    seen = []
    evaluate("faces", pictures, engine=fake_engine(change=lambda x: x * 4 - 1), limit=1, on_pair=seen.append)
    expected = np.clip(np.rint((seen[0].pair.degraded.astype(np.float32) / 255 * 4 - 1) * 255), 0, 255)
    assert np.abs(seen[0].restored - expected).max() <= 1


def test_faces_of_another_size_are_refused(pictures, fake_engine):
    Image.new("RGB", (64, 65)).save(pictures / "0.png")
    with pytest.raises(DataError, match=r"0\.png is not 64 x 64"):
        evaluate("faces", pictures, engine=fake_engine())


def test_other_tasks_go_through_the_engine_at_full_strength(pictures, fake_engine):
    engine = fake_engine()
    evaluate("enlarge", pictures, engine=engine, limit=1)
    assert engine.calls == [("edsr-baseline-x2", "enlarge", 2, 1.0), ("edsr-baseline-x3", "enlarge", 3, 1.0)]


def test_a_perfect_result_counts_as_100_db(pictures, fake_engine):
    sharp = protocols.read_sharp(pictures / "1.png")
    (score,) = evaluate("enhance", pictures, engine=fake_engine(change=lambda _: sharp), limit=1)
    assert (score.psnr, score.ssim) == (100, pytest.approx(1))


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({}, ["edsr-baseline-x2", "edsr-baseline-x3"]),
        ({"scale": 3}, ["edsr-baseline-x3"]),
        ({"model": "edsr-baseline"}, ["edsr-baseline-x2", "edsr-baseline-x3"]),
        ({"model": "edsr-baseline-x3"}, ["edsr-baseline-x3"]),
        ({"model": "edsr-baseline", "scale": 2}, ["edsr-baseline-x2"]),
    ],
)
def test_the_models_are_all_available_ones_unless_named(options, names, pictures, fake_engine):
    scores = evaluate("enlarge", pictures, engine=fake_engine(), limit=1, **options)
    assert [score.model for score in scores] == names


def test_a_named_model_is_measured_even_when_it_is_not_offered(pictures, fake_engine):
    engine = fake_engine(offered=())
    (score,) = evaluate("enlarge", pictures, engine=engine, model="edsr-baseline-x2", limit=1)
    assert score.model == "edsr-baseline-x2"
    with pytest.raises(WeightsError, match="No model"):
        evaluate("enlarge", pictures, engine=engine)


@pytest.mark.parametrize(
    ("task", "options", "sentence"),
    [
        ("sharpen", {}, "no task 'sharpen'"),
        ("deblur", {}, "--kernels"),
        ("enlarge", {"scale": 5}, "scale 5"),
        ("enlarge", {"model": "edsr-baselin"}, "did you mean"),
        ("enhance", {"model": "edsr-baseline"}, "not for enhance"),
        ("enhance", {"limit": 0}, "At least one"),
    ],
)
def test_options_that_cannot_be_are_one_sentence(task, options, sentence, pictures, fake_engine):
    with pytest.raises(OptionError, match=sentence):
        evaluate(task, pictures, engine=fake_engine(), **options)


def test_pictures_too_small_to_measure_are_refused(tmp_path, fake_engine):
    Image.new("RGB", (10, 30)).save(tmp_path / "a.png")
    with pytest.raises(DataError, match="10 x 30 pixels is too small"):
        evaluate("enhance", tmp_path, engine=fake_engine())


SCORE = Score(
    model="m", task="enlarge", scale=2, pictures=5, psnr=37.54321, ssim=0.95, baseline_psnr=33.67, baseline_ssim=0.93
)


def test_the_json_row_has_exactly_the_agreed_keys():
    assert SCORE.as_json() == {
        "model": "m", "task": "enlarge", "scale": 2, "pictures": 5, "psnr": 37.5432, "ssim": 0.95,
        "baseline_psnr": 33.67, "baseline_ssim": 0.93,
    }  # fmt: skip


def test_the_table_shows_ours_beside_the_baseline():
    last = markdown([SCORE]).splitlines()[-1]
    assert last == "| m | enlarge | 5 | 37.54 / 0.9500 | 33.67 / 0.9300 | +3.87 dB |"
