"""The page's own share: the handler from file to file, and a real server asked by the Gradio client."""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.children import ROOT
from benchmarks.goals import HD
from benchmarks.subjects import picture
from benchmarks.timing import seconds_of
from restoration.card import ModelCard
from restoration.inference.engine import Engine
from restoration.tasks import ENLARGE

_ROUNDS = 5
_START_SECONDS = 120.0
_ENGINE = ("prepare", "observe", "restore", "detect")  # stages of a report that are the engine's


class NoServer(Exception):
    """The server did not start; the message says why."""


def light_page(backend: str) -> dict[str, Any]:
    """The lightest x2 enlarger, 1280 x 720, as the page does it: from the uploaded JPEG to result and previews.

    `ratio` is that over the engine's own time of the same job.
    """
    from restoration.pipelines.request import Request
    from restoration.ui.handlers import page_updates
    from restoration.ui.jobs import Order, stream_job
    from restoration.ui.uploads import Photo

    engine = Engine(device="cpu", backend=backend)
    card = lightest(engine)
    engine.warm([card])
    with own_upload_folder() as folder:
        photo, order = Photo(source=photograph(folder), name="photo.jpg"), Order(request=Request(**_wish(card)))
        reports: list[dict[str, Any]] = []

        def call() -> None:
            *_, last = page_updates(stream_job(engine, photo, order))
            reports.append(last[-1])

        call()
        seconds = [seconds_of(call) for _ in range(_ROUNDS)]
    own = [engine_seconds(report) for report in reports[1:]]
    ratio = statistics.median(total / inner for total, inner in zip(seconds, own, strict=True))
    return {"model": card.name, "seconds": statistics.median(seconds), "ratio": ratio}


def _wish(card: ModelCard) -> dict[str, Any]:
    return {"task": card.task, "model": card.name, "scale": card.scale}


def lightest(engine: Engine) -> ModelCard:
    """The x2 enlarger that is available and costs least."""
    cards = [card for card in engine.available(ENLARGE.id) if card.scale == 2]
    return min(cards, key=lambda card: card.gigaflop_per_megapixel)


def round_trip(backend: str) -> dict[str, Any]:
    """A 1280 x 720 JPEG to a real server and back to a file here, less the engine's time by its report.

    `ratio` is the whole round trip over the engine's time.
    """
    from gradio_client import Client, handle_file

    with tempfile.TemporaryDirectory() as folder, served(Path(folder), backend) as url:
        path = photograph(Path(folder))
        client = Client(url, download_files=folder, verbose=False)

        def call() -> tuple[float, float]:
            began = time.perf_counter()
            _, report = client.predict(image=handle_file(str(path)), api_name="/enhance")
            return time.perf_counter() - began, engine_seconds(report)

        call()
        trips = [call() for _ in range(_ROUNDS)]
    return {
        "seconds": statistics.median(total for total, _ in trips),
        "overhead_seconds": statistics.median(total - inner for total, inner in trips),
        "ratio": statistics.median(total / inner for total, inner in trips),
    }


def engine_seconds(report: dict[str, Any]) -> float:
    """The stages of a report in which the engine works."""
    return sum(seconds for stage, seconds in report["seconds"].items() if stage in _ENGINE)


def photograph(folder: Path) -> Path:
    """A 1280 x 720 JPEG in a folder."""
    path = folder / "photo.jpg"
    Image.fromarray(picture(*HD)).save(path, quality=92)
    return path


@contextmanager
def own_upload_folder() -> Iterator[Path]:
    """An upload cache of its own for this process, removed afterwards."""
    before = os.environ.get("GRADIO_TEMP_DIR")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder
        try:
            yield Path(folder)
        finally:
            os.environ.pop("GRADIO_TEMP_DIR")
            if before is not None:
                os.environ["GRADIO_TEMP_DIR"] = before


@contextmanager
def served(folder: Path, backend: str) -> Iterator[str]:
    """`python app.py` on a free port, once its models are warm; ended afterwards.

    Raises:
        NoServer: it ended, or was not warm in time.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    own = {"PORT": str(port), "GRADIO_TEMP_DIR": str(folder / "uploads"), "RESTORATION_BACKEND": backend}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "app.py"], cwd=ROOT, env={**os.environ, **own}, stdout=log, stderr=log
        )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait(process, url)
        yield url
    finally:
        process.terminate()
        process.wait(20)


def _wait(process: subprocess.Popen[bytes], url: str) -> None:
    import httpx

    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{url}/healthz", timeout=5).json()["warm"]:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise NoServer(f"the server was not warm after {_START_SECONDS:.0f} seconds, or ended")
