"""The app's pages put together: the main page at `/`, the widget at `/embed`, and the API."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr
from gradio.block_function import BlockFunction
from gradio.components import Navbar
from gradio.components.api_component import Api
from gradio.state_holder import SessionState

from restoration.inference.engine import Engine
from restoration.tasks import TASKS
from restoration.ui import wording
from restoration.ui.desk import Desk
from restoration.ui.endpoints import add_endpoints
from restoration.ui.gate import WRONG_REQUEST, disk_is_full
from restoration.ui.handlers import connect, job_checks
from restoration.ui.logs import in_request
from restoration.ui.panel import EXAMPLES_FOLDER, build_panel
from restoration.ui.reception import Reception
from restoration.ui.speaking import OUR_MISTAKE, note_refusal, request_id, spoken, spoken_errors
from restoration.ui.uploads import NOT_UPLOADED

TITLE = "Photo Restoration"
QUEUE_PLACES = 20
KEEP_SECONDS = 3600
SWEEP_SECONDS = 900


class Page(gr.Blocks):
    """Blocks whose every error is a sentence, and whose API takes plain requests that leave out what has a default."""

    def validate_inputs(self, block_fn: BlockFunction, inputs: list[Any]) -> None:
        """Puts in the documented defaults of arguments that were not sent.

        Raises:
            gr.Error: a widget's value is missing; no visitor's page does that.
        """
        absent = block_fn.inputs[len(inputs) :]
        if not all(isinstance(each, Api) for each in absent):
            raise spoken(WRONG_REQUEST)
        inputs += [each.value for each in absent if isinstance(each, Api)]

    async def preprocess_data(self, *args: Any, **named: Any) -> list[Any]:
        """Looks at what was sent, as Blocks does: only files from the upload cache, or from public addresses.

        Raises:
            gr.Error: it names another file, or an address that cannot be fetched.
        """
        try:
            return await super().preprocess_data(*args, **named)
        except gr.Error:  # a kind of ValueError
            raise
        except (ValueError, OSError) as error:
            if disk_is_full(error):
                raise
            raise spoken(NOT_UPLOADED) from error

    async def process_api(
        self,
        block_fn: BlockFunction | int,
        *args: Any,
        state: SessionState | None = None,
        request: Any = None,
        **named: Any,
    ) -> dict[str, Any]:
        """Calls a handler, as Blocks does; what goes wrong before or after it is told like its own errors."""
        if isinstance(block_fn, BlockFunction) and block_fn.fn is None:  # it runs in the browser alone
            raise spoken(WRONG_REQUEST)
        identity = request_id(request)
        try:
            with in_request(identity), spoken_errors(identity):
                return await super().process_api(block_fn, *args, state=state, request=request, **named)
        except gr.Error as error:
            if error.title != OUR_MISTAKE:
                note_refusal(request)
            if error.print_exception:  # Gradio's own, about a value no widget gives; it would repeat it in the log
                raise spoken(WRONG_REQUEST) from error
            raise
        finally:
            if state is not None:  # Gradio keeps every session's last values, photos inside of JSON too, for deep links
                state.config_values.clear()


def build_page(engine: Engine, desk: Desk | None = None, *, examples: Path = EXAMPLES_FOLDER) -> Page:
    """Builds the whole app around an engine; nothing is served yet (see `server.py`).

    Args:
        engine: does the work; its store says which models are offered.
        desk: watches the jobs; None for one with the usual limits.
        examples: a folder with `examples.json` and the pictures it lists; may be absent.
    """
    desk = desk or Desk()
    with Page(
        title=TITLE, analytics_enabled=False, delete_cache=(SWEEP_SECONDS, KEEP_SECONDS), fill_width=False
    ) as page:
        Navbar(visible=False)
        gr.HTML(wording.HEADER)
        connect(build_panel(engine, examples=examples), engine, desk)
        gr.HTML(wording.FOOTER)
        checks = add_endpoints(engine, desk)
    with page.route("Widget", "/embed", show_in_navbar=False):
        Navbar(visible=False)
        panel = build_panel(engine, compact=True)
        connect(panel, engine, desk)
        page.load(chosen_tab, outputs=panel.tabs, queue=False, show_progress="hidden", api_visibility="private")
    page.queue(max_size=QUEUE_PLACES, default_concurrency_limit=1, api_open=False)
    Reception(page, checks | job_checks(page, engine)).open()
    return page


def chosen_tab(request: gr.Request) -> gr.Tabs:
    """The tab named by `?task=`; the first one when there is none of that name."""
    wanted = request.query_params.get("task", "")
    return gr.Tabs(selected=wanted if wanted in TASKS else next(iter(TASKS)))
