"""How often one visitor may send work, and who a visitor is. Plain ASGI: knows neither Gradio nor pictures.

Plain requests get a 429. A client of Gradio's would not show what that says, so its jobs are let through, marked,
and the reception before the queue (`reception.py`) tells it; that many times at most. Uploads are counted apart and
twice as many are accepted: a client uploads first, and is to hear of it in words.

Counting is left to the library `limits`; this file says whom to count. Behind proxies the address of the visitor stands
in `X-Forwarded-For`, to whose right end every proxy adds the address it was called from. What stands further left may
be invented by the visitor and is not believed.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from ipaddress import IPv6Address, ip_address

from limits import RateLimitItem
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from starlette.types import ASGIApp, Receive, Scope, Send

from restoration.ui.answers import answer
from restoration.ui.settings import ANY_PROXY

LOG = logging.getLogger(__name__)
UPLOAD, JOIN = "/gradio_api/upload", "/gradio_api/queue/join"
COUNTED = (UPLOAD, JOIN, "/gradio_api/call/", "/gradio_api/run/", "/gradio_api/api/")
UPLOADS_PER_JOB = 2
_REFUSAL = "rate_refusal"
_NETWORK_BITS = 64  # of an IPv6 address: what a household is given


class RateLimit:
    """Middleware that answers 429, with the seconds to wait, when a visitor sends more work than they may.

    Args:
        app: what answers otherwise.
        rate: all of these hold; empty counts nothing.
        proxies: as in `Serving`.
    """

    def __init__(self, app: ASGIApp, rate: Sequence[RateLimitItem], proxies: int) -> None:
        self.app = app
        self._rate, self._proxies = tuple(rate), proxies
        self._upload_rate = tuple(type(item)(UPLOADS_PER_JOB * item.amount, item.multiples) for item in rate)
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request, or hands it on."""
        if not self._rate or scope["type"] != "http" or scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        wait = self._wait(scope)
        if not wait:
            await self.app(scope, receive, send)
            return
        LOG.info("rate limit reached")
        sentence = f"You have sent very much in a short time: please wait {_words(wait)} and try again."
        if scope["path"].startswith(JOIN) and not self._count(self._rate, "told", scope):
            scope.setdefault("state", {})[_REFUSAL] = sentence
            await self.app(scope, receive, send)
        else:
            await answer(send, 429, sentence, [(b"retry-after", str(wait).encode())])

    def _wait(self, scope: Scope) -> int:
        """Counts a request; whole seconds until the next one is accepted, 0 if this one is."""
        if scope["path"].startswith(UPLOAD):
            return self._count(self._upload_rate, "upload", scope)
        return self._count(self._rate, "job", scope) if scope["path"].startswith(COUNTED) else 0

    def _count(self, rate: Sequence[RateLimitItem], kind: str, scope: Scope) -> int:
        key = visitor(scope, self._proxies)
        full = [item for item in rate if not self._limiter.test(item, kind, key)]
        if not full:
            for item in rate:
                self._limiter.hit(item, kind, key)
            return 0
        resets = (self._limiter.get_window_stats(item, kind, key).reset_time for item in full)
        return max(1, math.ceil(max(resets) - time.time()))


def refusal_of(scope: Scope) -> str:
    """What the rate limit found about a request that it let through; "" for nothing."""
    return scope.get("state", {}).get(_REFUSAL, "")


def visitor(scope: Scope, proxies: int) -> str:
    """The address to count for: that of the visitor, as far as trusted proxies tell, or of who called.

    Args:
        scope: of the request.
        proxies: how many are trusted; ANY_PROXY takes the last public address, whatever stands right of it.
    """
    lines = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
    hops = [_address(text) for text in ",".join(lines).split(",")]
    peer = _address((scope.get("client") or ("",))[0]) or "unknown"
    if proxies == ANY_PROXY:
        return next((hop for hop in reversed(hops) if hop and ip_address(hop).is_global), peer)
    return (hops[-proxies] if 0 < proxies <= len(hops) else "") or peer


def _address(text: str) -> str:
    """An address in its normal form, IPv6 cut to its network; "" when it is none."""
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:  # IPv4 with a port
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return ""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped:
            return str(address.ipv4_mapped)
        return str(IPv6Address(int(address) >> _NETWORK_BITS << _NETWORK_BITS))
    return str(address)


def _words(seconds: int) -> str:
    if seconds < 120:
        return "one second" if seconds == 1 else f"{seconds} seconds"
    return f"{math.ceil(seconds / 60)} minutes"
