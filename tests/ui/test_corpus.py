"""Every file of the corpus through the real server: a result or one sentence, soon, and no memory lost."""

import base64
import json
import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests import corpus
from tests.ui.conftest import Server, free_port, start_server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

WAYS = [("deblur", []), ("enhance", []), ("enlarge", [None, 1, 2]), ("restore_faces", [])]
SECONDS, MEGABYTES = 10.0, 100.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    port, folder = free_port(), tmp_path_factory.mktemp("corpus")
    command = [sys.executable, "-m", "tests.ui.fake_app", str(port)]
    yield from start_server(command, folder / "log", port, GRADIO_TEMP_DIR=str(folder / "cache"), **corpus.ENVIRONMENT)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[corpus.CorpusFile]:
    return corpus.make(tmp_path_factory.mktemp("files"))


def by_upload(client: httpx.Client, file: corpus.CorpusFile) -> object:
    """The payload of an upload, or the sentence it is refused with."""
    answer = client.post("/gradio_api/upload", files={"files": (file.name, file.path.read_bytes())})
    if answer.status_code != 200:
        return sentence(answer)
    return {"path": answer.json()[0], "orig_name": file.name, "meta": {"_type": "gradio.FileData"}}


def by_text(_client: httpx.Client, file: corpus.CorpusFile) -> object:
    """The payload of a picture inside the JSON."""
    content = base64.b64encode(file.path.read_bytes()).decode()
    return {"url": f"data:application/octet-stream;base64,{content}", "orig_name": file.name}


def sentence(answer: httpx.Response) -> str:
    """What a refusal before the queue says."""
    assert 400 <= answer.status_code < 500, answer.text
    return answer.json()["detail"] if "json" in answer.headers["content-type"] else answer.text


def restored(client: httpx.Client, payload: object, way: tuple[str, list[object]]) -> tuple[str, object]:
    """("complete", [file, report]) or ("error", sentence)."""
    endpoint, options = way
    posted = client.post(f"/gradio_api/call/{endpoint}", json={"data": [payload, *options]})
    if posted.status_code != 200:
        return "error", sentence(posted)
    events = client.get(f"/gradio_api/call/{endpoint}/{posted.json()['event_id']}").text.strip().split("\n\n")
    kind, data = events[-1].split("\n", 1)
    content = json.loads(data.removeprefix("data: "))
    return kind.removeprefix("event: "), content["error"] if isinstance(content, dict) else content


def complaint(client: httpx.Client, file: corpus.CorpusFile, payload: object, way: tuple[str, list[object]]) -> str:
    """What is wrong with how a file was answered; "" when nothing is."""
    began = time.monotonic()
    kind, told = ("error", payload) if isinstance(payload, str) else restored(client, payload, way)
    seconds = time.monotonic() - began
    if seconds > SECONDS:
        return f"took {seconds:.0f} s"
    if kind == "complete":
        assert isinstance(told, list)
        answer = client.get(f"/gradio_api/file={told[0]['path']}")
        fine = file.expect == "result" and answer.status_code == 200 and len(answer.content) == told[0]["size"]
        return "" if fine else f"was taken: {answer.status_code} {told[1]['warnings']}"
    if file.expect == "result":
        return f"was refused: {told}"
    text = str(told)
    right = text.endswith(".") and "\n" not in text and "our side" not in text and "Traceback" not in text
    return "" if right and str(file.path.parent) not in text else f"is told: {text}"


def resident_megabytes(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def wrong_answers(
    server: Server, files: list[corpus.CorpusFile], payload: Callable[[httpx.Client, corpus.CorpusFile], object]
) -> list[str]:
    """Sends every file to one endpoint after the other."""
    wrong = []
    with httpx.Client(base_url=server.url, timeout=60) as client:
        for number, file in enumerate(files):
            if said := complaint(client, file, payload(client, file), WAYS[number % len(WAYS)]):
                wrong.append(f"{file.kind} {file.name} {said}")
    assert "Traceback" not in server.log.read_text()
    return wrong


def test_every_file_gives_a_result_or_one_sentence_soon_and_no_memory_is_lost(
    server: Server, files: list[corpus.CorpusFile]
) -> None:
    shuffled = random.Random(0).sample(files, len(files))
    first, later = shuffled[:-300], shuffled[-300:]
    wrong = wrong_answers(server, first, by_upload)
    before = resident_megabytes(server.pid)
    wrong += wrong_answers(server, later, by_upload)
    grown = resident_megabytes(server.pid) - before
    assert not wrong, "\n".join(wrong)
    assert grown < MEGABYTES


def test_a_file_inside_the_json_is_treated_like_an_upload(server: Server, files: list[corpus.CorpusFile]) -> None:
    wrong = wrong_answers(server, files[::4], by_text)
    assert not wrong, "\n".join(wrong)
