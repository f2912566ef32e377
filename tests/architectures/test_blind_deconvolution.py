"""The deblurrer that measures first: what it observes, and what it does with it."""

import pytest
import torch
from torch import nn

from restoration.architectures.blind_deconvolution import (
    BlindDeconvolution,
    KernelRefiner,
    packed,
    placed,
    turned_mean,
    with_deblurgan,
    with_unet,
)
from restoration.architectures.kernel_estimation import KERNEL_SIDE, RAW_SIDE
from tests.architectures.test_kernel_estimation import blurred, photo, psnr, stroke


def small() -> BlindDeconvolution:
    torch.manual_seed(0)
    return with_unet((8, 12, 16), (1, 1, 1)).eval()


def centred(kernel: torch.Tensor) -> torch.Tensor:
    context = torch.zeros(1, 1, RAW_SIDE, RAW_SIDE)
    start = (RAW_SIDE - kernel.shape[0]) // 2
    context[0, 0, start : start + kernel.shape[0], start : start + kernel.shape[1]] = kernel
    return context


def test_without_a_context_each_picture_is_observed_by_itself() -> None:
    network = small()
    x = torch.cat((blurred(photo(120, 130), stroke()), photo(130, 140)[..., 10:, 10:]))
    with torch.inference_mode():
        contexts = torch.cat([list(network.observe(picture[None]))[-1] for picture in x])
        assert torch.equal(network(x), network(x, contexts))
    assert not torch.equal(contexts[0], contexts[1])


def test_one_context_serves_every_picture_of_a_batch() -> None:
    network, x = small(), torch.rand(2, 3, 40, 50)
    context = centred(stroke())
    with torch.inference_mode():
        assert torch.allclose(network(x, context)[1:], network(x[1:], context), atol=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (5, 300), (2 * KERNEL_SIDE - 1, 200)])
def test_a_picture_smaller_than_two_kernels_is_taken_for_sharp(size: tuple[int, int]) -> None:
    network, x = small(), torch.rand(1, 3, *size)
    with torch.inference_mode():
        (context,) = network.observe(x)
        assert network(x).shape == x.shape
    assert torch.equal(context, network.neutral(x))


def test_a_picture_of_one_colour_is_taken_for_sharp() -> None:
    network = small()
    with torch.inference_mode():
        (context,) = network.observe(torch.full((1, 3, 100, 100), 0.5))
    assert torch.equal(context, network.neutral(context))


@pytest.mark.parametrize("kind", ["bar above", "bar at the side", "one huge number", "noise", "all but black"])
def test_what_cannot_be_measured_gives_a_kernel_all_the_same(kind: str) -> None:
    x = torch.ones(1, 3, 120, 160)
    if kind == "bar above":
        x[..., :2, :] = 0
    elif kind == "bar at the side":
        x = torch.zeros_like(x)
        x[..., :3] = 1
    elif kind == "one huge number":
        x = torch.rand(1, 3, 120, 160, generator=torch.Generator().manual_seed(0))
        x[..., 60, 80] = 1e20
    elif kind == "noise":
        x = torch.rand(1, 3, 120, 160, generator=torch.Generator().manual_seed(0))
    else:
        x = torch.zeros_like(x)
        x[..., 60, 80] = 1
    network = small()
    with torch.inference_mode():
        context = list(network.observe(x))[-1]
        assert torch.isfinite(network(x, context)).all()
    assert context.min() >= 0
    assert float(context.sum()) == pytest.approx(1, abs=1e-4)


def test_every_context_on_the_way_is_a_kernel() -> None:
    network = small()
    with torch.inference_mode():
        contexts = list(network.observe(blurred(photo(120, 130), stroke())))
    assert len(contexts) > 20
    for context in contexts:
        assert context.shape == (1, 1, RAW_SIDE, RAW_SIDE)
        assert context.min() >= 0
        assert float(context.sum()) == pytest.approx(1, abs=1e-4)


def test_a_silent_unet_mixes_the_picture_with_its_deconvolution() -> None:
    network = small()
    nn.init.zeros_(network.restorer.unet.tail.weight)
    nn.init.zeros_(network.restorer.unet.tail.bias)  # type: ignore[arg-type]
    x = photo(120, 130)
    y = blurred(x, stroke())
    with torch.inference_mode():
        features = network.features(y, centred(stroke())[:, 0])
        result = network(y, centred(stroke()))
    assert torch.allclose(result, (y + features[:, -3:]) / 2, atol=1e-5)
    assert psnr(result, x) > psnr(y, x) + 2


def test_turning_a_measurement_turns_the_mean_answer() -> None:
    torch.manual_seed(0)
    refiner = KernelRefiner((4, 6, 8), 1).eval()
    x = packed(torch.rand(KERNEL_SIDE, KERNEL_SIDE), torch.randn(RAW_SIDE, RAW_SIDE))
    with torch.inference_mode():
        mean = turned_mean(refiner, x)
        assert not torch.allclose(refiner(x.flip(-1)).flip(-1), refiner(x), atol=1e-6)  # alone it is not so fair
        assert torch.allclose(turned_mean(refiner, x.flip(-1)).flip(-1), mean, atol=1e-6)
        assert torch.allclose(turned_mean(refiner, x.transpose(-2, -1)).transpose(-2, -1), mean, atol=1e-6)
    assert float(mean.sum()) == pytest.approx(1, abs=1e-4)


def test_the_refiner_gives_kernels_and_ignores_scale() -> None:
    torch.manual_seed(0)
    refiner, frame = KernelRefiner((4, 6, 8), 1).eval(), (RAW_SIDE - KERNEL_SIDE) // 2
    x = packed(torch.rand(KERNEL_SIDE, KERNEL_SIDE), torch.randn(RAW_SIDE, RAW_SIDE)).repeat(3, 1, 1, 1)
    with torch.inference_mode():
        refined = refiner(x)
        assert torch.allclose(refined, refiner(5 * x), atol=1e-6)
    assert refined.shape == (3, 1, RAW_SIDE, RAW_SIDE)
    assert refined.min() >= 0
    assert torch.allclose(refined.sum((2, 3)), torch.ones(3, 1), atol=1e-5)
    assert torch.allclose(refined[..., frame:-frame, frame:-frame].sum((2, 3)), torch.ones(3, 1), atol=1e-5)


def test_deblurgan_mends_as_the_unet_does() -> None:
    torch.manual_seed(0)
    network, x = with_deblurgan().eval(), photo(90, 110)
    nn.init.zeros_(network.restorer.unet.final.weight)  # type: ignore[arg-type]
    nn.init.zeros_(network.restorer.unet.final.bias)  # type: ignore[arg-type]
    y = blurred(x, stroke())
    with torch.inference_mode():
        features = network.features(y, centred(stroke())[:, 0])
        result = network(y, centred(stroke()))
    assert torch.allclose(result, (y + features[:, -3:]) / 2, atol=1e-5)


def test_a_kernel_is_placed_by_the_middle_of_its_box_and_all_channels_move_with_it() -> None:
    kernel = torch.zeros(1, 2, RAW_SIDE, RAW_SIDE)
    kernel[0, 0, 3:8, 20:31], kernel[0, 1, 3, 20] = 0.5, 7.0
    kernel[0, 0, 5, 25], kernel[0, 0, 40, 40] = 1.0, 0.01  # the last one is too faint to count
    moved = placed(kernel, 0.1)
    rows, columns = (moved[0, 0] > 0.1).nonzero().unbind(1)
    middle = RAW_SIDE // 2
    assert (int(rows.min()), int(rows.max())) == (middle - 2, middle + 2)
    assert (int(columns.min()), int(columns.max())) == (middle - 5, middle + 5)
    assert moved[0, 1, middle - 2, middle - 5] == 7
    assert torch.equal(placed(moved, 0.1), moved)


@pytest.mark.parametrize("value", [0.0, float("nan")])
def test_what_has_no_box_stays_where_it_is(value: float) -> None:
    kernel = torch.full((1, 1, RAW_SIDE, RAW_SIDE), value)
    assert torch.equal(placed(kernel, 0.1).nan_to_num(9), kernel.nan_to_num(9))


def test_where_a_shaken_picture_is_found_does_not_hang_on_where_the_kernel_was_measured() -> None:
    """Measurements that differ by a shift alone give one kernel, up to where the box's middle is rounded to."""
    torch.manual_seed(0)
    refiner = KernelRefiner((4, 6, 8), 1).eval()
    measured = packed(stroke(KERNEL_SIDE), torch.nn.functional.pad(stroke(KERNEL_SIDE), (5,) * 4))
    with torch.inference_mode():
        one, other = (
            turned_mean(refiner, placed(torch.roll(measured, (shift, -shift), (-2, -1)), 0.12)) for shift in (0, 3)
        )
    assert torch.equal(one, other)
