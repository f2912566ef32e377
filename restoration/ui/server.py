"""Serving the app: launch options, the limits on request bodies, the health route, warming the models up."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from restoration.card import ModelCard
from restoration.errors import RestorationError
from restoration.inference.engine import Engine
from restoration.tasks import TASKS
from restoration.ui.bodies import BodyLimit
from restoration.ui.downloads import bound_downloads
from restoration.ui.panel import EXAMPLES_FOLDER, families
from restoration.ui.style import STYLE_SHEET, build_theme, head

LOG = logging.getLogger(__name__)
DEFAULT_PORT = 7860
FAVICON = Path(__file__).with_name("favicon.svg")


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where the app listens."""

    host: str
    port: int

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Address:
        """`PORT` or `GRADIO_SERVER_PORT`, 7860 otherwise; all interfaces on a Space, this machine only elsewhere.

        Raises:
            ValueError: the port is not a number.
        """
        host = environ.get("GRADIO_SERVER_NAME") or ("0.0.0.0" if environ.get("SPACE_ID") else "127.0.0.1")
        port = environ.get("PORT") or environ.get("GRADIO_SERVER_PORT") or DEFAULT_PORT
        return cls(host=host, port=int(port))


class Warmth:
    """Whether the default models are loaded."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.done = threading.Event()

    def warm(self, cards: Iterable[ModelCard]) -> None:
        """Loads and measures models; one that cannot be loaded is logged and left cold."""
        for card in cards:
            try:
                self.engine.warm([card])
            except RestorationError as error:
                LOG.warning("%s stays cold: %s", card.name, error)
        self.done.set()

    async def answer(self, request: Request) -> JSONResponse:
        """The health route."""
        available = [card.name for card in self.engine.available()]
        return JSONResponse({"status": "ok", "warm": self.done.is_set(), "models": available})


def default_cards(engine: Engine) -> list[ModelCard]:
    """The model each task starts with, where one is available."""
    offered = (families(engine, task) for task in TASKS.values())
    return [next(iter(cards.values()))[0] for cards in offered if cards]


def launch_options(engine: Engine, address: Address, warmth: Warmth) -> dict[str, Any]:
    """What `page.launch` is given: nothing that phones home, keeps runs, or lets large bodies in."""
    megabytes = engine.limits.megabytes
    return {
        "server_name": address.host,
        "server_port": address.port,
        "theme": build_theme(),
        "css_paths": STYLE_SHEET,
        "head": head(),
        "favicon_path": str(FAVICON),
        "footer_links": ["api"],  # the widget hides the footer
        "run_history": False,
        "enable_monitoring": False,
        "show_error": False,
        "ssr_mode": False,
        "pwa": False,
        "share": False,
        "mcp_server": False,
        "allowed_paths": [str(EXAMPLES_FOLDER)] if EXAMPLES_FOLDER.is_dir() else [],
        "max_file_size": int(megabytes * 1e6),
        "app_kwargs": {
            "middleware": [Middleware(BodyLimit, megabytes=megabytes)],
            "routes": [Route("/healthz", warmth.answer)],
        },
    }


def serve(page: gr.Blocks, engine: Engine, address: Address, *, warm_first: bool = False) -> None:
    """Serves the page until the process ends.

    The default models are loaded in the background once the server listens. With `warm_first` all models are, before
    it does: ZeroGPU packs the networks when the page is launched, and a worker would load any other at every call.
    """
    bound_downloads(engine.limits.megabytes)
    warmth = Warmth(engine)
    if warm_first:
        warmth.warm(engine.available())
    page.launch(**launch_options(engine, address, warmth), prevent_thread_lock=True)
    if not warm_first:
        threading.Thread(target=warmth.warm, args=[default_cards(engine)], name="warm-up", daemon=True).start()
    page.block_thread()
