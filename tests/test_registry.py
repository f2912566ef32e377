"""Looking models up: explicit, immutable, and helpful when a name is wrong."""

import pytest

from restoration.errors import OptionError, UnknownModel
from restoration.registry import MODELS, Registry


def test_a_wrong_name_suggests_the_nearest() -> None:
    with pytest.raises(UnknownModel, match="did you mean 'edsr-baseline'"):
        MODELS.find("edsr-basline", task="enlarge")
    with pytest.raises(UnknownModel, match="the models are"):
        MODELS["zzz"]


def test_a_family_is_resolved_by_scale() -> None:
    assert MODELS.find("edsr-baseline", task="enlarge").name == "edsr-baseline-x2"
    assert MODELS.find("edsr-baseline", task="enlarge", scale=4).name == "edsr-baseline-x4"
    assert MODELS.find("edsr-baseline-x3", task="enlarge").scale == 3


def test_a_model_that_contradicts_the_scale_is_one_sentence() -> None:
    with pytest.raises(OptionError, match="enlarges x3, but the scale asked for is 2"):
        MODELS.find("edsr-baseline-x3", task="enlarge", scale=2)


def test_a_model_of_another_task_is_one_sentence() -> None:
    with pytest.raises(OptionError, match="is for enlarge, not for deblur"):
        MODELS.find("edsr-baseline", task="deblur")


def test_the_registry_is_a_read_only_mapping_without_doubles() -> None:
    assert "edsr-baseline-x2" in MODELS
    assert 3 not in MODELS
    assert len(list(MODELS)) == len(MODELS)
    card = MODELS["edsr-baseline-x2"]
    with pytest.raises(ValueError, match="same name"):
        Registry([card, card])
    with pytest.raises(TypeError):
        MODELS["x"] = card  # type: ignore[index]
    with pytest.raises(AttributeError):
        card.scale = 4  # type: ignore[misc]
