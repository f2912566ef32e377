"""Errors as a visitor may see them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import gradio as gr

from restoration.errors import RestorationError
from restoration.ui.gate import DISK_FULL, REFUSED, disk_is_full
from restoration.ui.logs import current_request, in_request, new_request_id

LOG = logging.getLogger(__name__)
OUR_MISTAKE = "Our mistake"


def request_id(sender: gr.Request | None) -> str:
    """The id of the request that began a job: the same in the log, in the answer's header and in an error."""
    request = getattr(sender, "request", None)
    return request.scope.get("state", {}).get("request_id", "") if request is not None else ""


def note_refusal(sender: gr.Request | None) -> None:
    """Notes on a request that it was refused in a sentence, so that its status need not say that the server failed."""
    request = getattr(sender, "request", None)
    if request is not None:
        request.scope.setdefault("state", {})[REFUSED] = True


@contextmanager
def spoken_errors(identity: str = "") -> Iterator[None]:
    """Turns errors into what a visitor may see: the sentence of a RestorationError, or a number to report.

    Args:
        identity: the number shown and logged: the id of the request.

    Raises:
        gr.Error: for every exception; the details of a bug go to the log under the number shown.
    """
    try:
        yield
    except gr.Error:
        raise
    except RestorationError as error:
        raise spoken(str(error)) from error
    except Exception as error:
        if disk_is_full(error):
            LOG.error("the disk is full")
            raise spoken(DISK_FULL) from error
        number = identity or current_request() or new_request_id()
        with in_request(number):
            LOG.exception("error %s", number)
        sentence = f"Something went wrong on our side (error {number}). Your photo and the last result are still here."
        raise spoken(sentence, title=OUR_MISTAKE) from error


def spoken(sentence: str, title: str = "That did not work") -> gr.Error:
    """A sentence for the visitor, which the log need not repeat."""
    return gr.Error(sentence, title=title, print_exception=False)
