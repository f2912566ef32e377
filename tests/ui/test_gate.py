"""The gate before every route, and the rate limit behind it, without a server."""

import errno
import logging

import pytest
from limits import parse_many
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from restoration.ui.gate import CLOSED, DISK_FULL, REFUSED, WRONG_REQUEST, Gate
from restoration.ui.rates import RateLimit, refusal_of, visitor
from restoration.ui.settings import ANY_PROXY


async def _fine(request: Request) -> PlainTextResponse:
    return PlainTextResponse("fine", headers={"x-content-type-options": "whatever"})


async def _bug(request: Request) -> PlainTextResponse:
    raise ZeroDivisionError("a secret")


async def _unknown(request: Request) -> PlainTextResponse:
    raise KeyError(9999)


async def _full(request: Request) -> PlainTextResponse:
    raise ValueError("could not be written") from OSError(errno.ENOSPC, "No space left on device")


async def _half_way(request: Request) -> StreamingResponse:
    async def words():
        yield b"half"
        raise HTTPException(404)

    return StreamingResponse(words())


ROUTES = [
    Route("/", _fine),
    Route("/bug", _bug),
    Route("/gradio_api/call/nothing", _unknown, methods=["POST"]),
    Route("/gradio_api/upload", _full, methods=["POST"]),
    Route("/half", _half_way),
    Route("/gradio_api/file=x.svg", _fine),
    Route("/{path:path}", _fine, methods=["GET", "POST"]),
]


def gate(**options: str) -> TestClient:
    return TestClient(Starlette(routes=ROUTES, middleware=[Middleware(Gate, **options)]))


def test_every_answer_has_safe_headers_once_and_a_request_id() -> None:
    client = gate()
    for path in ("/", "/bug", "/nowhere", "/pwa_icon"):
        headers = client.get(path).headers
        assert headers.get_list("x-content-type-options") == ["nosniff"]
        assert headers["referrer-policy"] == "same-origin"
        assert len(headers["x-request-id"]) == 8
        assert "content-security-policy" not in headers
    assert client.get("/").headers["x-request-id"] != client.get("/").headers["x-request-id"]


def test_the_sites_that_may_show_the_app_in_a_frame_can_be_set() -> None:
    client = gate(frame_ancestors="'self' https://huggingface.co")
    assert client.get("/").headers["content-security-policy"] == "frame-ancestors 'self' https://huggingface.co"
    assert client.get("/gradio_api/file=x.svg").headers["content-security-policy"].startswith("frame-ancestors")


def test_files_of_visitors_run_no_scripts() -> None:
    assert gate().get("/gradio_api/file=x.svg").headers["content-security-policy"].startswith("sandbox; default-src")


@pytest.mark.parametrize("path", [*CLOSED, "/gradio_api/FILE=HTTP://example.org/x", "/gradio_api/vibe-edit/"])
def test_unused_routes_are_closed(path: str) -> None:
    for method in ("GET", "POST"):
        answer = gate().request(method, path)
        assert (answer.status_code, answer.json()) == (404, {"detail": "There is no such page."})


def test_a_bug_is_a_number_for_the_visitor_and_a_traceback_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    answer = gate().get("/bug")
    assert answer.status_code == 500
    assert answer.json() == {"detail": f"Something went wrong on our side (error {answer.headers['x-request-id']})."}
    assert any(record.exc_info and "secret" in str(record.exc_info[1]) for record in caplog.records)


def test_a_request_that_fits_no_endpoint_is_told_so_and_the_connection_stays() -> None:
    answer = gate().post("/gradio_api/call/nothing")
    assert (answer.status_code, answer.json()) == (422, {"detail": WRONG_REQUEST})


def test_a_full_disk_is_told(caplog: pytest.LogCaptureFixture) -> None:
    answer = gate().post("/gradio_api/upload")
    assert (answer.status_code, answer.json()) == (507, {"detail": DISK_FULL})
    assert "the disk is full" in caplog.text


def test_a_stream_whose_session_is_gone_ends_in_form() -> None:
    assert gate().get("/half").content == b"half"


def test_the_log_names_the_kind_of_route_and_no_file(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        gate().post("/gradio_api/anything/my-holiday.jpg")
        gate().get("/gradio_api/file=my-holiday.jpg")
    fields = [record.fields for record in caplog.records if hasattr(record, "fields")]
    assert [(each["method"], each["route"], each["status"]) for each in fields] == [("POST", "anything", 200)]
    assert "holiday" not in str(fields)


async def _refused(request: Request) -> JSONResponse:
    request.scope["state"][REFUSED] = request.query_params.get("refused") == "yes"
    return JSONResponse({"error": "a sentence"}, status_code=500)


def test_a_refusal_in_a_sentence_is_no_failure_of_the_server() -> None:
    app = Starlette(routes=[Route("/gradio_api/run/x", _refused)], middleware=[Middleware(Gate)])
    assert TestClient(app).get("/gradio_api/run/x?refused=yes").status_code == 400
    assert TestClient(app).get("/gradio_api/run/x?refused=no").status_code == 500


# --- rates ---


async def _ok(request: Request) -> JSONResponse:
    return JSONResponse("ok")


def limited(rate: str = "3/minute", proxies: int = ANY_PROXY) -> TestClient:
    app = Starlette(routes=[Route("/{path:path}", _ok, methods=["GET", "POST"])])
    return TestClient(RateLimit(app, parse_many(rate) if rate else (), proxies))


def call(client: TestClient, address: str = "") -> int:
    headers = {"x-forwarded-for": address} if address else {}
    return client.post("/gradio_api/call/deblur", headers=headers).status_code


def test_too_many_jobs_are_refused_with_the_time_to_wait() -> None:
    client = limited()
    assert [call(client) for _ in range(4)] == [200, 200, 200, 429]
    refused = client.post("/gradio_api/call/deblur")
    assert refused.status_code == 429
    seconds = int(refused.headers["retry-after"])
    assert 55 <= seconds <= 60
    assert f"please wait {seconds} seconds" in refused.json()["detail"]


def test_the_longest_of_several_rates_says_how_long() -> None:
    client = limited("3/second; 3/hour")
    for _ in range(3):
        call(client)
    assert "minutes" in client.post("/gradio_api/call/deblur").json()["detail"]


def test_uploads_are_counted_apart_so_that_a_client_hears_of_its_job_first() -> None:
    client = limited()
    assert [client.post("/gradio_api/upload").status_code for _ in range(7)] == [200] * 6 + [429]
    assert [call(client) for _ in range(4)] == [200, 200, 200, 429]


def test_jobs_of_a_client_are_marked_for_the_reception_and_not_for_ever() -> None:
    async def told(request: Request) -> JSONResponse:
        return JSONResponse(refusal_of(request.scope))

    app = Starlette(routes=[Route("/gradio_api/queue/join", told, methods=["POST"])])
    client = TestClient(RateLimit(app, parse_many("3/minute"), 0))
    answers = [client.post("/gradio_api/queue/join") for _ in range(8)]
    assert [answer.status_code for answer in answers] == [200] * 6 + [429] * 2
    assert [answer.json() for answer in answers[:3]] == [""] * 3
    assert all("please wait" in answer.json() for answer in answers[3:6])


def test_looking_and_cancelling_cost_nothing() -> None:
    client = limited()
    for _ in range(9):
        assert client.get("/gradio_api/call/deblur/x").status_code == 200
        assert client.post("/gradio_api/cancel").status_code == 200
    assert call(client) == 200


def test_visitors_behind_one_proxy_are_counted_apart() -> None:
    client = limited()
    assert [call(client, "8.8.8.8") for _ in range(4)][-1] == 429
    assert call(client, "9.9.9.9") == 200


def test_inventing_addresses_does_not_help() -> None:
    client = limited()
    tries = [call(client, f"1.1.1.{number}, 8.8.8.8, 10.0.0.7") for number in range(4)]
    assert tries == [200, 200, 200, 429]


def test_the_rate_limit_can_be_turned_off() -> None:
    client = limited("")
    assert [call(client) for _ in range(30)] == [200] * 30


@pytest.mark.parametrize(
    ("forwarded", "proxies", "address"),
    [
        ("", 0, "127.0.0.1"),
        ("8.8.8.8", 0, "127.0.0.1"),
        ("8.8.8.8", 1, "8.8.8.8"),
        ("6.6.6.6, 8.8.8.8", 1, "8.8.8.8"),
        ("6.6.6.6, 8.8.8.8, 9.9.9.9", 2, "8.8.8.8"),
        ("8.8.8.8", 2, "127.0.0.1"),
        ("8.8.8.8, nonsense", 1, "127.0.0.1"),
        ("", ANY_PROXY, "127.0.0.1"),
        ("6.6.6.6, 8.8.8.8, 10.1.2.3, 192.168.0.1", ANY_PROXY, "8.8.8.8"),
        ("10.1.2.3", ANY_PROXY, "127.0.0.1"),
        ("8.8.8.8:4711", 1, "8.8.8.8"),
        ("[2001:4860:4860:1:2:3:4:5]:443", 1, "2001:4860:4860:1::"),
        ("2001:4860:4860:1:ffff::1", 1, "2001:4860:4860:1::"),
        ("::ffff:8.8.8.8", 1, "8.8.8.8"),
    ],
    ids=str,
)
def test_who_a_visitor_is(forwarded: str, proxies: int, address: str) -> None:
    headers = [(b"x-forwarded-for", forwarded.encode())] if forwarded else []
    assert visitor({"headers": headers, "client": ("127.0.0.1", 1)}, proxies) == address


def test_two_lines_of_the_header_are_one_list() -> None:
    headers = [(b"x-forwarded-for", b"6.6.6.6"), (b"x-forwarded-for", b"8.8.8.8")]
    assert visitor({"headers": headers, "client": None}, 1) == "8.8.8.8"
