"""The server under load, in a process of its own that can be killed and started again at the same address."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import httpx
from PIL import Image

from tests.ui.conftest import ROOT, free_port

START_SECONDS, END_SECONDS = 180, 60


class Host:
    """Starts a server and waits until it is warm.

    Args:
        command: its words; the port is added.
        folder: for its cache and its log.

    `kills` counts; `down` while it is known not to answer.
    """

    def __init__(self, command: list[str], folder: Path) -> None:
        self._command, self._folder, self._port = command, folder, free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self.cache = folder / "cache"
        self.kills, self.down = 0, True
        self.start()

    @property
    def pid(self) -> int:
        """Of the process that serves now."""
        return self._process.pid

    def start(self) -> None:
        """Starts it, again after a kill."""
        environment = {**os.environ, "PORT": str(self._port), "GRADIO_TEMP_DIR": str(self.cache)}
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*self._command, str(self._port)], cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._warm():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"the server did not start:\n{(self._folder / 'log').read_text()[-2000:]}")
            time.sleep(0.5)
        self.down = False

    def kill(self) -> None:
        """As a machine that fails does."""
        self.down = True
        self._process.kill()
        self._process.wait(END_SECONDS)
        self.kills += 1

    def end(self) -> None:
        """As a supervisor does."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(END_SECONDS)

    def running(self) -> int:
        """How many jobs compute now; 0 while nobody answers."""
        try:
            return int(httpx.get(f"{self.url}/healthz", timeout=30).json()["queue"]["running"])
        except (httpx.HTTPError, ValueError):
            return 0

    def _warm(self) -> bool:
        try:
            return bool(httpx.get(f"{self.url}/healthz", timeout=5).json()["warm"])
        except (httpx.HTTPError, ValueError):
            return False


def kill_again_and_again(host: Host, every: float, stop: threading.Event) -> None:
    """Kills the server in the middle of a job, at most every so many seconds, and starts it again."""
    while not stop.wait(every):
        while not host.running():
            if stop.wait(0.05):
                return
        host.kill()
        host.start()


def half_written(cache: Path) -> list[str]:
    """Parts of files that are left in the cache of an idle server, and results that cannot be read."""
    wrong = [f"left behind: {path.name}" for path in cache.rglob("*.part")]
    for path in cache.rglob("mark*-*"):
        try:
            with Image.open(path) as picture:
                picture.load()
        except OSError as error:
            wrong.append(f"half written: {path.name}: {error}")
    return wrong
