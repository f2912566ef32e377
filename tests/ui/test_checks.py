"""What is looked at before the queue: every argument an endpoint documents, and every value the page sends."""

import asyncio
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest
from PIL import Image

from restoration.errors import OptionError, RestorationError
from restoration.tasks import TASKS
from restoration.ui import reception
from restoration.ui.endpoints import _check, parameters
from restoration.ui.handlers import MODEL_QUEUE, job_checks
from restoration.ui.page import build_page
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


def names(task: str) -> list[str]:
    return [str(each.label) for each in parameters(TASKS[task], ENGINE)]


def arguments(task: str, photo: object, **changed: object) -> list[object]:
    values = {each.label: each.value for each in parameters(TASKS[task], ENGINE)}
    return list((values | {"image": photo} | changed).values())


@pytest.mark.parametrize("task", TASKS)
def test_the_documented_defaults_are_good(task: str, photo: dict[str, str]) -> None:
    _check(ENGINE, TASKS[task], names(task), arguments(task, photo))


@pytest.mark.parametrize(("task", "name", "kind"), ARGUMENTS, ids=str)
def test_a_wrong_value_of_any_argument_is_refused(task: str, name: str, kind: str, photo: dict[str, str]) -> None:
    for wrong in (WRONG[kind], "nonsense", [], 1000):
        with pytest.raises(RestorationError) as refused:
            _check(ENGINE, TASKS[task], names(task), arguments(task, photo, **{name: wrong}))
        assert isinstance(refused.value, OptionError) or name == "model"
        assert name.removeprefix("output_") in str(refused.value)


# --- the jobs of the pages ---


def test_every_job_is_looked_at_before_the_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    doors = []
    monkeypatch.setattr(
        "restoration.ui.page.Reception", lambda _page, checks: SimpleNamespace(open=lambda: doors.append(checks))
    )

    async def build() -> gr.Blocks:
        return build_page(ENGINE)  # inside a loop, else Gradio makes one and leaves it unclosed

    built = asyncio.run(build())
    jobs = {str(each.api_name) for each in built.fns.values() if each.concurrency_id == MODEL_QUEUE}
    assert jobs == set(doors[0])
    assert {"deblur", "page_deblur", "page_deblur_example", "page_faces_1"} <= jobs


@pytest.mark.parametrize(
    ("place", "wrong", "words"),
    [
        (0, None, "add a photo"),
        (0, {"path": "/etc/passwd"}, "not uploaded here"),
        (0, "text", "is text"),
        (0, "large", "limit is 4 megapixels"),
        (2, "nonsense", "no model"),
        (3, 7, "strength"),
        (4, "gif", "output format"),
        (5, 101, "quality"),
        (7, 5, "scale"),
    ],
    ids=str,
)
def test_what_a_page_sends_is_checked_before_the_queue(
    place: int, wrong: object, words: str, photo: dict[str, str], tmp_path: Path
) -> None:
    values: list[object] = [photo, None, None, 1.0, "same", 0, False, 2]
    page = SimpleNamespace(fns={1: SimpleNamespace(api_name="page_enlarge_1")})
    (check,) = job_checks(page, ENGINE).values()  # type: ignore[arg-type]
    check(values)
    if isinstance(wrong, str) and place == 0:
        (tmp_path / "text").write_bytes(b"not a picture")
        Image.new("L", (2100, 2100)).save(tmp_path / "large", "PNG")
        wrong = {"path": str(tmp_path / wrong)}
    values[place] = wrong
    with pytest.raises(RestorationError, match=words):
        check(values)


def test_two_slow_files_hold_nobody_up_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look has its time, and those that take longer neither keep others waiting nor get more threads."""
    monkeypatch.setattr(reception, "LOOK_SECONDS", 0.3)
    queued, refused, threads = [], [], set()
    release = threading.Event()

    def check(inputs: list[Any]) -> None:
        threads.add(threading.current_thread())
        if inputs[0] == "slow":
            release.wait(20)
        if inputs[0] == "wrong":
            raise OptionError("This is wrong.")

    async def push(body: Any, _request: object, _username: object) -> tuple[bool, str, str]:
        queued.append(body.data[0])
        return True, "1", "success"

    page = SimpleNamespace(
        fns={1: SimpleNamespace(api_name="deblur")},
        _queue=SimpleNamespace(push=push),
        validate_inputs=lambda _function, _inputs: None,
    )
    door = reception.Reception(page, {"deblur": check})  # type: ignore[arg-type]

    async def refuse(*_: object) -> tuple[bool, str, str]:
        refused.append(True)
        return True, "1", "success"

    monkeypatch.setattr(door, "_refuse", refuse)
    monkeypatch.setattr(reception, "Event", lambda *_: None)

    async def send(payload: str) -> float:
        began = time.monotonic()
        body = SimpleNamespace(fn_index=1, data=[payload], session_hash=None)
        await door.push(body, SimpleNamespace(scope={}), None)  # type: ignore[arg-type]
        return time.monotonic() - began

    async def visit() -> None:
        try:
            await send("wrong")
            assert (queued, len(refused)) == ([], 1)
            early = await asyncio.gather(*(send(each) for each in ("slow", "slow", "good")))
            assert max(early) < 2
            assert sorted(queued) == ["good", "slow", "slow"]
            late = [await send(each) for each in ("wrong", "slow", "good") for _ in range(5)]
            assert max(late) < 0.25  # nobody waits for a look that will not come
            assert len(queued) == 18
            assert len(threads) <= reception.LOOKS_AT_ONCE
        finally:
            release.set()
        await asyncio.sleep(0.3)
        await send("wrong")
        assert len(refused) == 2

    asyncio.run(visit())
