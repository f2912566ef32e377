"""Metrics against two independent implementations: scikit-image and piq."""

import math

import numpy as np
import piq
import pytest
import skimage.data
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from restoration.evaluation.metrics import METRICS, luma, psnr, ssim


def _pairs():
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (2, 61, 47, 3), dtype=np.uint8)
    yield pytest.param(noise[0], noise[1], id="random")
    for name in ("astronaut", "coffee"):
        picture = getattr(skimage.data, name)()[100:260, 50:301]
        worn = np.clip(picture + rng.normal(0, 9, picture.shape), 0, 255).astype(np.uint8)
        yield pytest.param(picture, worn, id=f"{name}, noise")
        yield pytest.param(picture, np.roll(picture, 2, axis=1), id=f"{name}, shifted")
    camera = skimage.data.camera()[:128, :99]
    yield pytest.param(camera, camera // 16 * 16, id="gray, banded")


PAIRS = list(_pairs())


def _reference_ssim(a, b):
    axis = -1 if a.ndim == 3 else None
    return structural_similarity(
        a, b, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255, channel_axis=axis
    )


@pytest.mark.parametrize(("a", "b"), PAIRS)
def test_psnr_equals_scikit_image(a, b):
    assert psnr(a, b) == pytest.approx(peak_signal_noise_ratio(a, b, data_range=255), abs=1e-9)


@pytest.mark.parametrize(("a", "b"), PAIRS)
def test_ssim_equals_scikit_image(a, b):
    assert ssim(a, b) == pytest.approx(_reference_ssim(a, b), abs=1e-6)


@pytest.mark.parametrize(("a", "b"), PAIRS)
def test_ssim_equals_piq(a, b):
    first, second = (
        torch.from_numpy(np.atleast_3d(picture).transpose(2, 0, 1)[None].astype(np.float64)) for picture in (a, b)
    )
    assert ssim(a, b) == pytest.approx(float(piq.ssim(first, second, data_range=255, downsample=False)), abs=1e-4)


@pytest.mark.parametrize(("a", "b"), PAIRS)
def test_psnr_equals_piq(a, b):
    first, second = (
        torch.from_numpy(np.atleast_3d(picture).transpose(2, 0, 1)[None].astype(np.float64)) for picture in (a, b)
    )
    assert psnr(a, b) == pytest.approx(float(piq.psnr(first, second, data_range=255)), abs=1e-4)


def test_the_border_is_cut_before_measuring():
    rng = np.random.default_rng(1)
    a, b = rng.integers(0, 256, (2, 40, 50, 3), dtype=np.uint8)
    inner = (slice(7, -7), slice(7, -7))
    assert psnr(a, b, border=7) == pytest.approx(peak_signal_noise_ratio(a[inner], b[inner]))
    assert ssim(a, b, border=7) == pytest.approx(_reference_ssim(a[inner], b[inner]), abs=1e-6)


def test_the_peak_scales_both_metrics():
    rng = np.random.default_rng(2)
    a, b = rng.random((2, 30, 30))
    assert psnr(a, b, peak=1) == pytest.approx(psnr(a * 255, b * 255))
    assert ssim(a, b, peak=1) == pytest.approx(ssim(a * 255, b * 255))


def test_equal_pictures_have_infinite_psnr_and_ssim_one():
    picture = skimage.data.camera()[:32, :32]
    assert psnr(picture, picture) == math.inf
    assert ssim(picture, picture) == pytest.approx(1)


def test_luma_has_the_studio_range_of_bt_601():
    black_white_red = np.array([[[0, 0, 0], [255, 255, 255], [255, 0, 0]]], np.uint8)
    assert luma(black_white_red)[0] == pytest.approx([16, 235, 81.481])


def test_both_metrics_say_that_higher_is_better_and_it_is():
    picture = skimage.data.camera()[:64, :64].astype(float)
    noise = np.random.default_rng(3).normal(0, 1, picture.shape)
    for metric in METRICS.values():
        little, much = (metric.compute(picture, picture + sigma * noise, 0, 255) for sigma in (2, 20))
        assert (little > much) is metric.higher_is_better


@pytest.mark.parametrize("metric", [psnr, ssim])
def test_shapes_that_differ_and_borders_that_leave_nothing_are_errors(metric):
    with pytest.raises(ValueError, match="one shape"):
        metric(np.zeros((20, 20)), np.zeros((20, 21)))
    with pytest.raises(ValueError, match="leaves nothing"):
        metric(np.zeros((20, 20)), np.zeros((20, 20)), border=10)


def test_ssim_refuses_pictures_smaller_than_its_window():
    with pytest.raises(ValueError, match="at least 11"):
        ssim(np.zeros((10, 40)), np.zeros((10, 40)))
