"""The reception before the queue: what cannot be done is refused at once, not only when its turn comes.

Looks at the options and at the head of the photo (`check_early`), and says what the rate limit found (`rates.py`). A
refusal is an event that has failed already, so that every client of Gradio's shows its sentence. Gradio's own
`validator` would say "1 parameter(s) failed validation" and more, in two lines.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, Literal

import gradio as gr
from fastapi import Request as HttpRequest
from gradio.data_classes import PredictBodyInternal
from gradio.queueing import Event, Queue
from gradio.server_messages import ProcessCompletedMessage
from gradio.utils import error_payload

from restoration.images.reading import read_header
from restoration.inference.engine import Engine
from restoration.ui.jobs import Order
from restoration.ui.rates import refusal_of
from restoration.ui.speaking import request_id, spoken, spoken_errors
from restoration.ui.uploads import photo_from, stored

LOG = logging.getLogger(__name__)
LOOKS_AT_ONCE, DOWNLOADS_AT_ONCE = 2, 4
LOOK_SECONDS = 2.0
"""For one look and the wait for it; most take some thousandths."""

Pushed = tuple[bool, str | list[dict[str, Any]], Literal["success", "error", "queue_full", "validator_error"]]
Check = Callable[[list[Any]], object]


def check_early(engine: Engine, order: Order, payload: object) -> None:
    """Looks at all that can be known before a photo is decoded.

    Raises:
        RestorationError: the model, an option, the photo's head or a limit stands against it.
    """
    card = order.request.card(engine.models, engine.store)
    header = read_header(photo_from(payload).source, limits=engine.limits)
    engine.limits.check_output(header.height * card.scale, header.width * card.scale)


class Reception:
    """Stands in for `Queue.push`: tells refusals at once, and passes everything else on.

    Args:
        page: whose queue it is.
        checks: the name of an endpoint -> what raises a RestorationError when its arguments cannot be good.
    """

    def __init__(self, page: gr.Blocks, checks: Mapping[str, Check]) -> None:
        self._page, self._checks = page, dict(checks)
        self._queue: Queue = page._queue  # pyright: ignore[reportPrivateUsage]
        self._push = self._queue.push
        self._looks = ThreadPoolExecutor(LOOKS_AT_ONCE, thread_name_prefix="look")
        self._late: set[Future[list[Any]]] = set()
        self._downloads = asyncio.Semaphore(DOWNLOADS_AT_ONCE)

    def open(self) -> None:
        """From now on nothing gets into the queue without being looked at."""
        self._queue.push = self.push

    async def push(self, body: PredictBodyInternal, request: HttpRequest, username: str | None) -> Pushed:
        """As `Queue.push`."""
        function = self._page.fns.get(body.fn_index) if body.fn_index is not None else None
        if function is None:
            return await self._push(body, request, username)
        identity = request_id(gr.Request(request))
        try:
            with spoken_errors(identity):
                if sentence := refusal_of(request.scope):
                    raise spoken(sentence, title="Please wait")
                check = self._checks.get(str(function.api_name))
                if check is not None:
                    await self._look(function, body, check)
        except gr.Error as error:
            return await self._refuse(error, Event(body.session_hash, function, request, username), body)
        return await self._push(body, request, username)

    async def _look(self, function: Any, body: PredictBodyInternal, check: Check) -> None:
        """Fetches a photo given by its address, checks, and stores one given in the JSON.

        When too many are fetched already, or the look takes long, its turn will tell.
        """
        inputs = list(body.data)
        self._page.validate_inputs(function, inputs)
        if is_address(inputs[0]):
            if self._downloads.locked():
                return
            async with self._downloads:
                body.data = inputs = await self._page.preprocess_data(function, inputs, None)

        def look() -> list[Any]:
            check(inputs)
            return [_without_data_url(inputs[0]), *inputs[1:]]

        body.data = await self._in_time(look) or body.data

    async def _in_time(self, look: Callable[[], list[Any]]) -> list[Any] | None:
        """What a look gives; None when there is no time for it. One that has begun keeps its thread to its end."""
        if len(self._late) >= LOOKS_AT_ONCE:
            return None
        future = self._looks.submit(copy_context().run, look)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), LOOK_SECONDS)
        except TimeoutError:
            LOG.warning("a look before the queue took too long")
            self._late.add(future)
            future.add_done_callback(self._late.discard)
            return None

    async def _refuse(self, error: gr.Error, event: Event, body: PredictBodyInternal) -> Pushed:
        """What happens to an event in the queue and at its end, in one."""
        queue = self._queue
        event.data = body
        body.session_hash, body.event_id = event.session_hash, event._id  # pyright: ignore[reportPrivateUsage]
        async with queue.pending_message_lock:
            if event.session_hash not in queue.pending_messages_per_session:
                queue.pending_messages_per_session[event.session_hash] = asyncio.Queue()
            queue.pending_event_ids_session.setdefault(event.session_hash, set()).add(event._id)  # pyright: ignore[reportPrivateUsage]
        queue.send_message(event, ProcessCompletedMessage(output=error_payload(error, False), success=False))
        LOG.info("refused before the queue")
        return True, event._id, "success"  # pyright: ignore[reportPrivateUsage]


def _without_data_url(payload: object) -> object:
    """As `stored`; what else the page says of the file stays, since Gradio asks for it."""
    kept = stored(payload)
    if kept is payload or not isinstance(payload, Mapping) or not isinstance(kept, dict) or "meta" not in payload:
        return kept
    return {**kept, "meta": payload["meta"]}


def is_address(payload: object) -> bool:
    """Whether a photo is given by the address of another host."""
    path = payload.get("path") if isinstance(payload, Mapping) else None
    return isinstance(path, str) and path.lower().startswith(("http://", "https://"))
