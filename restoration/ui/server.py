"""Serving the app: launch options, middleware, the health route, warming the models up, and ending well."""

from __future__ import annotations

import gc
import importlib.metadata
import logging
import os
import signal
import threading
import time
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from fastapi.exceptions import RequestValidationError
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from restoration.card import ModelCard
from restoration.errors import RestorationError
from restoration.inference.engine import Engine
from restoration.tasks import TASKS
from restoration.ui.bodies import BodyLimit
from restoration.ui.desk import Desk
from restoration.ui.downloads import bound_downloads
from restoration.ui.gate import Gate, refuse_malformed
from restoration.ui.panel import EXAMPLES_FOLDER, broken_cards, families
from restoration.ui.rates import RateLimit
from restoration.ui.settings import Serving
from restoration.ui.style import STYLE_SHEET, build_theme, head
from restoration.ui.sweeping import Sweeper
from restoration.ui.uploads import upload_folder

LOG = logging.getLogger(__name__)
DEFAULT_PORT = 7860
SWEEP_SECONDS = 60.0
LAST_SECONDS = 5.0
"""For what is still to be told when the process ends."""
PROJECT_FILE = Path(__file__).resolve().parents[2] / "pyproject.toml"
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


class Health:
    """What `/healthz` answers, and the warming up it tells of.

    Args:
        engine: whose models are listed.
        desk: whose jobs are counted.
        page: whose queue is counted; None while there is none.
    """

    def __init__(self, engine: Engine, desk: Desk, page: gr.Blocks | None = None) -> None:
        self.engine, self.desk, self.page = engine, desk, page
        self.version = app_version()
        self.warm_done = threading.Event()

    def warm(self, cards: Iterable[ModelCard]) -> None:
        """Loads and measures models; one that cannot be loaded is logged and left cold."""
        for card in cards:
            try:
                self.engine.warm([card])
            except RestorationError as error:
                LOG.warning("%s stays cold: %s", card.name, error)
            except Exception:  # a bug; the other models may be free of it, and jobs will say so
                LOG.exception("%s stays cold", card.name)
        self.warm_done.set()

    async def answer(self, _request: Request) -> JSONResponse:
        """The health route: 200 while photos can be taken, 503 while the process ends or a job is stuck."""
        status = "stuck" if self.desk.stuck else "ending" if self.desk.closed else "ok"
        return JSONResponse({"status": status, **self.facts()}, status_code=200 if status == "ok" else 503)

    def facts(self) -> dict[str, Any]:
        """Version, models (and which cannot be used), device and queue."""
        queue = self.page._queue if self.page is not None else None  # pyright: ignore[reportPrivateUsage]
        return {
            "version": self.version,
            "warm": self.warm_done.is_set(),
            "device": self.engine.device,
            "models": [card.name for card in self.engine.available()],
            "unavailable": {card.name: reason for card, reason in broken_cards(self.engine)},
            "queue": {
                "running": self.desk.running,
                "waiting": len(queue) if queue is not None else 0,
                "places": queue.max_size if queue is not None else 0,
                "done": self.desk.done,
            },
        }


def app_version() -> str:
    """The version in pyproject.toml, or of the installed package."""
    if PROJECT_FILE.is_file():
        return tomllib.loads(PROJECT_FILE.read_text(encoding="utf-8"))["project"]["version"]
    return importlib.metadata.version("restoration")


def default_cards(engine: Engine) -> list[ModelCard]:
    """The model each task starts with, where one is available."""
    offered = (families(engine, task) for task in TASKS.values())
    return [next(iter(cards.values()))[0] for cards in offered if cards]


def launch_options(health: Health, address: Address, serving: Serving) -> dict[str, Any]:
    """What `page.launch` is given: nothing that phones home, keeps runs, or lets large bodies in."""
    megabytes = health.engine.limits.megabytes
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
            "middleware": [
                Middleware(Gate, frame_ancestors=serving.frame_ancestors),
                Middleware(RateLimit, rate=serving.rate, proxies=serving.proxies),
                Middleware(BodyLimit, megabytes=megabytes),
            ],
            "routes": [Route("/healthz", health.answer)],
            "exception_handlers": {RequestValidationError: refuse_malformed},
        },
    }


def serve(
    page: gr.Blocks,
    engine: Engine,
    address: Address,
    *,
    desk: Desk | None = None,
    serving: Serving | None = None,
    warm_first: bool = False,
) -> None:
    """Serves the page until the process is told to end (SIGTERM, Ctrl+C); then the running job may finish.

    The default models are loaded in the background once the server listens. With `warm_first` all models are, before
    it does: ZeroGPU packs the networks when the page is launched, and a worker would load any other at every call.
    """
    desk, serving = desk or Desk(), serving or Serving()
    bound_downloads(engine.limits.megabytes)
    _sweeper(page, serving).start(SWEEP_SECONDS)
    health = Health(engine, desk, page)
    if warm_first:
        health.warm(engine.available())
    os.environ.setdefault("FORWARDED_ALLOW_IPS", "")  # uvicorn would believe this machine's visitors who they are
    told = _told_to_end()
    page.launch(**launch_options(health, address, serving), prevent_thread_lock=True, quiet=True)
    LOG.info("serving", extra={"fields": {"host": address.host, "port": address.port, "version": health.version}})
    if not warm_first:
        threading.Thread(target=health.warm, args=[default_cards(engine)], name="warm-up", daemon=True).start()
    while not told.wait(3600):
        pass
    _end(page, desk, serving.stop_seconds)


def _sweeper(page: gr.Blocks, serving: Serving) -> Sweeper:
    kept = {Path(path) for block in page.blocks.values() for path in getattr(block, "keep_in_cache", ())}
    return Sweeper(
        upload_folder(), keep_seconds=serving.keep_seconds, megabytes=serving.cache_megabytes, kept=sorted(kept)
    )


def _told_to_end() -> threading.Event:
    """An event that is set by SIGTERM and SIGINT, where this thread may listen to them."""
    told = threading.Event()
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: told.set())
    return told


def _end(page: gr.Blocks, desk: Desk, seconds: float) -> None:
    """Lets the running job finish and tells all others; then closes the server."""
    LOG.info("ending: %d running, %d waiting", desk.running, len(page._queue))  # pyright: ignore[reportPrivateUsage]
    if not desk.close(seconds):
        desk.end(LAST_SECONDS)
    deadline = time.monotonic() + LAST_SECONDS
    while len(page._queue) and time.monotonic() < deadline:  # pyright: ignore[reportPrivateUsage]
        time.sleep(0.1)
    time.sleep(1.0)  # the last answers are on their way
    page.close(verbose=False)
    LOG.info("ended")
    gc.freeze()  # else the interpreter looks through every object once more before it ends, for seconds
