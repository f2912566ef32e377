"""What the widgets of a page do. The handlers check everything themselves: hidden endpoints are not protected ones."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Generator, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from restoration.errors import ImageFileError
from restoration.images.document import ImageDocument
from restoration.images.preview import preview_size, write_preview
from restoration.images.reading import read_header, read_image
from restoration.inference.engine import Engine
from restoration.inference.report import Progress
from restoration.pipelines.request import Request
from restoration.tasks import TASKS
from restoration.ui import wording
from restoration.ui.desk import Desk
from restoration.ui.jobs import Done, Order, Stage, Steps, stream_job
from restoration.ui.panel import Panel, TaskTab, families, fast_choice, measured_gain
from restoration.ui.reception import Check, check_early
from restoration.ui.speaking import request_id, spoken_errors
from restoration.ui.uploads import Photo, photo_from, upload_folder

PREVIEW_SIDE = 1600
SHOWN_BY_BROWSERS = frozenset({"JPEG", "PNG", "WEBP", "GIF", "BMP", "AVIF"})
MODEL_QUEUE = "model"
STOP_MILLISECONDS = 1000
SHOW_STATUS = """() => {
    const show = () => document.querySelector(".status.busy")?.scrollIntoView({behavior: "smooth", block: "nearest"});
    setTimeout(show, 100);
    return STATUS;
}"""
SHOW_RESULT = """() => {
    const result = [...document.querySelectorAll(".result")].find((each) => each.offsetParent);
    if (result && window.innerWidth < 700) result.scrollIntoView({behavior: "smooth", block: "nearest"});
}"""
SKIP = gr.skip()
_JOB_NAME = "page_"
"""Begins the name of a job's endpoint; Gradio numbers those of other pages."""


def connect(panel: Panel, engine: Engine, desk: Desk) -> None:
    """Wires every widget of a page. All model work shares one concurrency group."""
    jobs: list[Any] = []
    for tab in panel.tasks:
        _connect_options(tab, engine)
        jobs += _connect_run(panel, tab, engine, desk)
    statuses = [tab.status for tab in panel.tasks]
    for own in range(len(statuses)):
        _connect_stop(panel.tasks[own].stop, statuses, own, jobs)
    _connect_upload(panel, engine)
    _connect_view(panel)


def _connect_run(panel: Panel, tab: TaskTab, engine: Engine, desk: Desk) -> list[Any]:
    inputs = [panel.photo, panel.originals, tab.model, tab.strength, panel.output_format, panel.quality, tab.fast]
    inputs += [tab.scale] if tab.scale else []
    outputs = [tab.status, panel.empty, panel.result, panel.slider, panel.view, panel.caption]
    outputs += [panel.download, panel.report, panel.report_json]
    options: dict[str, Any] = {
        "fn": job_handler(tab.task.id, engine, desk),
        "inputs": inputs,
        "outputs": outputs,
        "preprocess": False,
        "show_progress": "hidden",
        "concurrency_id": MODEL_QUEUE,
        "concurrency_limit": 1,
        "api_visibility": "private",
    }
    waiting: dict[str, Any] = {
        "fn": None,
        "outputs": tab.status,
        "js": SHOW_STATUS.replace("STATUS", repr(wording.status("In the queue", busy=True))),
        "show_progress": "hidden",
        "api_visibility": "private",
    }
    jobs = [tab.run.click(**waiting).then(**options, api_name=_JOB_NAME + tab.task.id)]
    if tab.examples is not None:
        chosen = tab.examples.click(
            example_handler(tab.example_files),
            inputs=tab.examples,
            outputs=[panel.photo, panel.originals],
            show_progress="hidden",
            queue=False,
            api_visibility="private",
        )
        jobs.append(chosen.success(**waiting).then(**options, api_name=f"{_JOB_NAME}{tab.task.id}_example"))
    for job in jobs:
        job.success(None, js=SHOW_RESULT, show_progress="hidden", api_visibility="private")
        job.failure(
            None,
            inputs=tab.status,
            outputs=tab.status,
            js=f"(shown) => shown.includes('busy') ? {wording.status()!r} : shown",
            show_progress="hidden",
            api_visibility="private",
        )
    return jobs


def _connect_stop(button: gr.Button, statuses: list[gr.HTML], own: int, jobs: list[Any]) -> None:
    """Stops whichever job runs. For a second no other can be begun: Gradio closes the session's stream meanwhile."""
    stopping = [wording.status() for _ in statuses]
    stopping[own] = wording.status("Stopping", kind="stopping")
    stopped = wording.status("Stopped. The photo and the last result are still here.")
    later = f"() => new Promise((done) => setTimeout(() => done({stopped!r}), {STOP_MILLISECONDS}))"
    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    stop = button.click(lambda: stopping, outputs=statuses, cancels=jobs, queue=False, **quiet)
    stop.then(None, outputs=statuses[own], js=later, **quiet)


def _connect_options(tab: TaskTab, engine: Engine) -> None:
    scale = tab.scale
    describe = note_handler(tab, engine)
    common: dict[str, Any] = {
        "fn": describe,
        "preprocess": False,
        "queue": False,
        "show_progress": "hidden",
        "api_visibility": "private",
    }
    if scale is None:
        tab.model.input(inputs=tab.model, outputs=[tab.note, tab.fast], **common)
    else:
        outputs = [tab.note, tab.fast, scale]
        gr.on([tab.model.input, scale.input], inputs=[tab.model, scale], outputs=outputs, **common)


def _connect_upload(panel: Panel, engine: Engine) -> None:
    panel.photo.upload(
        upload_handler(engine),
        inputs=panel.photo,
        outputs=[panel.photo, panel.originals, panel.status],
        preprocess=False,
        show_progress="hidden",
        concurrency_id="uploads",
        concurrency_limit=1,
        api_visibility="private",
    )


def _connect_view(panel: Panel) -> None:
    positions = {"Before": 100, "Compare": 50, "After": 0}
    panel.view.input(
        lambda view: gr.update(slider_position=positions.get(view, 50)),
        inputs=panel.view,
        outputs=panel.slider,
        queue=False,
        show_progress="hidden",
        api_visibility="private",
    )


def job_handler(task: str, engine: Engine, desk: Desk) -> Callable[..., Generator[tuple[Any, ...]]]:
    """The generator behind a primary button: status updates, then the result. Closing it ends the job."""

    def run(  # noqa: PLR0917 - Gradio hands the values over by position
        sender: gr.Request,
        payload: object,
        originals: dict[str, dict[str, str]],
        model: object,
        strength: object,
        output_format: object,
        quality: object,
        fast: object = False,
        scale: object = None,
    ) -> Generator[tuple[Any, ...]]:
        with spoken_errors(request_id(sender)):
            photo = photo_from(payload, originals)
            order = _order(task, model, strength, output_format, quality, fast, scale)
            yield from page_updates(stream_job(engine, photo, order, desk, identity=request_id(sender)))

    return run


def _order(task: str, *options: Any) -> Order:
    """What the values of a page's widgets ask for, in the order of the inputs in `_connect_run`."""
    model, strength, output_format, quality, fast, *scales = options
    scale, precision = next(iter(scales), None), "fast" if fast is True else "auto"
    request = Request(task=task, model=model, scale=scale, strength=strength, precision=precision)
    wanted = None if quality == 0 else quality  # the slider's "automatic"
    return Order(request=request, output_format=output_format, quality=wanted)


def job_checks(page: gr.Blocks, engine: Engine) -> dict[str, Check]:
    """What the reception checks for each job of the pages, before the queue.

    Of a photo the browser cannot show, the preview is looked at: its own head was read when it was uploaded.
    """
    names = [str(function.api_name) for function in page.fns.values()]
    return {
        name: partial(_check, engine, task) for task in TASKS for name in names if name.startswith(_JOB_NAME + task)
    }


def _check(engine: Engine, task: str, inputs: list[Any]) -> None:
    """Raises a RestorationError when a page's values cannot be good."""
    payload, _, *options = inputs
    check_early(engine, _order(task, *options), payload)


def page_updates(job: Steps) -> Generator[tuple[Any, ...]]:
    """The updates of the page while a job runs, in the order of the outputs in `_connect_run`."""
    unchanged, said = (SKIP,) * 8, set[str]()
    with closing(job) as steps:
        for step in steps:
            if isinstance(step, Stage):
                yield wording.status(wording.STAGES[step.name], busy=True), *unchanged
            elif isinstance(step, Progress):
                said.update(step.warnings if step.predicted_seconds else ())
                yield wording.progress_status(step), *unchanged
            else:
                yield result_updates(step, said)


def result_updates(done: Done, said: Collection[str]) -> tuple[Any, ...]:
    """The page with a finished job on it; warnings shown while it computed stand in the report only."""
    pair = preview_pair(done.before, done.after, done.path.parent)
    warning = " ".join(sentence for sentence in done.report["warnings"] if sentence not in said)
    return (
        wording.status("Done.", note=warning, kind="quiet" if warning else "done"),
        gr.update(visible=False),
        gr.update(visible=True),
        gr.update(value=pair, slider_position=50),
        "Compare",
        f'<p class="caption"><b>{done.path.name}</b><br>{wording.result_caption(done.report)}</p>',
        str(done.path),
        wording.report_table(done.report),
        done.report,
    )


def preview_pair(before: ImageDocument, after: ImageDocument, folder: Path) -> tuple[str, str]:
    """Preview files of one size, at most 1600 pixels long: the photo at the result's size, and the result."""
    size = preview_size(after, PREVIEW_SIDE)
    left = write_preview(before, folder / "before", size=size)
    right = write_preview(after, folder / "after", size=size)
    return str(left), str(right)


def example_handler(files: list[Path]) -> Callable[[int], tuple[str, dict[str, Any]]]:
    """Puts the clicked example in the upload's place."""

    def choose(index: int) -> tuple[str, dict[str, Any]]:
        with spoken_errors():
            if not isinstance(index, int) or not 0 <= index < len(files):
                raise ImageFileError("There is no such example.")
            return str(files[index]), {}

    return choose


def upload_handler(engine: Engine) -> Callable[[object], Iterator[tuple[Any, Any, Any]]]:
    """Looks at a new upload: a wrong file is refused in a sentence, one the browser cannot show gets a preview."""

    def look(payload: object) -> Iterator[tuple[Any, Any, Any]]:
        with spoken_errors():
            try:
                photo = photo_from(payload)
                header = read_header(photo.source, limits=engine.limits)
                if header.format in SHOWN_BY_BROWSERS or not isinstance(photo.source, Path):
                    yield SKIP, {}, wording.status()
                    return
                yield SKIP, {}, wording.status("Preparing a preview", busy=True)
                yield *_stand_in(photo, engine), wording.status()
            except ImageFileError as error:
                gr.Warning(str(error), title="This file cannot be used")
                yield None, {}, wording.status(str(error))

    return look


def _stand_in(photo: Photo, engine: Engine) -> tuple[str, dict[str, dict[str, str]]]:
    """A preview for a file the browser cannot show, and the note which file it stands for."""
    folder = upload_folder() / secrets.token_hex(16)
    folder.mkdir(parents=True)
    document = read_image(photo.source, limits=engine.limits, name=photo.name)
    preview = write_preview(document, folder / document.origin.name, longest=PREVIEW_SIDE)
    return str(preview), {str(preview): {"path": str(photo.source), "orig_name": photo.name}}


def note_handler(tab: TaskTab, engine: Engine) -> Callable[..., Any]:
    """Describes the chosen model and its fast precision; for Enlarge the scales it has, too."""
    offered = families(engine, tab.task)

    def describe(family: object, scale: object = None) -> Any:
        cards = offered.get(str(family)) or next(iter(offered.values()))
        card = next((card for card in cards if card.scale == scale), cards[0])
        said = wording.model_note(card, measured_gain(engine, card)), gr.update(**fast_choice(engine, card))
        if tab.scale is None:
            return said
        return *said, gr.update(choices=[(f"{each.scale}×", each.scale) for each in cards], value=card.scale)

    return describe
