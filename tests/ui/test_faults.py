"""Bad days, on servers of their own that are told to end, killed, robbed of their files or of their disk."""

import base64
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from tests.ui.conftest import ROOT, Server, free_port, picture, start_server

Starter = Callable[..., Server]
LIMITED = """
import resource, runpy
resource.setrlimit(resource.RLIMIT_FSIZE, ({0}, {0}))
runpy.run_module("tests.ui.fake_app", run_name="__main__")
"""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Starter]:
    """Starts servers on fake networks; what still runs afterwards is ended."""
    running = []

    def begin(limit_bytes: int = 0, **environment: str) -> Server:
        """`limit_bytes`: no file that the server writes may be larger."""
        port = free_port()
        command = [sys.executable, "-m", "tests.ui.fake_app", str(port)]
        if limit_bytes:
            command[1:3] = ["-c", LIMITED.format(limit_bytes)]
        log = tmp_path / f"log{len(running)}"
        server = start_server(command, log, port, **{"GRADIO_TEMP_DIR": str(tmp_path / "cache"), **environment})
        running.append(server)
        return next(server)

    yield begin
    for server in running:
        server.close()


def connected(server: Server, folder: Path) -> Client:
    return Client(server.url, download_files=str(folder / "results"), verbose=False)


def large(folder: Path) -> Path:
    """A photo that the heavy network takes some time for."""
    path = folder / "large.png"
    Image.fromarray(picture(960, 1280)).save(path)
    return path


def begun(client: Client, photo: Path):
    """A heavy job that has finished some tiles."""
    job = client.submit(image=handle_file(photo), model="heavy", api_name="/enlarge")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not job.done():
        step = (job.outputs() or [(None, {})])[-1][1]
        if step.get("done", 0) >= 2:
            return job
        time.sleep(0.02)
    raise AssertionError(f"the job did not begin: {job.outputs()}")


def end(server: Server, how: signal.Signals) -> None:
    os.kill(server.pid, how)


def test_told_to_end_it_finishes_the_running_job_and_tells_the_waiting_one(start: Starter, tmp_path: Path) -> None:
    server = start(RESTORATION_STOP_SECONDS="120")
    client, photo = connected(server, tmp_path), large(tmp_path)
    job = begun(client, photo)
    waiting = client.submit(image=handle_file(photo), api_name="/deblur")
    while httpx.get(f"{server.url}/healthz").json()["queue"]["waiting"] < 1:
        time.sleep(0.02)
    end(server, signal.SIGTERM)
    time.sleep(0.3)
    health = httpx.get(f"{server.url}/healthz")
    assert (health.status_code, health.json()["status"]) == (503, "ending")
    file, report = job.result(timeout=120)
    with Image.open(file) as result:
        assert result.size == (2560, 1920)
    assert report["model"] == "heavy-x2"
    with pytest.raises(AppError, match="being restarted"):
        waiting.result(timeout=30)
    assert '"message": "ended"' in logged(server, "ended")


def logged(server: Server, word: str, seconds: float = 20) -> str:
    """The log, once it holds a word."""
    deadline = time.monotonic() + seconds
    while word not in (text := server.log.read_text()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return text


@pytest.mark.slow
def test_killed_again_and_again_it_leaves_nothing_half_written_and_starts_again(start: Starter, tmp_path: Path) -> None:
    """Chaos: the process dies in the middle of jobs; the next one serves, and sweeps what was left."""
    photo, cache = large(tmp_path), tmp_path / "cache"
    for _ in range(2):
        server = start(RESTORATION_KEEP_SECONDS="1")
        job = begun(connected(server, tmp_path), photo)
        end(server, signal.SIGKILL)
        with pytest.raises(Exception):  # noqa: B017, PT011 - whatever the client makes of a lost connection
            job.result(timeout=30)
    server = start(RESTORATION_KEEP_SECONDS="1")
    for path in cache.rglob("*.*"):
        assert path.suffix != ".part"
        if path.is_file():
            with Image.open(path) as image:
                image.load()
    assert not list(cache.rglob("large*"))
    file, _ = connected(server, tmp_path).predict(image=handle_file(photo), api_name="/deblur")
    assert np.asarray(Image.open(file)).shape == (960, 1280, 3)


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A disk of its own; needs the right to mount."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("this test mounts a small disk, which is not allowed here; another one limits the size of files")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def noisy(folder: Path) -> Path:
    """Half a megabyte, and four times that enlarged."""
    noise = np.random.default_rng(0).integers(0, 255, (420, 420, 3), np.uint8)
    Image.fromarray(noise).save(folder / "noise.png")
    return folder / "noise.png"


def test_a_full_disk_is_said_on_every_way_to_it(start: Starter, tmp_path: Path) -> None:
    photo = noisy(tmp_path)
    with small_disk(tmp_path / "disk", "3m") as disk:
        server = start(GRADIO_TEMP_DIR=str(disk / "cache"), TMPDIR=str(disk))
        client = connected(server, tmp_path)
        with pytest.raises(AppError, match="disk is full"):
            client.predict(image=handle_file(photo), scale=4, api_name="/enlarge")
        assert not list(disk.rglob("*.part"))
        (disk / "filled").write_bytes(b"x" * max(0, shutil.disk_usage(disk).free - 8192))
        full = httpx.post(f"{server.url}/gradio_api/upload", files={"files": ("a.png", photo.read_bytes())})
        assert (full.status_code, "disk is full" in full.text) == (507, True)
        (disk / "filled").unlink()
        assert client.predict(image=handle_file(photo), api_name="/deblur")[1]["tiles"] >= 1
        next_steps = logged(server, "disk is full")
        assert "Traceback" not in next_steps


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits the size of files")
def test_a_write_that_fails_half_way_is_said_and_leaves_nothing(start: Starter, tmp_path: Path) -> None:
    """The system itself refuses to write on, as it does on a full disk; that needs no right to mount."""
    photo = noisy(tmp_path)
    server = start(limit_bytes=700_000)
    client, cache = connected(server, tmp_path), tmp_path / "cache"
    for format in ("png", "jpeg", "webp", "tiff"):
        options = {"scale": 4, "output_format": format, "quality": 100}
        with pytest.raises(AppError, match="disk is full"):
            client.predict(image=handle_file(photo), api_name="/enlarge", **options)
        assert not list(cache.rglob("*.part"))
        assert not [path for path in cache.rglob("*enlarged*") if path.is_file()]
    upload = httpx.post(f"{server.url}/gradio_api/upload", files={"files": ("a.png", photo.read_bytes() * 2)})
    assert (upload.status_code, "disk is full" in upload.text) == (507, True)
    encoded = base64.b64encode(photo.read_bytes() + bytes(300_000)).decode()
    with pytest.raises(AppError, match="disk is full"):
        client.predict(image={"url": f"data:image/png;base64,{encoded}"}, api_name="/deblur")
    Image.fromarray(picture()).save(tmp_path / "small.png")
    assert client.predict(image=handle_file(tmp_path / "small.png"), api_name="/deblur")[1]["tiles"] >= 1
    assert "Traceback" not in logged(server, "disk is full")


@pytest.mark.slow
def test_a_model_whose_file_is_damaged_is_grayed_out_and_the_others_serve(tmp_path: Path) -> None:
    """The real app, with weights that are damaged, missing, a pointer, and without a certificate that can be read."""
    weights = tmp_path / "weights"
    shutil.copytree(ROOT / "weights", weights)
    damaged = weights / "edsr-baseline-x3.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"\0")
    (weights / "edsr-baseline-x4.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n")
    for name in ("residual-unet-faces", "pix2pix-faces"):
        (weights / f"{name}.safetensors").unlink()
    (weights / "residual-unet-deblur.json").write_text("{")
    code = f"""
import sys; from pathlib import Path
import spaces
import restoration.weights as weights
weights.WeightStore.__init__.__defaults__ = (Path({str(weights)!r}),)
import app; app.main()
"""
    port = free_port()
    environment = {"PORT": str(port), "GRADIO_TEMP_DIR": str(tmp_path / "cache"), "RESTORATION_BACKEND": "torch"}
    steps = start_server([sys.executable, "-c", code], tmp_path / "log", port, **environment)
    server = next(steps)
    try:
        health = httpx.get(f"{server.url}/healthz").json()
        assert health["status"] == "ok"
        assert health["device"] in ("cpu", "cuda")
        assert set(health["unavailable"]) == {
            "edsr-baseline-x3", "edsr-baseline-x4", "pix2pix-faces", "residual-unet-deblur", "residual-unet-faces"
        }  # fmt: skip
        assert "damaged" in health["unavailable"]["edsr-baseline-x3"]
        assert "git lfs pull" in health["unavailable"]["edsr-baseline-x4"]
        assert "is not here" in health["unavailable"]["residual-unet-faces"]
        config = httpx.get(f"{server.url}/config").text
        assert "Models that cannot be used" in config
        assert str(tmp_path) not in json.dumps(health)
        client = connected(server, tmp_path)
        Image.fromarray(picture()).save(tmp_path / "small.png")
        _, report = client.predict(image=handle_file(tmp_path / "small.png"), api_name="/enlarge")
        assert report["model"] == "edsr-baseline-x2"
        with pytest.raises(AppError, match="damaged"):
            client.predict(image=handle_file(tmp_path / "small.png"), scale=3, api_name="/enlarge")
        with pytest.raises(AppError, match="is not here"):
            client.predict(image=handle_file(tmp_path / "small.png"), api_name="/restore_faces")
    finally:
        steps.close()


# --- one server for what does not break it ---


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """No way out of the machine, few requests for each visitor, little time for each job, frames for one site."""
    port, folder = free_port(), tmp_path_factory.mktemp("odd")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # every proxy leads nowhere
        dead = f"http://127.0.0.1:{taken.getsockname()[1]}"
        environment = {
            **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "HF_ENDPOINT"), dead),
            "NO_PROXY": "127.0.0.1,localhost",
            "GRADIO_TEMP_DIR": str(folder / "cache"),
            "RESTORATION_RATE_LIMIT": "40/minute",
            "RESTORATION_TRUSTED_PROXIES": "1",
            "RESTORATION_MAX_JOB_SECONDS": "2",
            "RESTORATION_FRAME_ANCESTORS": "https://example.org",
        }
        command = [sys.executable, "-m", "tests.ui.fake_app", str(port)]
        yield from start_server(command, folder / "log", port, **environment)


def test_without_a_way_to_the_hub_it_serves(odd: Server, tmp_path: Path, photo: Path) -> None:
    assert connected(odd, tmp_path).predict(image=handle_file(photo), api_name="/deblur")[1]["tiles"] == 1


def test_the_frames_it_may_stand_in_are_said(odd: Server) -> None:
    assert httpx.get(odd.url).headers["content-security-policy"] == "frame-ancestors https://example.org"


def test_a_job_may_not_take_longer_than_the_limit(odd: Server, tmp_path: Path, photo: Path) -> None:
    Image.fromarray(picture(1900, 2000)).save(tmp_path / "large.png")
    client = connected(odd, tmp_path)
    with pytest.raises(AppError, match=r"limit (is|for one photo here)"):
        client.predict(image=handle_file(tmp_path / "large.png"), model="heavy", api_name="/enlarge")
    assert client.predict(image=handle_file(photo), api_name="/deblur")[1]["tiles"] == 1


def test_swept_away_uploads_are_said_and_the_next_photo_works(odd: Server, tmp_path: Path, photo: Path) -> None:
    upload = httpx.post(f"{odd.url}/gradio_api/upload", files={"files": ("a.png", photo.read_bytes())}).json()
    shutil.rmtree(Path(upload[0]).parents[1])
    client = connected(odd, tmp_path)
    with pytest.raises(AppError, match="no longer here"):
        client.predict(image={"path": upload[0]}, api_name="/deblur")
    assert client.predict(image=handle_file(photo), api_name="/deblur")[1]["tiles"] == 1


def test_the_log_is_json_and_an_error_carries_the_id_of_its_request(odd: Server, tmp_path: Path, photo: Path) -> None:
    private = tmp_path / "my-private-holiday.png"
    shutil.copy(photo, private)
    client = connected(odd, tmp_path)
    client.predict(image=handle_file(private), api_name="/deblur")
    with pytest.raises(AppError) as caught:
        client.predict(image=handle_file(private), model="deblur-broken", api_name="/deblur")
    identity = str(caught.value).split("(error ")[1][:8]
    lines = [json.loads(line) for line in logged(odd, identity).splitlines()]
    by_request = [line for line in lines if line.get("request") == identity]
    assert {line["message"] for line in by_request} >= {"request", "job", f"error {identity}"}
    assert next(line for line in by_request if line["message"] == "job")["outcome"] == "failed"
    done = [line for line in lines if line.get("outcome") == "done"]
    assert (done[0]["task"], done[0]["width"], done[0]["height"]) == ("deblur", 80, 60)
    assert "holiday" not in odd.log.read_text()


def test_a_visitor_of_this_machine_cannot_invent_addresses_where_no_proxy_is_trusted(start: Starter) -> None:
    server = start(RESTORATION_RATE_LIMIT="3/minute", RESTORATION_TRUSTED_PROXIES="0")
    statuses = [
        httpx.post(
            f"{server.url}/gradio_api/call/none", json={"data": []}, headers={"x-forwarded-for": f"8.8.8.{number}"}
        ).status_code
        for number in range(4)
    ]
    assert statuses == [422, 422, 422, 429]


def test_a_visitor_who_sends_too_much_is_told_how_long_to_wait(odd: Server) -> None:
    def send(address: str) -> httpx.Response:
        headers = {"x-forwarded-for": address}
        return httpx.post(f"{odd.url}/gradio_api/call/none", json={"data": []}, headers=headers)

    answers = [send(f"6.6.6.{number}, 8.8.8.8") for number in range(41)]
    assert {answer.status_code for answer in answers[:40]} == {422}
    assert answers[-1].status_code == 429
    assert "please wait" in answers[-1].json()["detail"]
    assert send("9.9.9.9").status_code == 422
