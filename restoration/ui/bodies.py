"""The byte limit on every route: uploads, and pictures hidden in JSON as data URLs.

Plain ASGI: knows neither Gradio nor pictures.
"""

from __future__ import annotations

import contextlib

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from restoration.ui.answers import answer

SLACK_BYTES = 1_000_000  # form boundaries, other arguments


class _TooLong(Exception):
    pass


class BodyLimit:
    """Middleware that answers 413 with one sentence when a request body is too long.

    The declared length is believed when it is too large; otherwise the bytes are counted as they come in. A JSON
    body may be a third longer than a file, because base64 is.
    """

    def __init__(self, app: ASGIApp, megabytes: float) -> None:
        self.app = app
        self.file_bytes = int(megabytes * 1e6)
        self.sentence = f"The file is larger than {megabytes:g} MB, the limit here."

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request, or hands it on with its body counted."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
        else:
            await self._limited(scope, receive, send)

    async def _limited(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        form = headers.get(b"content-type", b"").startswith(b"multipart/")
        limit = (self.file_bytes if form else self.file_bytes * 4 // 3) + SLACK_BYTES
        declared = headers.get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > limit:
            await answer(send, 413, self.sentence)
            return
        body = _Counted(receive, limit)
        answered = False

        async def guarded_send(message: Message) -> None:
            """The app may answer the broken body in its own words (400): ours replace them."""
            nonlocal answered
            if not body.too_long:
                answered = True
                await send(message)

        with contextlib.suppress(_TooLong):  # said below
            await self.app(scope, body, guarded_send)
        if body.too_long and not answered:
            await answer(send, 413, self.sentence)


class _Counted:
    """The stream of a request's messages, broken off by `_TooLong` when its bodies exceed the limit."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive = receive
        self._left = limit

    @property
    def too_long(self) -> bool:
        """Whether the limit was passed."""
        return self._left < 0

    async def __call__(self) -> Message:
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        if self.too_long:
            raise _TooLong
        return message
