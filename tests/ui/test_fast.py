"""The fast precision on the page and in the API: offered only where a model has it, and asked for only when chosen."""

import asyncio
from types import SimpleNamespace

import gradio as gr
import pytest

from restoration.inference.engine import Engine
from restoration.tasks import TASKS
from restoration.ui import endpoints, handlers
from restoration.ui.desk import Desk
from restoration.ui.page import build_page
from restoration.ui.panel import fast_choice
from restoration.ui.wording import fast_note

WITH, WITHOUT = "ecbsr-x2", "pix2pix-faces"


@pytest.fixture(scope="module")
def engine() -> Engine:
    """The bundled models; nothing is loaded."""
    pytest.importorskip("openvino")
    return Engine(device="cpu", backend="auto")


def choice(engine: Engine, name: str) -> dict[str, object]:
    return fast_choice(engine, engine.models[name])


def test_the_box_is_there_only_where_the_model_has_that_precision(engine: Engine) -> None:
    shown, hidden = choice(engine, WITH), choice(engine, WITHOUT)
    assert shown["visible"] is True
    assert hidden == fast_choice(engine, None) == {"value": False, "info": "", "visible": False}
    facts = engine.store.certificate(engine.models[WITH])["fast"]
    assert f"{facts['speedup']:.1f} times" in str(shown["info"])
    assert f"{facts['loss_db']:.2f} dB" in str(shown["info"])


def test_torch_has_no_fast_precision_to_offer() -> None:
    assert choice(Engine(device="cpu", backend="torch"), WITH)["visible"] is False


def test_another_model_brings_its_own_box_unchecked(engine: Engine) -> None:
    tab = SimpleNamespace(task=TASKS["enlarge"], scale=object())
    _, box, _ = handlers.note_handler(tab, engine)("ecbsr", 2)
    assert (box["visible"], box["value"]) == (True, False)
    _, box, _ = handlers.note_handler(tab, engine)("ecbsr", 4)
    assert (box["visible"], box["value"]) == (engine.has_fast(engine.models["ecbsr-x4"]), False)


@pytest.mark.parametrize(("box", "precision"), [(True, "fast"), (False, "auto"), ("yes", "auto"), (None, "auto")])
def test_the_box_decides_the_precision(monkeypatch: pytest.MonkeyPatch, engine: Engine, box: object, precision: str):
    orders = []
    monkeypatch.setattr(handlers, "photo_from", lambda *_: "photo")
    monkeypatch.setattr(handlers, "stream_job", lambda _e, _p, order, *_a, **_k: orders.append(order) or iter(()))
    monkeypatch.setattr(handlers, "page_updates", lambda job: job)
    run = handlers.job_handler("enlarge", engine, Desk())
    list(run(gr.Request(), {}, {}, "ecbsr", 1.0, "same", 92, box, 2))
    assert orders[0].request.precision == precision


def test_the_page_hands_the_box_to_the_job(engine: Engine) -> None:
    async def build() -> gr.Blocks:
        return build_page(engine, Desk())  # inside a loop, else Gradio makes one and leaves it unclosed

    page = asyncio.run(build())
    jobs = [each for each in page.fns.values() if str(each.api_name).startswith("page_")]
    assert jobs
    for job in jobs:
        assert job.inputs[6].label == "Fast"


def test_the_api_says_which_models_have_it(engine: Engine) -> None:
    (found,) = (each for each in endpoints.parameters(TASKS["enlarge"], engine) if each.label == "precision")
    assert found.api_info()["enum"] == ["auto", "fp32", "fast"]
    assert WITH in found.api_info()["additional_description"]
    (other,) = (each for each in endpoints.parameters(TASKS["faces"], engine) if each.label == "precision")
    assert "no model can do here" in other.api_info()["additional_description"]
    listed = {each["name"]: each["fast"] for each in endpoints.model_list(engine)}
    assert (listed[WITH], listed[WITHOUT]) == (True, False)


@pytest.mark.parametrize(
    ("loss", "price"),
    [(0.0937, "up to 0.09 dB"), (0.005, "up to 0.01 dB"), (0.0015, "less than 0.01 dB"), (-0.01, "less than")],
)
def test_its_price_is_never_nothing(loss: float, price: str) -> None:
    assert f" for {price}" in fast_note({"speedup": 1.28, "loss_db": loss})
    assert "about 1.3 times" in fast_note({"speedup": 1.28, "loss_db": loss})
