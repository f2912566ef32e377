"""The short run of the fuzzer; `python -m tests.corpus.fuzz --minutes N` is the long one."""

import os
import time

import pytest

from restoration.errors import ImageFileError
from tests.corpus import fuzz

SECONDS = float(os.environ.get("RESTORATION_FUZZ_SECONDS", "30"))


@pytest.mark.slow
def test_damaged_files_give_a_picture_or_one_sentence():
    result = fuzz.fuzz(SECONDS, seed=0)
    assert {what: finding.data[:200] for what, finding in result.findings.items()} == {}
    assert result.tried > 10 * SECONDS
    assert len(result.traces) > 20


def refusing(error: BaseException):
    def read(*_, **__):
        raise error

    return read


@pytest.mark.parametrize(
    ("error", "what"),
    [
        (ZeroDivisionError(), "! ZeroDivisionError in test_fuzz.py:read"),
        (MemoryError(), "! memory without end"),
        (ImageFileError("no sentence"), "! not one sentence: 'no sentence'"),
    ],
)
def test_what_may_not_be_is_a_finding(error, what, monkeypatch):
    monkeypatch.setattr(fuzz, "read_image", refusing(error))
    monkeypatch.setattr(fuzz, "read_header", lambda *_, **__: None)
    assert fuzz.outcome(b"anything") == what


def test_the_same_seed_damages_the_same_bytes():
    import random

    data = [fuzz.damaged(bytes(range(200)), b"other", random.Random(5)) for _ in range(2)]
    assert data[0] == data[1] != bytes(range(200))


def _dying(connection) -> None:
    connection.recv_bytes()
    os._exit(9)


def _sleeping(connection) -> None:
    connection.recv_bytes()
    time.sleep(60)


@pytest.mark.parametrize(("serve", "what"), [(_dying, "! the process ended with 9"), (_sleeping, "! no answer in 5 s")])
def test_a_reader_that_dies_or_hangs_is_noticed_and_replaced(serve, what, monkeypatch):
    monkeypatch.setattr(fuzz, "_serve", serve)
    reader = fuzz.Reader()
    try:
        assert reader.read(b"x", seconds=5 if serve is _sleeping else 60) == what
        assert reader.read(b"x", seconds=5 if serve is _sleeping else 60) == what
    finally:
        reader.close()
