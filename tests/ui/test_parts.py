"""The parts of the page that need no server."""

import asyncio
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import safehttpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from restoration.errors import ImageFileError
from restoration.inference.report import Progress
from restoration.ui import downloads, wording
from restoration.ui.bodies import BodyLimit
from restoration.ui.panel import offered_examples
from restoration.ui.uploads import photo_from, stored, upload_folder


@pytest.fixture
def uploads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
    (tmp_path / "uploads").mkdir()
    return upload_folder()


def test_a_preview_stands_for_the_file_it_was_made_from(uploads: Path) -> None:
    folder = uploads / "one"
    folder.mkdir()
    (folder / "a.heic").write_bytes(b"original")
    (folder / "a.jpg").write_bytes(b"preview")
    original = {"path": str(folder / "a.heic"), "orig_name": "holiday.heic"}
    photo = photo_from({"path": str(folder / "a.jpg"), "orig_name": "a.jpg"}, {str(folder / "a.jpg"): original})
    assert (photo.source, photo.name) == (folder / "a.heic", "holiday.heic")


def test_a_link_out_of_the_upload_folder_is_not_followed(uploads: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(b"x")
    link = uploads / "link.png"
    link.symlink_to(tmp_path / "secret.png")
    with pytest.raises(ImageFileError, match="not uploaded here"):
        photo_from({"path": str(link)})


@pytest.mark.parametrize("text", ["data:image/png;base64,@@@", "data:image/png;base64", "data:,%"], ids=str)
def test_a_damaged_data_url_is_said_or_left_to_the_reader(text: str) -> None:
    if text == "data:,%":
        assert photo_from({"url": text}).source == b"%"
        return
    with pytest.raises(ImageFileError, match="damaged"):
        photo_from({"url": text})


def test_a_data_url_becomes_a_file_that_is_whole_or_not_there(uploads: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    payload = stored({"url": "data:,beach"})
    assert isinstance(payload, dict)
    assert Path(payload["path"]).read_bytes() == b"beach"
    assert [path.name for path in uploads.rglob("*") if path.is_file()] == ["photo"]

    def full(self: Path, content: bytes) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="disk full"):
        stored("data:,sea")
    assert len([path for path in uploads.rglob("*") if path.is_file()]) == 1
    assert stored({"path": "x"}) == {"path": "x"}


async def _echo(request: Request) -> PlainTextResponse:
    return PlainTextResponse(str(len(await request.body())))


LIMITED = TestClient(BodyLimit(Starlette(routes=[Route("/", _echo, methods=["POST"])]), megabytes=3))


@pytest.mark.parametrize(("kind", "largest"), [("application/json", 5_000_000), ("multipart/form-data", 4_000_000)])
def test_a_body_at_the_limit_passes_and_one_byte_more_does_not(kind: str, largest: int) -> None:
    headers = {"content-type": kind}
    assert LIMITED.post("/", content=b"x" * largest, headers=headers).text == str(largest)
    assert LIMITED.post("/", content=b"x" * (largest + 1), headers=headers).status_code == 413


def test_a_body_of_undeclared_length_is_counted() -> None:
    refused = LIMITED.post("/", content=(b"x" * 100_000 for _ in range(60)))
    assert refused.status_code == 413
    assert "3 MB" in refused.json()["detail"]


class _Body(httpx.AsyncByteStream):
    """What comes over the line."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for at in range(0, len(self.content), 65_536):
            yield self.content[at : at + 65_536]


def _answer(content: bytes, **headers: str) -> httpx.Response:
    return httpx.Response(
        200, headers={name.replace("_", "-"): v for name, v in headers.items()}, stream=_Body(content)
    )


def _serve(monkeypatch: pytest.MonkeyPatch, answers: dict[str, httpx.Response]) -> list[str]:
    """Answers instead of the network; tells which hosts were checked."""
    checked: list[str] = []

    async def validate(host: str) -> str:
        checked.append(host)
        if host == "inside.example":
            raise ValueError("not public")
        return "93.184.216.34"

    monkeypatch.setattr(safehttpx, "async_validate_url", validate)
    transport = httpx.MockTransport(lambda request: answers[str(request.url)])
    monkeypatch.setattr(safehttpx, "AsyncSecureTransport", lambda address: transport)
    return checked


def test_an_address_is_fetched_under_its_own_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    checked = _serve(
        monkeypatch,
        {
            "https://a.example/go": httpx.Response(302, headers={"Location": "https://b.example/my%20beach.png"}),
            "https://b.example/my%20beach.png": _answer(b"picture"),
        },
    )
    path = asyncio.run(downloads.fetch("https://a.example/go", tmp_path, 1))
    assert path.read_bytes() == b"picture"
    assert checked == ["a.example", "b.example"]


def test_a_redirect_into_the_network_and_a_large_file_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _serve(
        monkeypatch,
        {
            "https://a.example/in": httpx.Response(302, headers={"Location": "http://inside.example/"}),
            "https://a.example/big": _answer(b"x" * 1_000_001),
            "https://a.example/file": httpx.Response(302, headers={"Location": "file:///etc/passwd"}),
            "https://a.example/gone": httpx.Response(404),
        },
    )
    for path, sentence in {"in": "fetched", "big": "larger than 1 MB", "file": "fetched", "gone": "fetched"}.items():
        with pytest.raises(ImageFileError, match=sentence):
            asyncio.run(downloads.fetch(f"https://a.example/{path}", tmp_path, 1))
    assert list(tmp_path.iterdir()) == []


def test_packed_answers_are_not_asked_for_and_not_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    packer = zlib.compressobj(wbits=31)
    bomb = packer.compress(bytes(900_000)) + packer.flush()
    answers = {
        f"https://a.example/{kind}": _answer(bomb, Content_Encoding=kind)
        for kind in ("gzip", "br", "deflate", "zstd", "GZip", "own")
    }
    _serve(monkeypatch, answers)
    for address in answers:
        with pytest.raises(ImageFileError, match=r"^The host of this address packs what it sends"):
            asyncio.run(downloads.fetch(address, tmp_path, 1))
    assert list(tmp_path.iterdir()) == []

    asked: list[httpx.Headers] = []

    def plain(request: httpx.Request) -> httpx.Response:
        asked.append(request.headers)
        return _answer(bomb, **({"Content_Encoding": "Identity"} if len(asked) > 1 else {}))

    monkeypatch.setattr(safehttpx, "AsyncSecureTransport", lambda address: httpx.MockTransport(plain))
    for _ in range(2):
        assert asyncio.run(downloads.fetch("https://a.example/x", tmp_path, 1)).read_bytes() == bomb
    assert [headers["Accept-Encoding"] for headers in asked] == ["identity"] * 2


def test_a_long_job_says_so_and_a_short_one_does_not() -> None:
    long = Progress(done=1, total=9, seconds_left=200.0, predicted_seconds=240.0)
    assert "about 4 min on this machine" in wording.progress_status(long)
    assert "part 2 of 9 · about 3 min left" in wording.progress_status(long)
    slow = Progress(done=1, total=9, predicted_seconds=240.0, warnings=("The GPU was not available.",))
    assert "The GPU was not available." in wording.progress_status(slow)
    short = Progress(done=1, total=9, seconds_left=10.0, predicted_seconds=12.0)
    assert "long job" not in wording.progress_status(short)


def test_words_from_outside_are_escaped() -> None:
    assert "<b>" not in wording.status("<b>hi</b>")


def test_the_gain_is_read_from_the_certificate() -> None:
    certificate = {"scores": [{"set": "Set5", "psnr": 37.54, "baseline_psnr": 33.67}]}
    assert wording.gain(certificate, "bicubic interpolation") == "+3.9 dB over bicubic interpolation on Set5"
    assert wording.gain(None, "x") == ""


def test_a_missing_examples_folder_offers_nothing(tmp_path: Path) -> None:
    assert offered_examples(tmp_path / "absent") == []
