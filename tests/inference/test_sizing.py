"""What a network costs here, and the tiles that follow from it."""

import time

import pytest

from restoration.card import SizeRule, Tiling
from restoration.inference.sizing import Costs, Place, grid_for, most_pixels, probe
from tests.inference.fakes import Identity, make_card

CPU = Place("cpu", "fp32")
CARD = make_card(Identity, gigaflop_per_megapixel=200.0)


def test_before_the_first_measurement_the_cost_is_guessed_from_the_arithmetic():
    costs = Costs(0.5)
    assert costs.seconds_per_megapixel(CARD, CPU) == 2.0
    assert costs.seconds_per_megapixel(CARD, Place("cpu", "bf16")) == 1.0
    assert costs.seconds_per_megapixel(CARD, Place("cuda", "fp32")) < 0.1
    assert not costs.measured(CARD, CPU)


def test_the_median_of_the_last_measurements_counts():
    costs = Costs(0.5)
    for seconds in (1.0, 1.0, 50.0, 1.2, 1.1):
        costs.observe(CARD, CPU, pixels=1_000_000, seconds=seconds)
    assert costs.measured(CARD, CPU)
    assert costs.seconds_per_megapixel(CARD, CPU) == pytest.approx(1.1)
    assert not costs.measured(CARD, Place("cpu", "bf16")), "another precision is another cost"
    for _ in range(20):
        costs.observe(CARD, CPU, pixels=1_000_000, seconds=9.0)
    assert costs.seconds_per_megapixel(CARD, CPU) == pytest.approx(9.0), "old measurements are forgotten"


def test_small_tiles_do_not_make_large_ones_look_dear():
    costs = Costs(0.5)
    costs.observe(CARD, CPU, pixels=1_000_000, seconds=1.0)
    for _ in range(9):
        costs.learn(CARD, CPU, pixels=100, seconds=0.01)  # 100 s per megapixel: all fixed costs
    assert costs.seconds_per_megapixel(CARD, CPU) == pytest.approx(1.0)
    for _ in range(9):
        costs.learn(CARD, CPU, pixels=400_000, seconds=0.8)
    assert costs.seconds_per_megapixel(CARD, CPU) == pytest.approx(2.0)


def test_the_probe_grows_until_a_call_lasts_and_never_times_the_first():
    sides = []

    def call(pixels):
        first = pixels.shape[0] not in sides
        sides.append(pixels.shape[0])
        time.sleep(0.5 if first and len(sides) == 1 else pixels.size * 1e-7)

    pixels, seconds = probe(call, CARD, long_enough=0.01)
    assert sides == [64] * 4 + [128] * 4 + [256] * 4
    assert pixels == 256 * 256
    assert 0.01 <= seconds < 0.1


def test_the_probe_believes_the_quickest_call():
    calls = []

    def call(pixels):
        calls.append(pixels.shape[0])
        time.sleep(0.02 if len(calls) == 3 else 0.15)

    _, seconds = probe(call, CARD, long_enough=0.01)
    assert len(calls) == 4
    assert 0.02 <= seconds < 0.1


def test_the_probe_keeps_to_the_sizes_a_network_takes():
    sides = []
    fixed = make_card(Identity, size=SizeRule(multiple_of=8, minimum=8, fixed=8), tiling=Tiling.NEVER)
    probe(lambda pixels: sides.append(pixels.shape[0]), fixed, long_enough=1.0)
    assert sides == [8] * 4
    sides.clear()
    large = make_card(Identity, size=SizeRule(multiple_of=96, minimum=100))
    probe(lambda pixels: sides.append(pixels.shape[0]), large, long_enough=0.0)
    assert sides == [192] * 4


@pytest.mark.parametrize(("scale", "expected"), [(1, 2e6), (2, 500e3), (4, 125e3)])
def test_memory_bounds_a_call_by_its_output(scale, expected):
    card = make_card(Identity, scale=scale)
    assert most_pixels(card, CPU, seconds_per_megapixel=1e-9, call_seconds=0.5) == expected


def test_a_network_that_observes_gets_smaller_tiles():
    card = make_card(Identity, observes=64)
    assert most_pixels(card, CPU, seconds_per_megapixel=1e-9, call_seconds=0.5) == pytest.approx(0.7e6)


def test_time_bounds_a_call():
    assert most_pixels(CARD, CPU, seconds_per_megapixel=5.0, call_seconds=0.5) == 100_000


@pytest.mark.parametrize("tiling", [Tiling.SEAMS, Tiling.NEVER])
def test_what_cannot_be_cut_has_no_bound(tiling):
    card = make_card(Identity, tiling=tiling)
    assert most_pixels(card, CPU, seconds_per_megapixel=5.0, call_seconds=0.5) == float("inf")


def test_tiles_stand_on_the_grid_of_strided_networks():
    assert grid_for(CARD, 10, 10).align == 1
    assert grid_for(make_card(Identity, size=SizeRule(multiple_of=8)), 10, 10).align == 8
    assert grid_for(make_card(Identity, tiling=Tiling.MARGIN, size=SizeRule(multiple_of=24)), 10, 10).align == 96
    assert grid_for(make_card(Identity, size=SizeRule(minimum=100)), 10, 10).smallest == 100


def test_tiles_of_a_network_without_strides_may_begin_anywhere_though_its_margin_is_measured():
    assert grid_for(make_card(Identity, tiling=Tiling.MARGIN, receptive_margin=36, margin=12), 10, 10).align == 1
