"""One server for all tests of the page, in a process of its own, and pictures to send to it."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import pytest
from gradio_client import Client
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Server:
    url: str
    pid: int
    log: Path

    def cpu_seconds(self) -> float:
        """User and system time of the process so far, all threads."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start_server(command: list[str], log: Path, port: int, **environment: str) -> Iterator[Server]:
    """Starts a server, waits until it answers, ends it afterwards."""
    url = f"http://127.0.0.1:{port}"
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT, env={**os.environ, **environment}
        )
    try:
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline and process.poll() is None:
            try:
                if httpx.get(f"{url}/healthz", timeout=5).json()["warm"]:
                    break
            except httpx.TransportError:
                pass
            time.sleep(0.25)
        else:
            pytest.fail(f"the server did not start:\n{log.read_text()}")
        yield Server(url, process.pid, log)
    finally:
        process.terminate()
        process.wait(60)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    port, folder = free_port(), tmp_path_factory.mktemp("server")
    command = [sys.executable, "-m", "tests.ui.fake_app", str(port)]
    environment = {"GRADIO_TEMP_DIR": str(folder / "cache"), "RESTORATION_MAX_JOB_SECONDS": "3600"}
    yield from start_server(command, folder / "log", port, **environment)


@pytest.fixture(scope="session")
def client(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Client:
    return Client(server.url, download_files=str(tmp_path_factory.mktemp("results")), verbose=False)


def picture(height: int = 60, width: int = 80) -> np.ndarray:
    """Smooth colours with a few edges: something every fake network changes."""
    y, x = np.mgrid[:height, :width]
    color = np.stack([x * 255 / width, y * 255 / height, 128 + 60 * np.sin(x / 3)], axis=-1)
    color[10:30, 10:40] = (240, 30, 60)
    return color.astype(np.uint8)


@pytest.fixture(scope="session")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photos") / "beach.png"
    Image.fromarray(picture()).save(path)
    return path


def chromium() -> str:
    """The browser's path; skips the test where there is none, except on CI."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        reason = "no Chromium was found (chromium, chromium-browser, google-chrome)"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)
    return found
