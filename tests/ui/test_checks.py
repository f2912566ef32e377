"""What is looked at before the queue: every argument an endpoint documents, and every value the page sends."""

from pathlib import Path

import pytest
from PIL import Image

from restoration.errors import OptionError, RestorationError
from restoration.tasks import TASKS
from restoration.ui.endpoints import _check, parameters
from tests.ui.conftest import picture
from tests.ui.fakes import fake_engine

ENGINE = fake_engine()
WRONG = {"string": 7, "number": "much", "integer": 1.5}
ARGUMENTS = [
    (task, parameter.label, parameter.api_info()["type"])
    for task in TASKS
    for parameter in parameters(TASKS[task], ENGINE)
    if parameter.label != "image"
]


@pytest.fixture
def photo(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, str]:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    Image.fromarray(picture()).save(tmp_path / "a.png")
    return {"path": str(tmp_path / "a.png")}


def arguments(task: str, photo: object, **changed: object) -> list[object]:
    values = {each.label: each.value for each in parameters(TASKS[task], ENGINE)}
    return list((values | {"image": photo} | changed).values())


@pytest.mark.parametrize("task", TASKS)
def test_the_documented_defaults_are_good(task: str, photo: dict[str, str]) -> None:
    _check(ENGINE, TASKS[task], arguments(task, photo))


@pytest.mark.parametrize(("task", "name", "kind"), ARGUMENTS, ids=str)
def test_a_wrong_value_of_any_argument_is_refused(task: str, name: str, kind: str, photo: dict[str, str]) -> None:
    for wrong in (WRONG[kind], "nonsense", [], 1000):
        with pytest.raises(RestorationError) as refused:
            _check(ENGINE, TASKS[task], arguments(task, photo, **{name: wrong}))
        assert isinstance(refused.value, OptionError) or name == "model"
        assert name.removeprefix("output_") in str(refused.value)
