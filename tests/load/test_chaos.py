"""Chaos: the process that computes for the page is killed in the middle of jobs, again and again."""

import multiprocessing
import os
import signal
from collections.abc import Iterator

import numpy as np
import pytest

from restoration.inference.engine import finish
from tests.inference.conftest import gpu  # noqa: F401 - a fixture
from tests.inference.fakes import Inverting, PageError, make_card, picture, scheduled_engine

CARD = make_card(Inverting, name="inverting", gigaflop_per_megapixel=2e7)  # by the guess: many tiles
TIMES = 12


class Forks:
    """What a GPU scheduler does: every job in a forked process, of which each is killed after some tiles.

    Args:
        tiles: how many a process may finish, job by job; None lets it live.
    """

    def __init__(self, tiles: list[int | None]) -> None:
        self.tiles, self.killed = tiles, 0

    def __call__(self, compute):
        def worker(job) -> Iterator[object]:
            here, there = multiprocessing.Pipe(duplex=False)
            process = multiprocessing.get_context("fork").Process(target=self._serve, args=(compute, job, there))
            process.start()
            there.close()
            allowed, seen = self.tiles.pop(0), -1  # the first event only says that the worker is ready
            try:
                while (event := here.recv()) is not None:
                    yield event
                    seen += 1
                    if seen == allowed:
                        os.kill(process.pid, signal.SIGKILL)
                        process.join()
                        self.killed += 1
                        raise PageError("GPU task aborted", "ZeroGPU worker error")
            finally:
                process.kill()
                process.join()
                here.close()

        return worker

    @staticmethod
    def _serve(compute, job, pipe) -> None:
        for event in compute(job):
            pipe.send(event)
        pipe.send(None)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_worker_killed_mid_job_again_and_again_costs_no_result(gpu) -> None:  # noqa: F811
    forks = Forks([number % 5 for number in range(TIMES)] + [None])
    engine = scheduled_engine(CARD, forks)
    for number in range(TIMES):
        document = picture(70 + number, 100)
        result = finish(engine.stream(document, CARD))
        np.testing.assert_array_equal(result.image.color, 255 - document.color)
        assert result.report.device == "cpu"
        assert any("computed on the CPU" in warning for warning in result.report.warnings)
    assert forks.killed == TIMES
    last = finish(engine.stream(picture(70, 100), CARD))
    assert last.report.device == "cuda"
