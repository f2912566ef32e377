"""The desk, the log, the settings and the sweeper: what a server needs besides pages."""

import contextlib
import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from restoration.errors import OptionError, RestorationError
from restoration.inference.report import Progress
from restoration.ui.desk import CLOSED, Desk
from restoration.ui.logs import JsonLines, current_request, in_request
from restoration.ui.settings import ANY_PROXY, Serving
from restoration.ui.sweeping import YOUNGEST_SECONDS, Sweeper
from tests.ui.conftest import ROOT

# --- the desk ---


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def numbers(closed: list[str]) -> Iterator[int]:
    try:
        yield from range(100)
    finally:
        closed.append("closed")


def test_a_job_passes_through_and_is_counted_while_it_runs() -> None:
    desk, held = Desk(), numbers([])
    steps = desk.watch(held)
    assert desk.running == 0
    assert next(steps) == 0
    assert (desk.running, desk.done) == (1, 0)
    assert list(steps) == list(range(1, 100))
    assert (desk.running, desk.done) == (0, 1)
    assert list(held) == []


def test_a_job_that_takes_too_long_is_ended_in_a_sentence() -> None:
    clock, closed = Clock(), []
    held = numbers(closed)  # that the name goes away would close it too
    steps = Desk(60, clock).watch(held)
    next(steps)
    clock.now = 59
    next(steps)
    clock.now = 61
    with pytest.raises(RestorationError, match="longer than 60 seconds"):
        next(steps)
    assert closed == ["closed"]


def test_a_job_that_cannot_end_in_time_need_not_begin() -> None:
    closed: list[str] = []

    def slow() -> Iterator[Progress]:
        try:
            yield Progress(done=0, total=9, predicted_seconds=3000)
        finally:
            closed.append("closed")

    with pytest.raises(RestorationError, match=r"about 50 minutes .* limit is 10 minutes"):
        next(Desk(600).watch(slow()))
    assert closed == ["closed"]


def test_one_that_waits_for_a_cancelled_ones_last_step_is_not_counted_as_running() -> None:
    desk = Desk()

    def job(*steps: object) -> Iterator[object]:
        yield from steps

    first = desk.watch(job(Progress(done=0, total=2), Progress(done=1, total=2)))
    second = desk.watch(job("decode", Progress(done=0, total=1, stage="queue"), Progress(done=0, total=1)))
    next(first)
    for _ in range(2):
        next(second)
        assert desk.running == 1
    first.close()
    next(second)
    assert desk.running == 1
    third = desk.watch(job(Progress(done=0, total=1)))
    next(third)
    assert desk.running == 2  # two that compute at once would be told
    second.close()
    third.close()
    assert (desk.running, desk.done) == (0, 3)


def test_a_closed_desk_takes_no_job_and_lets_the_running_one_finish() -> None:
    desk, waited = Desk(), []
    steps = desk.watch(numbers([]))
    next(steps)
    waiting = threading.Thread(target=lambda: waited.append(desk.close(10)))
    waiting.start()
    while not desk.closed:
        pass
    with pytest.raises(RestorationError, match="being restarted"):
        next(desk.watch(numbers([])))
    assert len(list(steps)) == 99
    waiting.join(10)
    assert waited == [True]


def test_a_job_that_does_not_finish_in_time_is_told_why() -> None:
    desk, closed = Desk(), []
    steps = desk.watch(numbers(closed))
    next(steps)
    assert desk.close(0.01) is False
    assert desk.end(0.01) is False
    with pytest.raises(RestorationError, match=CLOSED):
        next(steps)
    assert closed == ["closed"]
    assert desk.end(0.01) is True


def test_a_job_in_a_computation_without_end_is_called_stuck() -> None:
    clock = Clock()
    desk = Desk(60, clock)
    steps = desk.watch(numbers([]))
    next(steps)
    clock.now = 170
    assert not desk.stuck
    clock.now = 181
    assert desk.stuck
    steps.close()
    assert not desk.stuck


@pytest.mark.parametrize("outcome", ["done", "cancelled", "OptionError", "failed"])
def test_the_log_tells_how_a_job_ended(outcome: str, caplog: pytest.LogCaptureFixture) -> None:
    def steps() -> Iterator[int]:
        yield 1
        if outcome == "OptionError":
            raise OptionError("a sentence")
        if outcome == "failed":
            raise KeyError("a bug")

    watched = Desk().watch(steps(), identity="12345678", facts={"task": "deblur"})
    with caplog.at_level(logging.INFO):
        next(watched)
        if outcome == "cancelled":
            watched.close()
        else:
            with contextlib.suppress(OptionError, KeyError):
                list(watched)
    (fields,) = [record.fields for record in caplog.records if hasattr(record, "fields")]
    assert (fields["request"], fields["outcome"], fields["task"]) == ("12345678", outcome, "deblur")


def test_what_a_job_logs_carries_its_request() -> None:
    seen = []

    def steps() -> Iterator[int]:
        for number in range(2):
            seen.append(current_request())
            yield number

    for _ in Desk().watch(steps(), identity="abcdef01"):
        seen.append(current_request())
    assert seen == ["abcdef01", "", "abcdef01", ""]


# --- the log ---


def test_a_line_is_json_with_the_request_and_without_names_of_files(tmp_path: Path) -> None:
    try:
        raise OSError(f"cannot open '{tmp_path}/ab12/my holiday.jpg'")
    except OSError as error:
        record = logging.LogRecord("x", logging.ERROR, __file__, 1, "it %s", ("broke",), (OSError, error, None))
    record.fields = {"seconds": 1.5}
    with in_request("01234567"):
        text = JsonLines(tmp_path).format(record)
    assert "\n" not in text
    assert "holiday" not in text
    line = json.loads(text)
    assert (line["message"], line["request"], line["seconds"], line["level"]) == ("it broke", "01234567", 1.5, "ERROR")
    assert "a visitor's file" in line["exception"]


# --- the settings ---


def test_on_a_space_the_rate_is_limited_and_its_proxy_trusted() -> None:
    space = Serving.from_environment({"SPACE_ID": "someone/photos"})
    assert [str(item) for item in space.rate] == ["60 per 1 minute", "600 per 1 hour"]
    assert space.proxies == ANY_PROXY
    assert Serving.from_environment({}) == Serving(rate=(), proxies=0)
    assert Serving.from_environment({"SPACE_ID": "x", "RESTORATION_RATE_LIMIT": "off"}).rate == ()


def test_every_setting_can_be_set() -> None:
    environ = {
        "RESTORATION_RATE_LIMIT": "5/second",
        "RESTORATION_TRUSTED_PROXIES": "2",
        "RESTORATION_FRAME_ANCESTORS": "'self' https://example.org",
        "RESTORATION_MAX_JOB_SECONDS": "90",
        "RESTORATION_STOP_SECONDS": "1.5",
        "RESTORATION_KEEP_SECONDS": "60",
        "RESTORATION_CACHE_MEGABYTES": "500",
    }
    serving = Serving.from_environment(environ)
    assert (serving.proxies, serving.frame_ancestors) == (2, "'self' https://example.org")
    assert (serving.job_seconds, serving.stop_seconds) == (90, 1.5)
    assert (serving.keep_seconds, serving.cache_megabytes) == (60, 500)
    assert str(serving.rate[0]) == "5 per 1 second"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RATE_LIMIT", "many"),
        ("TRUSTED_PROXIES", "-1"),
        ("TRUSTED_PROXIES", "some"),
        ("FRAME_ANCESTORS", "'self'; script-src *"),
        ("FRAME_ANCESTORS", "a\r\nx: y"),
        ("MAX_JOB_SECONDS", "0"),
        ("MAX_JOB_SECONDS", "nan"),
        ("STOP_SECONDS", "soon"),
    ],
)
def test_a_wrong_setting_is_one_sentence(name: str, value: str) -> None:
    with pytest.raises(OptionError, match=f"RESTORATION_{name} must be"):
        Serving.from_environment({f"RESTORATION_{name}": value})


# --- the sweeper ---


def entry(folder: Path, name: str, *, age: float, size: int = 10) -> Path:
    path = folder / name / "photo.png"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x" * size)
    for each in (path, path.parent):
        os.utime(each, (1000 - age, 1000 - age))
    return path


def sweeper(folder: Path, **options: object) -> Sweeper:
    return Sweeper(folder, **({"keep_seconds": 500, "megabytes": 1} | options))


def test_old_photos_go_and_so_does_what_a_killed_process_left(tmp_path: Path) -> None:
    old, young = entry(tmp_path, "old", age=501), entry(tmp_path, "young", age=499)
    left = entry(tmp_path, "half", age=900).with_name(".ab.part")
    left.write_bytes(b"half")
    for each in (left, left.parent):
        os.utime(each, (1, 1))
    assert sweeper(tmp_path).sweep(now=1000) == 2
    assert (old.exists(), young.exists(), left.exists()) == (False, True, False)


def test_the_oldest_go_when_there_is_too_much_but_none_in_use(tmp_path: Path) -> None:
    paths = [entry(tmp_path, str(age), age=age, size=400_000) for age in (400, 300, 200, YOUNGEST_SECONDS - 1)]
    assert sweeper(tmp_path).sweep(now=1000) == 2
    assert [path.exists() for path in paths] == [False, False, True, True]
    assert sweeper(tmp_path, megabytes=0.1).sweep(now=1000) == 1
    assert paths[-1].exists()


def test_files_of_the_page_stay_and_are_put_back(tmp_path: Path) -> None:
    example = entry(tmp_path, "example", age=900)
    sweeping = sweeper(tmp_path, kept=[example])
    assert sweeping.sweep(now=1000) == 0
    example.unlink()
    example.parent.rmdir()
    sweeping.sweep(now=1000)
    assert example.read_bytes() == b"x" * 10


def test_a_folder_that_is_gone_is_no_reason_to_stop(tmp_path: Path) -> None:
    assert sweeper(tmp_path / "gone").sweep() == 0


def test_what_a_dead_process_was_writing_goes_at_once_and_what_a_living_one_writes_stays(tmp_path: Path) -> None:
    code = """
import sys, time
from pathlib import Path
from restoration.images.writing import with_temporary

def write(handle):
    handle.write(b"half")
    handle.flush()
    print("writing", flush=True)
    time.sleep(60)

with_temporary(Path(sys.argv[1]) / "result.png", write)
"""
    folder = tmp_path / "job"
    folder.mkdir()
    with subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, cwd=ROOT) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"writing\n"
        (part,) = folder.iterdir()
        os.utime(part, (time.time() - 60, time.time() - 60))
        sweeper(tmp_path, keep_seconds=5000).sweep()
        assert part.exists()
        writer.kill()
        writer.wait()
        sweeper(tmp_path, keep_seconds=5000).sweep()
        assert list(folder.iterdir()) == []
    fresh = folder / ".0123.part"
    fresh.write_bytes(b"just closed")
    sweeper(tmp_path, keep_seconds=5000).sweep()
    assert fresh.exists()
