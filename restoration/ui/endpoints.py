"""The API: one named, typed, documented endpoint for every task, and `/models`. Nothing else is public.

An endpoint is a generator: every step yields `(None, progress)`, the last one `(file, report)`, so that a cancelled
call really ends.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import fields
from functools import partial
from typing import Any

import gradio as gr
from gradio.components.api_component import Api
from gradio.context import get_blocks_context

from restoration.images.writing import FORMATS
from restoration.inference.engine import Engine
from restoration.inference.fast import PRECISIONS
from restoration.inference.report import Progress
from restoration.pipelines.request import Request
from restoration.tasks import TASKS, Task
from restoration.ui.desk import Desk
from restoration.ui.handlers import MODEL_QUEUE
from restoration.ui.jobs import Done, Order, Stage, Steps, stream_job
from restoration.ui.panel import families
from restoration.ui.reception import Check, check_early
from restoration.ui.speaking import request_id, spoken_errors
from restoration.ui.uploads import photo_from

Reply = tuple[dict[str, Any] | None, dict[str, Any]]

EXAMPLE = {"path": "photo.jpg", "meta": {"_type": "gradio.FileData"}}
FILE_SCHEMA = gr.FileData.model_json_schema()
REPORT_TEXT = (
    "The report: task, model, checkpoint, device, precision, backend, input and output (width, height, format, bits), "
    "tiles, seconds by stage, warnings."
)


def add_endpoints(engine: Engine, desk: Desk) -> dict[str, Check]:
    """Adds `/deblur`, `/enhance`, `/enlarge`, `/restore_faces` and `/models` to the Blocks being built.

    Returns: what the reception checks for each before the queue.
    """
    checks: dict[str, Check] = {}
    for task in TASKS.values():
        listed = parameters(task, engine)
        _add(
            restore_endpoint(task, engine, desk),
            name=task.endpoint,
            description=f"{task.sentence} Returns the restored file and a report.",
            parameters=listed,
            returns=[_returned("file", FILE_SCHEMA, "The restored photo."), _returned("report", _OBJECT, REPORT_TEXT)],
        )
        checks[task.endpoint] = partial(_check, engine, task, [str(each.label) for each in listed])
    _add(
        lambda: model_list(engine),
        name="models",
        description="Lists every model: its name, task, scale, licence, measured scores, and whether it is available.",
        parameters=[],
        returns=[_returned("models", {"type": "array", "items": {"type": "object"}}, "One object for every model.")],
        queue=False,
    )
    return checks


def _check(engine: Engine, task: Task, names: list[str], inputs: list[Any]) -> None:
    """Raises a RestorationError when arguments of a task's endpoint, in the order of their names, cannot be good."""
    image, *options = inputs
    check_early(engine, _order(task, dict(zip(names[1:], options, strict=False))), image)


def _order(task: Task, options: dict[str, Any]) -> Order:
    """What the named arguments of a task's endpoint, all but the image, ask for; OptionError where one is wrong."""
    written = {each.name: options[each.name] for each in fields(Order) if each.name in options}
    asked = {name: value for name, value in options.items() if name not in written}
    return Order(request=Request(task=task.id, **asked), **written)


_OBJECT: dict[str, Any] = {"type": "object", "additionalProperties": {}}


def parameters(task: Task, engine: Engine) -> list[Api]:
    """The documented arguments of a task's endpoint, in order; all but the image have defaults."""
    offered = families(engine, task)
    listed = [*dict.fromkeys(name for cards in offered.values() for card in cards for name in (card.family, card.name))]
    choice = f"A model family or a model: {', '.join(listed) or 'none is available'}."
    found = [
        _parameter("image", FILE_SCHEMA, None, "The photo: handle_file(path or address).", EXAMPLE),
        _parameter("model", {"type": "string"}, next(iter(offered), task.default_model), choice),
        _parameter("strength", {"type": "number"}, 1.0, "0 (the photo as it is) to 1 (the full effect)."),
    ]
    if task.id == "enlarge":
        scales = sorted({card.scale for cards in offered.values() for card in cards}) or [2, 3, 4]
        text = (
            f"How many times wider and higher: {', '.join(map(str, scales))}; by default the named model's own, or 2."
        )
        found.append(_parameter("scale", {"type": "integer"}, None, text))
    formats = f"{', '.join(FORMATS)}; 'same' keeps the photo's own format."
    found.append(_parameter("output_format", {"enum": list(FORMATS), "type": "string"}, "same", formats))
    text = "1 to 100, for JPEG, WebP and AVIF; null (the default) takes 92, or what a JPEG had if that is higher."
    found.append(_parameter("quality", {"type": "integer"}, None, text))
    fast = [card.name for cards in offered.values() for card in cards if engine.has_fast(card)]
    text = (
        "auto; fp32 for full precision; fast for int8, which "
        f"{', '.join(fast) or 'no model'} can do here: any other runs as with auto, and the report says so."
    )
    found.append(_parameter("precision", {"enum": list(PRECISIONS), "type": "string"}, "auto", text))
    return found


def restore_endpoint(task: Task, engine: Engine, desk: Desk) -> Callable[..., Generator[Reply]]:
    """The generator behind a task's endpoint, with the arguments it documents."""

    def start(payload: object, progress: gr.Progress, sender: gr.Request, **options: object) -> Generator[Reply]:
        with spoken_errors(request_id(sender)):
            order = _order(task, options)
            job = stream_job(engine, photo_from(payload), order, desk, identity=request_id(sender))
            yield from replies(job, progress)

    def restore(  # noqa: PLR0917 - Gradio hands the values over by position
        sender: gr.Request,
        image: object,
        model: object,
        strength: object,
        output_format: object,
        quality: object = None,
        precision: object = "auto",
        progress: gr.Progress = gr.Progress(),  # noqa: B008 - Gradio finds it by its default
    ) -> Generator[Reply]:
        written = {"output_format": output_format, "quality": quality}
        yield from start(image, progress, sender, model=model, strength=strength, precision=precision, **written)

    def enlarge(  # noqa: PLR0917 - Gradio hands the values over by position
        sender: gr.Request,
        image: object,
        model: object,
        strength: object,
        scale: object = None,
        output_format: object = "same",
        quality: object = None,
        precision: object = "auto",
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> Generator[Reply]:
        asked = {"model": model, "strength": strength, "scale": scale, "precision": precision}
        yield from start(image, progress, sender, **asked, output_format=output_format, quality=quality)

    return enlarge if task.id == "enlarge" else restore


def replies(job: Steps, progress: gr.Progress) -> Generator[Reply]:
    """The answers of an endpoint while a job runs; the last one is complete."""
    with closing(job) as steps:
        for step in steps:
            if isinstance(step, Done):
                yield _file_data(step), step.report
            elif isinstance(step, Stage):
                progress(None, desc=step.name)
                yield None, {"stage": step.name}
            else:
                progress((step.done, step.total), desc=step.stage, unit="tiles")
                yield None, _progress(step)


def _progress(step: Progress) -> dict[str, Any]:
    return {
        "stage": step.stage,
        "done": step.done,
        "total": step.total,
        "seconds_left": step.seconds_left,
        "predicted_seconds": step.predicted_seconds,
    }


def _file_data(done: Done) -> dict[str, Any]:
    data = gr.FileData(path=str(done.path), orig_name=done.path.name, size=done.path.stat().st_size)
    return data.model_dump()


def model_list(engine: Engine) -> list[dict[str, Any]]:
    """What `/models` answers."""
    listed = []
    for card in engine.models.values():
        availability = engine.store.availability(card)
        certificate = {} if availability.broken else engine.store.certificate(card) or {}
        first = card.bundled or card.checkpoints[0]
        listed.append(
            {
                "name": card.name,
                "family": card.family,
                "title": card.title,
                "task": card.task,
                "scale": card.scale,
                "available": availability.available,
                "reason": availability.reason,
                "scores": certificate.get("scores", []),
                "licence": certificate.get("licence") or first.licence,
                "fast": engine.has_fast(card),
                "default": card.family == TASKS[card.task].default_model,
            }
        )
    return listed


def _parameter(name: str, schema: dict[str, Any], default: Any, text: str, example: Any = None) -> Api:
    documented = {**schema, "additional_description": text}
    component = Api(default, documented, label=name)  # pyright: ignore[reportArgumentType]
    if example is not None:
        component.example_payload = lambda: example  # the snippet on the page's API view
    return component


def _returned(name: str, schema: dict[str, Any], text: str) -> Api:
    return Api(None, {**schema, "description": text}, label=name)  # pyright: ignore[reportArgumentType]


def _add(
    function: Callable[..., Any],
    *,
    name: str,
    description: str,
    parameters: list[Api],
    returns: list[Api],
    queue: bool = True,
) -> None:
    """What `gr.api` does, with documented parameters (it takes them from type hints, which hold no text)."""
    root = get_blocks_context()
    if root is None:
        raise RuntimeError("an endpoint is added inside a Blocks context")
    root.set_event_trigger(
        [],
        function,
        parameters,
        returns,
        preprocess=False,
        postprocess=False,
        show_progress="hidden",
        api_name=name,
        api_description=description,
        queue=queue,
        concurrency_id=MODEL_QUEUE if inspect.isgeneratorfunction(function) else None,
        concurrency_limit=1,
        trigger_mode=None,
    )
