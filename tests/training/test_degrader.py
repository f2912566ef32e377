"""The degrader: seeded, each knob does its one thing, and what cannot be is said in one sentence."""

import dataclasses

import numpy as np
import pytest
from skimage import data

from restoration.errors import OptionError
from restoration.training.degradations import Picture
from restoration.training.degrader import Degrader


@pytest.fixture(scope="module")
def cat() -> Picture:
    return np.ascontiguousarray(data.chelsea()[40:170, 120:280])


def test_nothing_is_changed_by_default_and_the_result_is_a_copy(cat: Picture) -> None:
    result = Degrader()(cat, 3)
    assert np.array_equal(result, cat)
    assert result is not cat
    result[:] = 0
    assert cat.max() > 0


def test_seed_and_index_fix_everything_and_order_nothing(cat: Picture) -> None:
    degrade = Degrader(
        scale=(1, 4), quality=(10, 70), blur=(0, 2), noise=(0, 9), colour=(0.5, 1.5), contrast=(0.5, 1.5),
        brightness=(0.5, 1.5), seed=4,
    )  # fmt: skip
    before = cat.copy()
    results = [degrade(cat, index) for index in range(4)]
    assert np.array_equal(degrade(cat, 2), results[2])
    assert np.array_equal(cat, before)
    assert len({result.tobytes() for result in results}) == 4
    assert not np.array_equal(dataclasses.replace(degrade, seed=5)(cat, 2), results[2])
    assert all(result.shape == cat.shape and result.dtype == np.uint8 for result in results)


def test_every_knob_does_what_it_says(cat: Picture) -> None:
    values = cat.astype(float)
    assert Degrader(brightness=(0.5, 0.5))(cat).mean() == pytest.approx(values.mean() / 2, abs=1)
    assert Degrader(contrast=(0.5, 0.5))(cat).std() == pytest.approx(values.std() / 2, rel=0.1)
    assert np.ptp(Degrader(colour=(0, 0))(cat), axis=2).max() == 0
    assert Degrader(colour=(2, 2))(cat).astype(float).std(axis=2).mean() > 1.5 * values.std(axis=2).mean()
    edges = np.abs(np.diff(values, axis=1)).mean()
    assert np.abs(np.diff(Degrader(blur=(3, 3))(cat).astype(float), axis=1)).mean() < 0.5 * edges
    assert (Degrader(noise=(7, 7))(cat) - values).std() == pytest.approx(7, rel=0.05)
    errors = [np.abs(Degrader(quality=(q, q))(cat) - values).mean() for q in (5, 30, 95)]
    assert errors == sorted(errors, reverse=True)


def test_the_scale_makes_it_smaller_and_as_large_again_unless_told_not_to(cat: Picture) -> None:
    assert Degrader(scale=(3, 3), same_size=False)(cat).shape == (43, 53, 3)
    again = Degrader(scale=(3, 3))(cat)
    assert again.shape == cat.shape
    assert np.abs(np.diff(again.astype(float), axis=1)).mean() < 0.7 * np.abs(np.diff(cat.astype(float), axis=1)).mean()


def test_strengths_fill_their_range_evenly(cat: Picture) -> None:
    degrade = Degrader(brightness=(0.2, 1.0))
    factors = [degrade(cat, index).mean() / cat.mean() for index in range(200)]
    assert np.quantile(factors, [0, 0.5, 1]) == pytest.approx([0.2, 0.6, 1.0], abs=0.05)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"scale": (0.5, 2)}, r"scale of a Degrader is a pair \(low, high\) in 1..64, not \(0.5, 2\)"),
        ({"quality": (70, 10)}, "quality"),
        ({"quality": (0, 10)}, "quality"),
        ({"noise": 3}, "noise"),
        ({"blur": (float("nan"), 1)}, "blur"),
        ({"colour": ("a", "b")}, "colour"),
        ({"seed": -1}, "seed"),
    ],
)
def test_ranges_that_cannot_be_are_one_sentence(options: dict, sentence: str) -> None:
    with pytest.raises(OptionError, match=sentence) as caught:
        Degrader(**options)
    assert str(caught.value).count(".\n") == 0


def test_other_arrays_and_indices_are_refused(cat: Picture) -> None:
    with pytest.raises(OptionError, match="float64"):
        Degrader()(cat / 255)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="uint8"):
        Degrader()(cat[..., 0])
    with pytest.raises(OptionError, match="index"):
        Degrader()(cat, -1)
