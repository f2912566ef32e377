"""The app's pages put together: the main page at `/`, the widget at `/embed`, and the API."""

from __future__ import annotations

from pathlib import Path

import gradio as gr
from gradio.components import Navbar

from restoration.inference.engine import Engine
from restoration.tasks import TASKS
from restoration.ui import wording
from restoration.ui.endpoints import add_endpoints
from restoration.ui.handlers import connect
from restoration.ui.panel import EXAMPLES_FOLDER, build_panel

TITLE = "Photo Restoration"
QUEUE_PLACES = 20
KEEP_SECONDS = 3600
SWEEP_SECONDS = 900


def build_page(engine: Engine, *, examples: Path = EXAMPLES_FOLDER) -> gr.Blocks:
    """Builds the whole app around an engine; nothing is served yet (see `server.py`).

    Args:
        engine: does the work; its store says which models are offered.
        examples: a folder with `examples.json` and the pictures it lists; may be absent.
    """
    with gr.Blocks(
        title=TITLE, analytics_enabled=False, delete_cache=(SWEEP_SECONDS, KEEP_SECONDS), fill_width=False
    ) as page:
        Navbar(visible=False)
        gr.HTML(wording.HEADER)
        connect(build_panel(engine, examples=examples), engine)
        gr.HTML(wording.FOOTER)
        add_endpoints(engine)
    with page.route("Widget", "/embed", show_in_navbar=False):
        Navbar(visible=False)
        panel = build_panel(engine, compact=True)
        connect(panel, engine)
        page.load(chosen_tab, outputs=panel.tabs, queue=False, show_progress="hidden", api_visibility="private")
    page.queue(max_size=QUEUE_PLACES, default_concurrency_limit=1, api_open=False)
    return page


def chosen_tab(request: gr.Request) -> gr.Tabs:
    """The tab named by `?task=`; the first one when there is none of that name."""
    wanted = request.query_params.get("task", "")
    return gr.Tabs(selected=wanted if wanted in TASKS else next(iter(TASKS)))
