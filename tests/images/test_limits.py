import math

import pytest

from restoration.errors import ImageFileError, OptionError
from restoration.images.limits import Limits


def test_a_value_at_its_limit_is_accepted_and_one_more_is_not():
    limits = Limits(megabytes=1, megapixels=2, output_megapixels=3, side=2000)
    limits.check_file(1_000_000)
    limits.check_input(1000, 2000)
    limits.check_output(1000, 3000)
    for check in (
        lambda: limits.check_file(1_000_001),
        lambda: limits.check_input(1001, 2000),
        lambda: limits.check_input(1, 2001),
        lambda: limits.check_input(2001, 1),
        lambda: limits.check_output(1001, 3000),
    ):
        with pytest.raises(ImageFileError):
            check()


def test_the_sentences_have_the_numbers():
    limits = Limits()
    with pytest.raises(ImageFileError, match=r"^The file has 50.5 megabytes; the limit is 50 megabytes\.$"):
        limits.check_file(50_500_000)
    with pytest.raises(ImageFileError, match=r"12,000 x 11,000 pixels \(132 megapixels\); the limit is 120 megapixels"):
        limits.check_input(11_000, 12_000)
    with pytest.raises(ImageFileError, match="2 x 40,000 pixels; the limit is 30,000 pixels"):
        limits.check_input(40_000, 2)
    with pytest.raises(ImageFileError, match=r"result would be 20,000 x 20,000 .*400 megapixels.* 200 megapixels"):
        limits.check_output(20_000, 20_000)


def test_the_environment_changes_only_what_it_names():
    limits = Limits.from_environment(
        {"RESTORATION_MAX_MEGAPIXELS": " 250 ", "RESTORATION_MAX_SIDE": "9000", "OTHER": "1"}
    )
    assert limits == Limits(megapixels=250, side=9000)
    assert Limits.from_environment({"RESTORATION_MAX_MEGABYTES": ""}) == Limits()
    assert Limits.from_environment({"RESTORATION_MAX_OUTPUT_MEGAPIXELS": "0.5"}).output_megapixels == 0.5
    assert Limits.from_environment({"RESTORATION_MAX_MEGABYTES": "7"}).megabytes == 7


@pytest.mark.parametrize("text", ["many", "nan", "inf", "0", "-3"])
def test_a_limit_that_is_not_a_positive_number_is_refused_by_name(text):
    with pytest.raises(OptionError, match="RESTORATION_MAX_MEGABYTES must be a positive number"):
        Limits.from_environment({"RESTORATION_MAX_MEGABYTES": text})
    assert not math.isnan(Limits().megabytes)
