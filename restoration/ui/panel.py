"""The widgets of one page: the upload, a tab for every task, the output options and the result.

Only lays out; what the widgets do stands in `handlers.py`. A task in `tasks.py` gives a tab here by itself.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gradio as gr

from restoration.card import ModelCard
from restoration.images.writing import FORMATS
from restoration.inference.engine import Engine
from restoration.inference.fast import fast_facts
from restoration.tasks import TASKS, Task
from restoration.ui import wording

EXAMPLES_FOLDER = Path(__file__).resolve().parents[2] / "examples"
FORMAT_NAMES = {"same": "Same as the photo", "png": "PNG", "jpeg": "JPEG", "webp": "WebP", "tiff": "TIFF"}
BUTTONS = {"deblur": "Deblur", "enhance": "Enhance", "enlarge": "Enlarge", "faces": "Restore faces"}


@dataclass(slots=True, kw_only=True)
class TaskTab:
    """The widgets of one task. `status` tells how its job goes, below its button."""

    task: Task
    status: gr.HTML
    model: gr.Radio
    note: gr.HTML
    scale: gr.Radio | None
    strength: gr.Slider
    fast: gr.Checkbox
    run: gr.Button
    stop: gr.Button
    examples: gr.Dataset | None
    example_files: list[Path] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Panel:
    """Every widget of one page that a handler reads or writes.

    status: what is to be said about the upload.
    originals: per visitor: the path of a preview shown on the page -> the uploaded file it stands for.
    """

    photo: gr.Image
    originals: gr.State
    tabs: gr.Tabs
    tasks: list[TaskTab]
    output_format: gr.Dropdown
    quality: gr.Slider
    status: gr.HTML
    empty: gr.HTML
    slider: gr.ImageSlider
    view: gr.Radio
    result: gr.Column
    caption: gr.HTML
    download: gr.DownloadButton
    report: gr.HTML
    report_json: gr.JSON


def families(engine: Engine, task: Task) -> dict[str, list[ModelCard]]:
    """The models offered for a task: family -> its available cards, smallest scale first; the default family first."""
    found: dict[str, list[ModelCard]] = {}
    for card in engine.available(task.id):
        found.setdefault(card.family, []).append(card)
    for cards in found.values():
        cards.sort(key=lambda card: card.scale)
    return dict(sorted(found.items(), key=lambda item: item[0] != task.default_model))


def broken_cards(engine: Engine, task: str | None = None) -> list[tuple[ModelCard, str]]:
    """The models (of a task) that should be here but cannot be used, and why."""
    cards = engine.models.values() if task is None else engine.models.of_task(task)
    found = ((card, engine.store.availability(card)) for card in cards)
    return [(card, availability.reason) for card, availability in found if availability.broken]


def family_title(card: ModelCard) -> str:
    """The title without the scale, which has a widget of its own."""
    return card.title.removesuffix(f" x{card.scale}")


def measured_gain(engine: Engine, card: ModelCard) -> str:
    """The gain written in the card's birth certificate, in words."""
    return wording.gain(engine.store.certificate(card), TASKS[card.task].baseline)


def fast_choice(engine: Engine, card: ModelCard | None) -> dict[str, Any]:
    """The state of the "Fast" box for a model: there, with what it costs, only where the model has that precision."""
    facts = fast_facts(card, engine.store) if card is not None and engine.has_fast(card) else None
    return {"value": False, "info": wording.fast_note(facts) if facts else "", "visible": facts is not None}


def build_panel(engine: Engine, *, compact: bool = False, examples: Path = EXAMPLES_FOLDER) -> Panel:
    """Lays out one page inside the current Blocks. `compact` is the widget: one column, no examples."""
    with gr.Row(elem_classes=["workbench", "slim" if compact else "wide"], equal_height=False):
        with gr.Column(scale=5, min_width=280, elem_classes="controls"):
            photo = _photo(compact)
            status = gr.HTML(wording.status(), elem_classes="status-box")
            tabs, tasks = _tabs(engine, [] if compact else offered_examples(examples), examples)
            output_format, quality = _output_options()
        with gr.Column(scale=7, min_width=280, elem_classes="outcome"):
            empty = gr.HTML(wording.EMPTY_RESULT, visible=not compact)
            result = _result()
    return Panel(
        photo=photo,
        originals=gr.State({}),
        tabs=tabs,
        tasks=tasks,
        output_format=output_format,
        quality=quality,
        status=status,
        empty=empty,
        **result,
    )


def _photo(compact: bool) -> gr.Image:
    return gr.Image(
        type="filepath",
        image_mode=None,
        sources=["upload", "clipboard", "webcam"],
        label="Photo",
        show_label=False,
        height=200 if compact else 250,
        buttons=["fullscreen"],
        placeholder="# Drop a photo here\nor click to choose one",
        alt_text="The photo you added",
        elem_classes="photo",
    )


def _tabs(engine: Engine, examples: list[dict[str, Any]], folder: Path) -> tuple[gr.Tabs, list[TaskTab]]:
    built: list[TaskTab] = []
    with gr.Tabs(elem_classes="tasks") as tabs:
        for task in TASKS.values():
            with gr.Tab(task.title, id=task.id):
                shown = [folder / example["file"] for example in examples if example["task"] == task.id]
                built.append(_task_tab(engine, task, shown))
    return tabs, built


def _task_tab(engine: Engine, task: Task, example_files: list[Path]) -> TaskTab:
    offered = families(engine, task)
    cards = next(iter(offered.values()), [])
    gr.HTML(f'<p class="task-sentence">{task.sentence}</p>')
    missing = '<p class="model-note">No model for this can be used here.</p>'
    model = gr.Radio(
        choices=[(family_title(each[0]), family) for family, each in offered.items()],
        value=next(iter(offered), None),
        label="Model",
        visible=bool(offered),
        elem_classes="model",
    )
    note = gr.HTML(wording.model_note(cards[0], measured_gain(engine, cards[0])) if cards else missing)
    if broken := broken_cards(engine, task.id):
        gr.HTML(wording.broken_models([(card.title, reason) for card, reason in broken]))
    scale = _scale(cards) if task.id == "enlarge" else None
    strength = gr.Slider(
        0,
        1,
        value=1,
        step=0.05,
        label="Strength",
        info="0 leaves the photo as it is, 1 is the full effect.",
        visible=bool(cards),
    )
    fast = gr.Checkbox(label="Fast", **fast_choice(engine, cards[0] if cards else None), elem_classes="fast")
    with gr.Row(elem_classes="actions"):
        run = gr.Button(BUTTONS.get(task.id, task.title), variant="primary", interactive=bool(cards), elem_classes="go")
        stop = gr.Button("Stop", variant="stop", elem_classes="halt")
    status = gr.HTML(wording.status(), elem_classes="status-box")
    dataset = _examples(example_files) if example_files and cards else None
    return TaskTab(
        task=task,
        status=status,
        model=model,
        note=note,
        scale=scale,
        strength=strength,
        fast=fast,
        run=run,
        stop=stop,
        examples=dataset,
        example_files=example_files,
    )


def _scale(cards: list[ModelCard]) -> gr.Radio:
    return gr.Radio(
        choices=[(f"{card.scale}×", card.scale) for card in cards],
        value=cards[0].scale if cards else None,
        label="Enlarge by",
        visible=bool(cards),
        elem_classes="scale",
    )


def _examples(files: list[Path]) -> gr.Dataset:
    return gr.Dataset(
        label="Try one of these",
        components=[gr.Image(type="filepath", image_mode=None, visible=False, render=False)],
        samples=[[str(file)] for file in files],
        type="index",
        layout="gallery",
        elem_classes="examples",
    )


def _output_options() -> tuple[gr.Dropdown, gr.Slider]:
    with gr.Accordion("Output", open=False, elem_classes="output"):
        output_format = gr.Dropdown(
            choices=[(FORMAT_NAMES.get(name, name), name) for name in FORMATS],
            value="same",
            label="File format",
            filterable=False,
        )
        quality = gr.Slider(
            0, 100, value=0, step=1, label="Quality",
            info="For JPEG, WebP and AVIF. 0 takes 92, or what your JPEG had if that is higher.",
        )  # fmt: skip
    return output_format, quality


def _result() -> dict[str, Any]:
    with gr.Column(visible=False, elem_classes="result") as result:
        slider = gr.ImageSlider(
            type="filepath",
            image_mode=None,
            label="Before and after",
            show_label=False,
            buttons=["fullscreen"],
            max_height=560,
            elem_classes="compare",
        )
        with gr.Row(elem_classes="under-picture"):
            view = gr.Radio(
                choices=["Before", "Compare", "After"],
                value="Compare",
                label="Show",
                show_label=False,
                container=False,
                elem_classes="view",
            )
            download = gr.DownloadButton("Download", variant="primary", size="md", elem_classes="download")
        caption = gr.HTML()
        with gr.Accordion("Report", open=False, elem_classes="report-box"):
            report = gr.HTML()
            report_json = gr.JSON(label="As JSON", open=True)
    return {
        "slider": slider,
        "view": view,
        "result": result,
        "caption": caption,
        "download": download,
        "report": report,
        "report_json": report_json,
    }


def offered_examples(folder: Path) -> list[dict[str, Any]]:
    """The entries of `examples.json` whose files are there; none when the folder is absent."""
    listing = folder / "examples.json"
    if not listing.is_file():
        return []
    return [entry for entry in json.loads(listing.read_text(encoding="utf-8")) if (folder / entry["file"]).is_file()]
