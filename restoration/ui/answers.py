"""Answers that need no app behind them: one sentence as JSON. Plain ASGI."""

from __future__ import annotations

import json
from collections.abc import Sequence

from starlette.types import Send

Headers = Sequence[tuple[bytes, bytes]]


async def answer(send: Send, status: int, sentence: str, headers: Headers = ()) -> None:
    """Sends a whole response: `{"detail": sentence}`."""
    body = json.dumps({"detail": sentence}).encode()
    own = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*own, *headers]})
    await send({"type": "http.response.body", "body": body})
