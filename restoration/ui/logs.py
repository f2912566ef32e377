"""Logs: one JSON object a line, with the id of the request it belongs to, and without the names of visitors' files."""

from __future__ import annotations

import json
import logging
import re
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

_REQUEST: ContextVar[str] = ContextVar("request", default="")


def new_request_id() -> str:
    """Eight random hexadecimal digits."""
    return secrets.token_hex(4)


def current_request() -> str:
    """The id of the request that this code runs for; "" outside of any."""
    return _REQUEST.get()


@contextmanager
def in_request(identity: str) -> Iterator[None]:
    """Everything logged inside carries this id."""
    token = _REQUEST.set(identity)
    try:
        yield
    finally:
        _REQUEST.reset(token)


class JsonLines(logging.Formatter):
    """A record as one line of JSON: time (UTC), level, logger, message, request, and the `fields` of its `extra`.

    Args:
        uploads: the folder whose files belong to visitors: their paths and names are left out.
    """

    def __init__(self, uploads: Path) -> None:
        super().__init__()
        self._private = re.compile(re.escape(str(uploads)) + r"[^'\"\n]*")

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        line: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03}Z",
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if request := current_request():
            line["request"] = request
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return self._private.sub("[a visitor's file]", json.dumps(line, default=str, ensure_ascii=False))


def configure_logs(uploads: Path) -> None:
    """Sends everything from level INFO on to stderr as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(uploads))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.captureWarnings(True)
    for chatty in ("httpx", "uvicorn.access"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
