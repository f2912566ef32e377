"""Measuring blur and inverting it, against blurs that are known."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data
from torch import Tensor

from restoration.architectures import deconvolution, kernel_estimation
from restoration.architectures.deconvolution import continued, fast_length, wiener
from restoration.architectures.kernel_estimation import KERNEL_SIDE, RAW_SIDE, estimate_kernel


def stroke(side: int = 15) -> Tensor:
    """A bent path: down, then to the right, dwelling at its end."""
    kernel = np.zeros((side, side), np.float32)
    cv2.polylines(kernel, [np.array([[2, 1], [4, 8], [12, 13]], np.int32)], isClosed=False, color=1.0)
    kernel[12:14, 11:13] += 1.0
    return torch.from_numpy(kernel / kernel.sum())


def photo(height: int = 300, width: int = 400) -> Tensor:
    """(1, 3, H, W): a photograph with edges of all directions."""
    pixels = data.coffee()[60 : 60 + height, 100 : 100 + width]
    return torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)[None].float() / 255


def blurred(x: Tensor, kernel: Tensor, noise: float = 2 / 255) -> Tensor:
    """An independent convolution: shifted pictures added up; the borders wrap."""
    radius = kernel.shape[0] // 2
    total = torch.zeros_like(x)
    for row, column in torch.nonzero(kernel).tolist():
        total += kernel[row, column] * torch.roll(x, (row - radius, column - radius), (-2, -1))
    return total + noise * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))


def psnr(a: Tensor, b: Tensor) -> float:
    inner = (..., slice(20, -20), slice(20, -20))
    return float(-10 * torch.log10((a[inner] - b[inner]).square().mean()))


def likeness(kernel: Tensor, truth: Tensor) -> float:
    """The best cosine over all shifts."""
    a, b = (torch.fft.rfft2(k, s=(96, 96)) for k in (kernel, truth))
    return float(torch.fft.irfft2(a.conj() * b).max() / kernel.norm() / truth.norm())


def last_of(gray: Tensor) -> tuple[Tensor, Tensor]:
    return list(estimate_kernel(gray))[-1]


def test_the_wiener_filter_inverts_a_known_blur() -> None:
    x, kernel = photo(), stroke()
    y = blurred(x, kernel)
    restored = wiener(y, kernel[None], (1e-2,))
    assert psnr(restored, x) > psnr(y, x) + 4


def test_the_wiener_filter_is_the_minimum_of_its_energy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gradient of |k * x - y|^2 + w |grad x|^2 vanishes at its result, computed without a transform."""
    monkeypatch.setattr(deconvolution, "continued", lambda picture, pad, shape: picture)
    monkeypatch.setattr(deconvolution, "fast_length", lambda length: length)
    y, kernel, weight = torch.rand(1, 1, 30, 40), stroke()[2:13, 2:13], 0.02
    kernel = kernel / kernel.sum()
    x = wiener(y, kernel[None], (weight,), pad=0).requires_grad_()
    across, down = torch.roll(x, -1, -1) - x, torch.roll(x, -1, -2) - x
    energy = (blurred(x, kernel, 0) - y).square().sum() + weight * (across.square() + down.square()).sum()
    energy.backward()
    assert x.grad is not None
    assert x.grad.abs().max() < 1e-4


def test_a_kernel_that_is_one_pixel_gives_the_picture_back() -> None:
    x = photo()
    delta = torch.zeros(1, 9, 9)
    delta[0, 4, 4] = 1
    assert (wiener(x, delta, (1e-6,)) - x).abs().max() < 1e-3


def test_every_weight_gives_a_picture_and_a_larger_one_a_smoother_picture() -> None:
    x = photo(80, 90)
    result = wiener(x, stroke()[None], (1e-3, 1e-1))
    assert result.shape == (1, 6, 80, 90)
    rough, smooth = (part.diff(dim=-1).abs().mean() for part in result.split(3, dim=1))
    assert smooth < 0.7 * rough


def test_what_lies_beyond_the_edges_is_made_up_so_that_a_part_is_restored_as_the_whole_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    y, kernel = blurred(photo(), stroke())[..., :200], stroke()[None]
    whole = wiener(y, kernel, (3e-3, 3e-2))

    def error() -> float:
        part = wiener(y[..., :160, :120], kernel, (3e-3, 3e-2))
        return float((part - whole[..., :160, :120])[..., :128, :88].square().mean().sqrt())

    with_surroundings = error()
    monkeypatch.setattr(deconvolution, "_FILLS", 0)
    whole = wiener(y, kernel, (3e-3, 3e-2))
    assert with_surroundings < 0.5 * error()


def test_each_picture_of_a_batch_has_its_own_kernel() -> None:
    x = torch.cat((photo(80, 90), photo(90, 100)[..., 10:, 10:]))
    kernels = torch.stack((stroke(), stroke().T))
    together = wiener(x, kernels, (1e-2,))
    for index in (0, 1):
        alone = wiener(x[index : index + 1], kernels[index : index + 1], (1e-2,))
        assert torch.allclose(together[index], alone[0], atol=1e-5)


def test_a_shake_is_measured_from_the_picture_alone() -> None:
    kernel = stroke()
    measured, raw = last_of(blurred(photo(), kernel).mean(1)[0])
    assert measured.shape == (KERNEL_SIDE, KERNEL_SIDE)
    assert raw.shape == (RAW_SIDE, RAW_SIDE)
    assert float(measured.sum()) == pytest.approx(1, abs=1e-5)
    assert measured.min() >= 0
    assert likeness(measured, kernel) > 0.8
    assert likeness(measured, kernel.flip(0)) < 0.7  # it knows which way the hand went


def test_an_unshaken_picture_has_hardly_a_kernel() -> None:
    measured, _ = last_of(photo().mean(1)[0])
    middle = KERNEL_SIDE // 2
    assert measured[middle - 1 : middle + 2, middle - 1 : middle + 2].sum() > 0.8


def test_the_estimate_comes_in_small_steps_and_repeats_itself() -> None:
    gray = blurred(photo(200, 220), stroke()).mean(1)[0]
    first, second = list(estimate_kernel(gray)), list(estimate_kernel(gray))
    assert len(first) >= 40
    assert all(
        kernel.shape == (KERNEL_SIDE, KERNEL_SIDE) and raw.shape == (RAW_SIDE, RAW_SIDE) for kernel, raw in first
    )
    assert torch.equal(first[-1][0], second[-1][0])


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 9), st.integers(0, 5))
@settings(deadline=None, max_examples=40)
def test_a_continued_picture_holds_the_picture_and_wraps_smoothly(height: int, width: int, pad: int, more: int) -> None:
    x = torch.rand(1, height, width, generator=torch.Generator().manual_seed(height))
    periodic = continued(x, pad, (height + 2 * pad + more, width + 2 * pad))
    assert periodic.shape == (1, height + 2 * pad + more, width + 2 * pad)
    assert torch.equal(periodic[:, pad : pad + height, pad : pad + width], x)
    assert periodic.min() >= x.min() - 1e-6
    assert periodic.max() <= x.max() + 1e-6
    wrap = (periodic[:, 0] - periodic[:, -1]).abs().max()
    assert wrap <= 2.4 / (2 * pad + more) + 1e-6  # a step of a raised cosine, pi / 2 over the gap, and the ends


def test_fast_lengths_have_small_factors_and_none_is_skipped() -> None:
    smooth = sorted(2**a * 3**b * 5**c for a in range(11) for b in range(7) for c in range(5))
    for length in range(1, 600):
        assert fast_length(length) == next(s for s in smooth if s >= length)


def test_islands_are_found_as_opencv_finds_them() -> None:
    draw = np.random.default_rng(3)
    for _ in range(20):
        kernel = np.where(draw.random((21, 21)) < 0.3, draw.random((21, 21)), 0).astype(np.float32)
        kernel /= kernel.sum()
        count, labels = cv2.connectedComponents((kernel > 0).astype(np.uint8), connectivity=8)
        kept = kernel.copy()
        for label in range(1, count):
            if kernel[labels == label].sum() < 0.05:
                kept[labels == label] = 0
        ours = kernel_estimation._without_islands(torch.from_numpy(kernel))
        assert np.allclose(ours.numpy(), kept / kept.sum(), atol=1e-6)
