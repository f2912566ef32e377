"""The gate before every route: a request id, safe headers, closed routes, and one sentence instead of a broken answer.

Plain ASGI: knows neither Gradio nor pictures.
"""

from __future__ import annotations

import errno
import logging
import time

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from restoration.ui.answers import answer
from restoration.ui.logs import in_request, new_request_id

LOG = logging.getLogger(__name__)

_UNUSED = (
    "/pwa_icon",  # resizes a picture to any size it is asked for
    "/file=http",  # relays what other hosts serve
    "/file/http",
    "/proxy=",
    "/process_recording",
    "/stream/",
    "/custom_component",
    "/component_server",
    "/deep_link",
    "/dev/",
    "/vibe-",
    "/undo-vibe-edit",
    "/run-history",
    "/monitoring",
    "/profiling",
    "/openapi.json",
)
CLOSED = (*_UNUSED, *(f"/gradio_api{route}" for route in _UNUSED if route != "/openapi.json"))
"""Routes the framework brings along that no page of this app uses."""

WRONG_REQUEST = "This request does not fit any endpoint here: its name, its number or its arguments are wrong."
DISK_FULL = "The server's disk is full: please try again in some minutes."
REFUSED = "refused"
"""Stands in the state of a request that was refused in a sentence."""
_TAKING = ("/call/", "/run/", "/api/", "/queue/join", "/cancel", "/upload")
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # the last one: more than this process may write


def disk_is_full(error: BaseException | None) -> bool:
    """Whether an error, or what caused it, says that there is no room left."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _FULL:
            return True
        error = error.__cause__ or error.__context__
    return False


class Gate:
    """Middleware for every HTTP request; the outermost of this app's own.

    Args:
        app: what answers.
        frame_ancestors: the sites that may show the app in a frame; "" for all.
    """

    def __init__(self, app: ASGIApp, frame_ancestors: str = "") -> None:
        self.app = app
        self._headers = [(b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"same-origin")]
        self._policy = f"frame-ancestors {frame_ancestors}" if frame_ancestors else ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request, whatever happens behind."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange = _Exchange(scope, send, [*self._headers, *self._policies(scope["path"])])
        try:
            if scope["path"].lower().startswith(CLOSED):
                await answer(exchange.send, 404, "There is no such page.")
            else:
                await self.app(scope, receive, exchange.send)
        except Exception as error:
            await exchange.rescue(error)
        with in_request(exchange.identity):
            exchange.log()

    def _policies(self, path: str) -> list[tuple[bytes, bytes]]:
        """Files of visitors may not run scripts, even when they are opened by themselves."""
        own = "sandbox; default-src 'none'; img-src 'self'; style-src 'unsafe-inline'" if "/file=" in path else ""
        policy = "; ".join(filter(None, (self._policy, own)))
        return [(b"content-security-policy", policy.encode())] if policy else []


async def refuse_malformed(_request: Request, _error: Exception) -> JSONResponse:
    """Says a request that breaks an endpoint's schema in a sentence, where the framework would repeat its content."""
    return JSONResponse({"detail": WRONG_REQUEST}, status_code=422)


class _Exchange:
    """One request and what was answered so far."""

    def __init__(self, scope: Scope, send: Send, headers: list[tuple[bytes, bytes]]) -> None:
        self.identity = new_request_id()
        scope.setdefault("state", {})["request_id"] = self.identity
        self._scope, self._send = scope, send
        self._headers = [*headers, (b"x-request-id", self.identity.encode())]
        self._began = time.perf_counter()
        self._status, self._ended = 0, False

    async def send(self, message: Message) -> None:
        """Passes a message on, with the headers of every response."""
        if message["type"] == "http.response.start":
            refused = message["status"] == 500 and self._scope["state"].get(REFUSED)
            self._status = 400 if refused else message["status"]
            names = {name for name, _ in self._headers}
            kept = [header for header in message.get("headers", []) if header[0].lower() not in names]
            message = {**message, "status": self._status, "headers": [*kept, *self._headers]}
        elif message["type"] == "http.response.body":
            self._ended = not message.get("more_body", False)
        await self._send(message)

    async def rescue(self, error: Exception) -> None:
        """Ends the answer in words, or, where it has begun, at least in form.

        The id is not set before: tasks that the first request starts would keep it.
        """
        with in_request(self.identity):
            await self._rescue(error)

    async def _rescue(self, error: Exception) -> None:
        if self._ended:
            LOG.error("after the answer", exc_info=error)
        elif self._status:
            if not isinstance(
                error.__cause__ or error, HTTPException
            ):  # the stream of a session that is gone has said so itself
                LOG.error("in the middle of an answer", exc_info=error)
            await self.send({"type": "http.response.body", "body": b""})
        elif disk_is_full(error):
            LOG.error("the disk is full")
            await answer(self.send, 507, DISK_FULL)
        elif self._malformed(error):
            LOG.info("malformed request: %s", type(error).__name__)
            await answer(self.send, 422, WRONG_REQUEST)
        else:
            LOG.error("unexpected error", exc_info=error)
            await answer(self.send, 500, f"Something went wrong on our side (error {self.identity}).")

    def _malformed(self, error: Exception) -> bool:
        """Gradio looks an endpoint up before it checks that there is one, and its arguments and forms likewise."""
        looked_up = isinstance(error, (KeyError, TypeError, ValueError)) or type(error).__name__ == "FnIndexInferError"
        return looked_up and any(route in self._scope["path"] for route in _TAKING)

    def log(self) -> None:
        """What was asked of which kind of route, and how it went: no addresses, no names of files."""
        if self._scope["method"] in ("GET", "HEAD") and self._status < 500:
            return
        route = self._scope["path"].removeprefix("/gradio_api").strip("/").split("/")[0].split("=")[0][:30]
        milliseconds = round((time.perf_counter() - self._began) * 1000, 1)
        fields = {"method": self._scope["method"], "route": route, "status": self._status, "ms": milliseconds}
        LOG.info("request", extra={"fields": fields})
