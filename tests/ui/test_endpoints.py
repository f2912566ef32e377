"""The API, through the real client against the real app (on fake networks)."""

import base64
import json
import re
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from restoration.images.reading import read_image
from restoration.images.resizing import resize_color
from restoration.ui.gate import WRONG_REQUEST
from tests.ui.conftest import Server, picture

ENDPOINTS = ["/deblur", "/enhance", "/enlarge", "/restore_faces"]
REPORT_KEYS = {
    "task",
    "model",
    "checkpoint",
    "device",
    "precision",
    "backend",
    "input",
    "output",
    "tiles",
    "seconds",
    "warnings",
}


def call(client: Client, endpoint: str, path: object, **options: object) -> tuple[Path, dict[str, Any]]:
    image = handle_file(path) if isinstance(path, Path) else path
    file, report = client.predict(image=image, api_name=endpoint, **options)
    return Path(file), report


def refusal(client: Client, endpoint: str, path: object, **options: object) -> str:
    with pytest.raises(AppError) as caught:
        call(client, endpoint, path, **options)
    return str(caught.value)


def test_exactly_five_endpoints_are_public_and_every_argument_is_documented(client: Client) -> None:
    api = client.view_api(return_format="dict", print_info=False)
    assert api["unnamed_endpoints"] == {}
    assert sorted(api["named_endpoints"]) == sorted([*ENDPOINTS, "/models"])
    for name in ENDPOINTS:
        endpoint = api["named_endpoints"][name]
        names = [parameter["parameter_name"] for parameter in endpoint["parameters"]]
        scale = ["scale"] if name == "/enlarge" else []
        assert names == ["image", "model", "strength", *scale, "output_format", "quality", "precision"]
        assert [p["parameter_has_default"] for p in endpoint["parameters"]] == [False] + [True] * (len(names) - 1)
        assert all(p["python_type"]["description"] and p["python_type"]["type"] for p in endpoint["parameters"])
        assert endpoint["parameters"][0]["python_type"]["type"] == "filepath"
        assert [returned["label"] for returned in endpoint["returns"]] == ["file", "report"]
        assert endpoint["description"]


@pytest.mark.parametrize(
    ("endpoint", "task", "name", "size"),
    [
        ("/deblur", "deblur", "beach-deblurred.png", (80, 60)),
        ("/enhance", "enhance", "beach-enhanced.png", (80, 60)),
        ("/enlarge", "enlarge", "beach-enlarged-2x.png", (160, 120)),
        ("/restore_faces", "faces", "beach-faces-restored.png", (80, 60)),
    ],
)
def test_an_endpoint_returns_a_file_with_a_sensible_name_and_a_full_report(  # noqa: PLR0917
    client: Client, photo: Path, endpoint: str, task: str, name: str, size: tuple[int, int]
) -> None:
    file, report = call(client, endpoint, photo)
    assert file.name == name
    with Image.open(file) as result:
        assert (result.size, result.format) == (size, "PNG")
    assert report.keys() >= REPORT_KEYS
    assert report["task"] == task
    assert report["input"] == {"width": 80, "height": 60, "format": "PNG", "bits": 8}
    assert report["output"] == {"width": size[0], "height": size[1], "format": "PNG", "bits": 8}
    assert {"decode", "encode"} < report["seconds"].keys()


def test_a_name_that_is_no_address_is_made_one(client: Client, photo: Path, tmp_path: Path) -> None:
    odd = tmp_path / "100% sharp #1 %2e%2e%2f.png"
    odd.write_bytes(photo.read_bytes())
    file, _ = call(client, "/deblur", odd)
    assert file.name == "100_ sharp _1 _2e_2e_2f-deblurred.png"


def test_leaving_out_what_has_a_default_works_in_a_plain_request(server: Server, photo: Path) -> None:
    encoded = base64.b64encode(photo.read_bytes()).decode()
    data = [{"url": f"data:image/png;base64,{encoded}"}]
    posted = httpx.post(f"{server.url}/gradio_api/call/deblur", json={"data": data})
    events = httpx.get(f"{server.url}/gradio_api/call/deblur/{posted.json()['event_id']}", timeout=30).text
    assert "event: complete" in events


@pytest.mark.parametrize(
    ("route", "body"),
    [
        ("call/nothing", {"data": []}),
        ("call/v2/deblur", {}),
        ("call/v2/deblur", {"image": None, "unknown": 1}),
        ("queue/join", {"data": [], "fn_index": 9999, "session_hash": "x"}),
        ("queue/join", {"data": [], "fn_index": -1, "session_hash": "x"}),
    ],
    ids=str,
)
def test_a_request_that_fits_nothing_is_one_sentence(server: Server, route: str, body: dict[str, object]) -> None:
    answer = httpx.post(f"{server.url}/gradio_api/{route}", json=body)
    assert (answer.status_code, answer.json()["detail"]) == (422, WRONG_REQUEST)


def test_a_handler_called_with_too_little_says_so(server: Server) -> None:
    for number in range(12):
        body = {"data": [], "fn_index": number, "session_hash": "x"}
        answer = httpx.post(f"{server.url}/gradio_api/run/anything", json=body).json()
        assert answer.get("error", "") is not None, number


@pytest.mark.parametrize("path", ["a\0b", "x" * 5000, "\ud800", "/etc/passwd", "/dev/zero", ".."], ids=repr)
@pytest.mark.parametrize("meta", [{}, {"meta": {"_type": "gradio.FileData"}}], ids=["plain", "typed"])
def test_a_path_that_was_never_uploaded_is_refused(server: Server, path: str, meta: dict[str, object]) -> None:
    body = json.dumps({"data": [{"path": path, **meta}]})
    headers = {"content-type": "application/json"}
    posted = httpx.post(f"{server.url}/gradio_api/call/deblur", content=body, headers=headers)
    events = httpx.get(f"{server.url}/gradio_api/call/deblur/{posted.json()['event_id']}", timeout=30).text
    assert "That file was not uploaded here." in events


def test_a_photo_without_faces_comes_back_untouched_with_a_friendly_sentence(client: Client, photo: Path) -> None:
    file, report = call(client, "/restore_faces", photo)
    assert any("No face" in warning for warning in report["warnings"])
    np.testing.assert_array_equal(np.asarray(Image.open(file)), picture())


@pytest.mark.parametrize(
    ("endpoint", "options"),
    [
        ("/deblur", {"model": "deblur-strong"}),
        ("/deblur", {"strength": 0.5}),
        ("/deblur", {"output_format": "webp"}),
        ("/deblur", {"output_format": "jpeg"}),
        ("/deblur", {"output_format": "tiff"}),
        ("/enhance", {"strength": 0.25}),
        ("/enhance", {"output_format": "jpeg"}),
        ("/enlarge", {"scale": 3}),
        ("/enlarge", {"scale": 4}),
        ("/enlarge", {"model": "edsr-baseline-x4"}),
        ("/enlarge", {"strength": 0.5}),
        ("/enlarge", {"output_format": "tiff"}),
        ("/restore_faces", {"output_format": "jpeg"}),
    ],
    ids=str,
)
def test_every_option_changes_the_result(
    client: Client, photo: Path, endpoint: str, options: dict[str, object]
) -> None:
    usual, _ = call(client, endpoint, photo)
    changed, report = call(client, endpoint, photo, **options)
    assert changed.read_bytes() != usual.read_bytes()
    if "output_format" in options:
        assert report["output"]["format"] == str(options["output_format"]).upper()
    if "scale" in options:
        assert report["output"]["width"] == 80 * int(str(options["scale"]))


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_quality_changes_the_size_of_the_file(client: Client, photo: Path, endpoint: str) -> None:
    small, _ = call(client, endpoint, photo, output_format="jpeg", quality=20)
    large, _ = call(client, endpoint, photo, output_format="jpeg", quality=98)
    assert small.stat().st_size < large.stat().st_size


@pytest.mark.parametrize("endpoint", ["/deblur", "/enhance", "/restore_faces"])
def test_strength_zero_gives_back_the_pixels(client: Client, photo: Path, endpoint: str) -> None:
    file, report = call(client, endpoint, photo, strength=0)
    np.testing.assert_array_equal(np.asarray(Image.open(file)), picture())
    assert report["tiles"] == 0


def test_enlarging_with_strength_zero_is_bicubic(client: Client, photo: Path) -> None:
    file, _ = call(client, "/enlarge", photo, strength=0, scale=3)
    np.testing.assert_array_equal(np.asarray(Image.open(file)), resize_color(read_image(photo), (180, 240)))


def test_sixteen_bits_and_transparency_survive(client: Client, tmp_path: Path) -> None:
    deep = (np.arange(64 * 64, dtype=np.uint16).reshape(64, 64) * 16 + 5).astype(np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    file, report = call(client, "/deblur", tmp_path / "deep.png", strength=0)
    assert report["output"]["bits"] == 16
    np.testing.assert_array_equal(np.asarray(Image.open(file)), deep)

    alpha = np.dstack([picture(), np.tile(np.arange(80, dtype=np.uint8), (60, 1))])
    Image.fromarray(alpha).save(tmp_path / "clear.png")
    file, _ = call(client, "/enhance", tmp_path / "clear.png")
    np.testing.assert_array_equal(np.asarray(Image.open(file))[..., 3], alpha[..., 3])


def test_a_cmyk_tiff_is_accepted(client: Client, tmp_path: Path) -> None:
    Image.fromarray(picture()).convert("CMYK").save(tmp_path / "print.tif")
    file, report = call(client, "/deblur", tmp_path / "print.tif", strength=0)
    assert file.name == "print-deblurred.tif"
    assert report["input"]["format"] == "TIFF"
    assert abs(np.asarray(Image.open(file)).astype(int) - picture()).mean() < 3


def test_a_data_url_is_accepted(client: Client, photo: Path) -> None:
    encoded = base64.b64encode(photo.read_bytes()).decode()
    file, report = call(client, "/deblur", {"url": f"data:image/png;base64,{encoded}"})
    assert report["input"]["width"] == 80
    assert file.name == "photo-deblurred.png"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"strength": 1.5}, "between 0 and 1"),
        ({"strength": -0.1}, "between 0 and 1"),
        ({"strength": "1"}, "strength must be a number"),
        ({"strength": True}, "strength must be a number"),
        ({"strength": None}, "strength must be a number"),
        ({"scale": 5}, "scale can be 2, 3 or 4"),
        ({"scale": 2.5}, "scale can be 2, 3 or 4"),
        ({"scale": "2"}, "scale can be 2, 3 or 4"),
        ({"model": "edsr-baseline-x4", "scale": 2}, "x4"),
        ({"model": "edsr-baselin"}, "did you mean 'edsr-baseline'"),
        ({"model": "residual-unet-enhance"}, "is for enhance, not for enlarge"),
        ({"model": 7}, "model must be given by its name"),
        ({"output_format": "bmp"}, "same, png, jpeg, webp, tiff"),
        ({"output_format": ["png"]}, "same, png, jpeg, webp, tiff"),
        ({"quality": 0}, "whole number from 1 to 100"),
        ({"quality": 50.5}, "whole number from 1 to 100"),
    ],
    ids=str,
)
def test_a_wrong_option_is_one_sentence(client: Client, photo: Path, options: dict[str, object], sentence: str) -> None:
    said = refusal(client, "/enlarge", photo, **options)
    assert sentence in said
    assert "\n" not in said
    assert "Traceback" not in said


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
@pytest.mark.parametrize(
    ("place", "sentence"), [(2, "strength must be a number"), (4, "whole number from 1 to 100")], ids=str
)
def test_numbers_that_are_none_are_refused(server: Server, photo: Path, number: str, place: int, sentence: str) -> None:
    encoded = base64.b64encode(photo.read_bytes()).decode()
    data = [f'{{"url": "data:image/png;base64,{encoded}"}}', "null", "1", '"same"', "92"]
    data[place] = number
    body = f'{{"data": [{", ".join(data)}]}}'
    headers = {"content-type": "application/json"}
    posted = httpx.post(f"{server.url}/gradio_api/call/deblur", content=body, headers=headers)
    events = httpx.get(f"{server.url}/gradio_api/call/deblur/{posted.json()['event_id']}", timeout=30).text
    assert "event: error" in events
    assert sentence in events


def test_a_model_that_is_not_here_says_why(client: Client, photo: Path) -> None:
    assert "left out on purpose" in refusal(client, "/deblur", photo, model="deblur-absent")


def test_a_wrong_file_is_one_sentence(client: Client, tmp_path: Path) -> None:
    (tmp_path / "notes.jpg").write_text("not a picture at all")
    said = refusal(client, "/deblur", tmp_path / "notes.jpg")
    assert said.endswith(".")
    assert "\n" not in said
    assert "/" not in said
    assert "picture" in said.lower()


@pytest.mark.parametrize(
    "image",
    [None, "holiday.jpg", "/etc/passwd", 7, {"path": "/etc/passwd"}, {"path": "cache/../../etc/passwd"}, {"url": "x"}],
    ids=str,
)
def test_only_uploaded_files_are_read(client: Client, image: object) -> None:
    said = refusal(client, "/deblur", image)
    assert re.search(r"uploaded|add a photo", said)


def test_too_many_pixels_are_refused_with_the_numbers(client: Client, tmp_path: Path) -> None:
    Image.new("L", (2500, 2000)).save(tmp_path / "large.png")
    assert "5 megapixels" in refusal(client, "/deblur", tmp_path / "large.png")


def test_a_format_that_cannot_hold_the_result_is_refused_before_the_work(client: Client, tmp_path: Path) -> None:
    Image.new("RGB", (6000, 8)).save(tmp_path / "long.png")
    assert "WebP holds at most" in refusal(client, "/enlarge", tmp_path / "long.png", scale=3, output_format="webp")


def test_too_many_bytes_are_refused_on_every_route(server: Server) -> None:
    big = b"\0" * 6_000_000
    upload = httpx.post(f"{server.url}/gradio_api/upload", files={"files": ("a.png", big)})
    body = {"data": [{"url": "data:image/png;base64," + base64.b64encode(big).decode()}]}
    posted = httpx.post(f"{server.url}/gradio_api/call/deblur", json=body)

    def chunks():
        for _ in range(60):
            yield b"\0" * 100_000

    headers = {"content-type": "application/json"}
    streamed = httpx.post(f"{server.url}/gradio_api/call/deblur", content=chunks(), headers=headers)
    for response in (upload, posted, streamed):
        assert response.status_code == 413
        assert "3 MB" in response.text


def test_a_file_between_the_file_limit_and_the_body_limit_is_refused_too(server: Server) -> None:
    response = httpx.post(f"{server.url}/gradio_api/upload", files={"files": ("a.png", b"\0" * 3_500_000)})
    assert response.status_code == 413


def test_an_address_inside_the_network_is_not_fetched(client: Client, server: Server) -> None:
    image = {"path": f"{server.url}/healthz", "meta": {"_type": "gradio.FileData"}}
    assert "could not be fetched" in refusal(client, "/deblur", image)


def test_a_bug_is_shown_as_a_number_and_explained_in_the_log(client: Client, photo: Path, server: Server) -> None:
    said = refusal(client, "/deblur", photo, model="deblur-broken")
    assert "secret" not in said
    found = re.search(r"error ([0-9a-f]{8})", said)
    assert found
    log = server.log.read_text()
    assert found[1] in log
    assert "secret detail" in log


def test_nothing_can_be_run_around_the_queue(server: Server) -> None:
    for name in ("deblur", "enlarge", "page_deblur", "page_enlarge"):
        response = httpx.post(f"{server.url}/gradio_api/run/{name}", json={"data": [None] * 8})
        assert response.status_code == 404


def test_models_lists_every_card_with_its_reason_when_absent(client: Client) -> None:
    listed = client.predict(api_name="/models")
    keys = {"name", "family", "title", "task", "scale", "available", "reason", "scores", "licence", "default"}
    assert all(row.keys() >= keys for row in listed)
    by_name = {row["name"]: row for row in listed}
    assert by_name["deblur-absent"]["available"] is False
    assert by_name["deblur-absent"]["reason"]
    assert by_name["edsr-baseline-x2"]["available"] is True
    assert by_name["edsr-baseline-x2"]["scores"]
    assert {row["task"] for row in listed if row["default"]} == {"deblur", "enhance", "enlarge", "faces"}


def test_a_job_tells_its_progress(client: Client, tmp_path: Path) -> None:
    Image.fromarray(picture(320, 400)).save(tmp_path / "some.png")
    job = client.submit(image=handle_file(tmp_path / "some.png"), model="heavy", api_name="/enlarge")
    seen = []
    while not job.done():
        status = job.status()
        if status.progress_data:
            seen.append(status.progress_data[0].desc)
        time.sleep(0.05)
    steps = [report for file, report in job.outputs() if file is None]
    assert next(step["stage"] for step in steps) == "decode"
    assert max(step.get("total", 0) for step in steps) > 1
    assert "restore" in seen


def test_a_cancelled_job_stops_computing_and_the_next_one_runs_alone(
    client: Client, server: Server, photo: Path, tmp_path: Path
) -> None:
    Image.fromarray(picture(1500, 1400)).save(tmp_path / "big.png")  # over 30 tiles on a quick machine too
    job = client.submit(image=handle_file(tmp_path / "big.png"), model="heavy", api_name="/enlarge")
    deadline = time.monotonic() + 60
    step: dict[str, Any] = {}
    while time.monotonic() < deadline and step.get("done", 0) < 4:
        step = (job.outputs() or [(None, {})])[-1][1]
        time.sleep(0.05)
    assert step["total"] >= 30
    assert not job.done()
    job.cancel()
    time.sleep(1.0)
    before = server.cpu_seconds()
    time.sleep(2.0)
    assert (server.cpu_seconds() - before) / 2.0 < 0.10

    began = time.monotonic()
    _, report = call(client, "/deblur", photo)
    assert report["tiles"] >= 1
    assert time.monotonic() - began < 5
    assert "queue" not in report["seconds"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"data":[1e999]}',
        b'{"data":["\\ud800"]}',
        b'{"data":{}}',
        b'{"data":"' + b"x" * 5000 + b'"}',
        b'{"data":null,"session_hash":7,"fn_index":"x"}',
    ],
    ids=lambda body: body[:20].decode(),
)
@pytest.mark.parametrize("route", ["queue/join", "call/deblur", "run/deblur", "cancel", "reset"])
def test_a_request_that_breaks_the_schema_is_told_so_and_not_repeated(server: Server, route: str, body: bytes) -> None:
    headers = {"content-type": "application/json"}
    answer = httpx.post(f"{server.url}/gradio_api/{route}", content=body, headers=headers)
    if body == b"{}" or "1e999" in body.decode() or "ud800" in body.decode():
        assert answer.status_code < 500
    else:
        assert (answer.status_code, answer.json()) == (422, {"detail": WRONG_REQUEST})


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data; boundary=" + "y" * 1000, b"x"),
        ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="files"\r\n\r\nx\r\n--x--'),
    ],
)
def test_a_broken_form_is_told_so(server: Server, kind: str, body: bytes) -> None:
    answer = httpx.post(f"{server.url}/gradio_api/upload", content=body, headers={"content-type": kind})
    assert (answer.status_code, answer.json()) == (422, {"detail": WRONG_REQUEST})


def test_what_no_widget_gives_is_told_in_a_sentence_and_not_repeated_in_the_log(server: Server) -> None:
    config = httpx.get(f"{server.url}/config").json()
    radio = next(each["id"] for each in config["components"] if each["props"].get("label") == "Show")
    index = next(each["id"] for each in config["dependencies"] if each["inputs"] == [radio])
    body = {"data": ["a secret of mine"], "fn_index": index, "session_hash": "radio"}
    answer = httpx.post(f"{server.url}/gradio_api/run/predict", json=body)
    assert (answer.status_code, answer.json()["error"]) == (400, WRONG_REQUEST)
    assert "a secret of mine" not in server.log.read_text()
