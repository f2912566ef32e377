"""What cannot be done is refused at once, while others' jobs run, in a sentence that every client shows."""

import asyncio
import base64
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from restoration.ui import reception
from restoration.ui.reception import is_address
from tests.images.made_files import noise, saved
from tests.ui.conftest import Server, free_port, picture, start_server

SOON = 5.0


@contextmanager
def busy(server: Server, folder: Path) -> Iterator[None]:
    """The server computes a long job meanwhile, and another one waits."""
    Image.fromarray(picture(480, 640)).save(folder / "large.png")
    client = Client(server.url, verbose=False, httpx_kwargs={"timeout": 60})
    jobs = [
        client.submit(image=handle_file(folder / "large.png"), model="heavy", api_name="/enlarge") for _ in range(2)
    ]
    queue: dict[str, int] = {}
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and (queue.get("running"), queue.get("waiting")) != (1, 1):
        queue = httpx.get(f"{server.url}/healthz", timeout=60).json()["queue"]
        time.sleep(0.05)
    try:
        yield
        queue = httpx.get(f"{server.url}/healthz", timeout=60).json()["queue"]
        assert (queue["running"], queue["waiting"]) == (1, 1), "the long job ended before the test did"
    finally:
        for job in reversed(jobs):  # else the other one begins in between
            job.cancel()


def test_bad_files_and_options_are_refused_while_others_compute(server: Server, tmp_path: Path) -> None:
    files = {
        "text.png": (b"not a picture", "is text"),
        "empty.jpg": (b"", "is empty"),
        "over.png": (saved(Image.new("L", (2100, 2100)), "PNG"), "limit is 4 megapixels"),
        "paper.pdf": (b"%PDF-1.7", "PDF"),
        "small.png": (saved(Image.fromarray(picture()), "PNG"), "did you mean"),
    }
    client = Client(server.url, verbose=False)
    with busy(server, tmp_path):
        for name, (data, words) in files.items():
            (tmp_path / name).write_bytes(data)
            options = {"model": "deblur-stronk"} if name == "small.png" else {}
            began = time.monotonic()
            with pytest.raises(AppError) as refused:
                client.predict(image=handle_file(tmp_path / name), api_name="/deblur", **options)
            assert time.monotonic() - began < SOON
            assert words in str(refused.value)
            assert "\n" not in str(refused.value)


def test_plain_requests_are_refused_at_once_in_the_same_words(server: Server, tmp_path: Path) -> None:
    bomb = base64.b64encode(saved(Image.new("L", (2100, 2100)), "PNG")).decode()
    with busy(server, tmp_path):
        for data, words in (
            ([], "add a photo"),
            ([None], "add a photo"),
            ([7], "must be an uploaded file"),
            ([{"path": "/etc/passwd"}], "not uploaded here"),
            ([{"url": f"data:image/png;base64,{bomb}"}], "limit is 4 megapixels"),
            ([{"url": "data:image/png;base64,%%%"}], "data URL"),
            ([{"path": "http://127.0.0.1:9/x.png", "meta": {"_type": "gradio.FileData"}}], "could not be fetched"),
            ([None, None, "much"], "strength"),
        ):
            began = time.monotonic()
            posted = httpx.post(f"{server.url}/gradio_api/call/deblur", json={"data": data}, timeout=60)
            answer = ""
            address = f"{server.url}/gradio_api/call/deblur/{posted.json()['event_id']}"
            with httpx.stream("GET", address, timeout=60) as stream:
                for part in stream.iter_text():
                    answer += part
                    assert time.monotonic() - began < SOON
            assert answer.startswith("event: error")
            assert words in answer


def test_a_page_says_at_once_too(server: Server, tmp_path: Path) -> None:
    """The stream of a session, as a browser reads it."""
    index = next(
        each["id"] for each in httpx.get(f"{server.url}/config").json()["dependencies"] if each["api_name"] == "deblur"
    )
    with busy(server, tmp_path):
        joined = httpx.post(
            f"{server.url}/gradio_api/queue/join", json={"data": [None], "fn_index": index, "session_hash": "abc"}
        )
        with httpx.stream("GET", f"{server.url}/gradio_api/queue/data?session_hash=abc", timeout=SOON) as stream:
            first = next(line for line in stream.iter_lines() if "process_completed" in line)
    assert joined.json()["event_id"] in first
    assert "Please add a photo first." in first
    assert '"success":false' in first


def test_what_is_good_goes_on_as_before(client: Client, photo: Path) -> None:
    encoded = base64.b64encode(photo.read_bytes()).decode()
    for image in (handle_file(photo), {"url": f"data:image/png;base64,{encoded}"}):
        file, report = client.predict(image=image, api_name="/deblur")
        assert report["tiles"] >= 1
        with Image.open(file) as result:
            assert result.size == (80, 60)


def test_a_visitor_of_the_python_client_is_told_how_long_to_wait(tmp_path: Path, photo: Path) -> None:
    port = free_port()
    environment = {"GRADIO_TEMP_DIR": str(tmp_path / "cache"), "RESTORATION_RATE_LIMIT": "3/minute"}
    steps = start_server([sys.executable, "-m", "tests.ui.fake_app", str(port)], tmp_path / "log", port, **environment)
    server = next(steps)
    try:
        client = Client(server.url, verbose=False, download_files=str(tmp_path))
        for _ in range(3):
            client.predict(image=handle_file(photo), api_name="/deblur")
        with pytest.raises(AppError, match=r"^You have sent very much in a short time: please wait \d+ seconds"):
            client.predict(image=handle_file(photo), api_name="/deblur")
        refused = httpx.post(f"{server.url}/gradio_api/call/deblur", json={"data": []})
        assert (refused.status_code, "please wait" in refused.text) == (429, True)
    finally:
        steps.close()


def resident_megabytes(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def test_photos_inside_of_json_are_forgotten(server: Server) -> None:
    """Gradio kept the last values of each of 10,000 sessions, and every plain request is one of its own."""
    encoded = base64.b64encode(saved(Image.fromarray(noise((900, 1000, 3))), "PNG")).decode()
    wrong = base64.b64encode(b"x" * 2_700_000).decode()

    def send(text: str) -> None:
        data = [{"url": f"data:image/png;base64,{text}"}, None, 0]
        posted = httpx.post(f"{server.url}/gradio_api/call/deblur", json={"data": data}, timeout=60)
        httpx.get(f"{server.url}/gradio_api/call/deblur/{posted.json()['event_id']}", timeout=60)

    for _ in range(8):
        send(encoded)
        send(wrong)
    before = resident_megabytes(server.pid)
    for _ in range(20):
        send(encoded)
        send(wrong)
    assert resident_megabytes(server.pid) - before < 60  # kept, they would be 140


def test_what_is_sent_to_a_pages_own_handlers_is_forgotten_too(server: Server) -> None:
    handlers = httpx.get(f"{server.url}/config").json()["dependencies"]
    index = next(each["id"] for each in handlers if str(each["api_name"]).startswith("describe"))

    def send(number: int) -> None:
        body = {"data": ["x" * 4_000_000], "fn_index": index, "session_hash": f"forgotten-{number}"}
        assert httpx.post(f"{server.url}/gradio_api/run/predict", json=body, timeout=60).status_code < 500

    for number in range(8):
        send(number)
    before = resident_megabytes(server.pid)
    for number in range(8, 48):
        send(number)
    assert resident_megabytes(server.pid) - before < 60  # kept, it would be 160


# --- addresses, without a network ---


class Slow(BaseHTTPRequestHandler):
    """Sends a byte now and then."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        for _ in range(100):
            try:
                self.wfile.write(b"x")
                self.wfile.flush()
            except OSError:
                return
            time.sleep(0.1)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


def test_a_host_that_sends_a_byte_now_and_then_does_not_hold_anybody_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import safehttpx

    from restoration.errors import ImageFileError
    from restoration.ui import downloads

    server = HTTPServer(("127.0.0.1", 0), Slow)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    async def validate(host: str) -> str:
        return host

    monkeypatch.setattr(safehttpx, "async_validate_url", validate)
    monkeypatch.setattr(safehttpx, "AsyncSecureTransport", lambda _: httpx.AsyncHTTPTransport())
    monkeypatch.setattr(downloads, "TIMEOUT_SECONDS", 0.5)
    began = time.monotonic()
    with pytest.raises(ImageFileError, match="could not be fetched"):
        asyncio.run(downloads.fetch(f"http://127.0.0.1:{server.server_port}/x.png", tmp_path, 1))
    assert time.monotonic() - began < 3
    assert list(tmp_path.iterdir()) == []
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("payload", "address"),
    [
        ({"path": "https://a.example/x.png"}, True),
        ({"path": "HTTP://a.example/x.png"}, True),
        ({"path": "/tmp/x.png", "url": "https://a.example/x.png"}, False),
        ({"url": "https://a.example/x.png"}, False),
        ("https://a.example/x.png", False),
        (None, False),
        ({"path": 7}, False),
    ],
    ids=str,
)
def test_what_is_an_address(payload: object, address: bool) -> None:
    assert is_address(payload) == address


def test_a_photo_given_by_its_address_is_fetched_before_the_queue_and_only_so_many_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reception, "DOWNLOADS_AT_ONCE", 1)
    fetched, queued, looked = [], [], []

    async def fetch(_function: Any, inputs: list[Any], _state: object) -> list[Any]:
        fetched.append(inputs[0]["path"])
        await asyncio.sleep(0.2)
        return [{"path": "here.png"}, *inputs[1:]]

    async def push(body: Any, _request: object, _username: object) -> tuple[bool, str, str]:
        queued.append(body.data[0]["path"])
        return True, "1", "success"

    page = SimpleNamespace(
        fns={1: SimpleNamespace(api_name="deblur")},
        _queue=SimpleNamespace(push=push),
        validate_inputs=lambda _function, _inputs: None,
        preprocess_data=fetch,
    )
    door = reception.Reception(page, {"deblur": lambda inputs: looked.append(inputs[0]["path"])})  # type: ignore[arg-type]

    async def send(address: str) -> None:
        body = SimpleNamespace(fn_index=1, data=[{"path": address}], session_hash=None)
        await door.push(body, SimpleNamespace(scope={}), None)  # type: ignore[arg-type]

    async def both() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(send("https://a.example/1.png"))
            await asyncio.sleep(0.05)
            group.create_task(send("https://a.example/2.png"))

    asyncio.run(both())
    assert fetched == ["https://a.example/1.png"]
    assert looked == ["here.png"]
    assert sorted(queued) == ["here.png", "https://a.example/2.png"]
