"""The desk every job passes: how many run, none too long, and none that begins while the server is ending.

Knows nothing of pages or pictures: a job is a generator.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, TypeVar

from restoration.errors import RestorationError
from restoration.inference.report import Progress
from restoration.ui.logs import in_request, new_request_id

LOG = logging.getLogger(__name__)
CLOSED = "The server is being restarted: please send this again in a minute."
STUCK_FACTOR = 2.0
DOUBT_FACTOR = 3.0
"""Predictions may be wrong by less than this: a machine may have been busy when they were measured."""
Step = TypeVar("Step")


@dataclass(slots=True)
class _Job:
    identity: str
    began: float
    facts: dict[str, Any] = field(default_factory=dict)
    computing: bool = False


class Desk:
    """Counts jobs, ends those that take too long, and closes.

    Args:
        job_seconds: no job takes longer, waiting in the queue not counted.
        clock: seconds; for tests.
    """

    def __init__(self, job_seconds: float = 600, clock: Callable[[], float] = time.monotonic) -> None:
        self.job_seconds = job_seconds
        self._clock = clock
        self._jobs: dict[int, _Job] = {}
        self._changed = threading.Condition()
        self._closed = self._ending = False
        self._done = 0

    @property
    def running(self) -> int:
        """How many jobs compute, or are the next to.

        A job that was cancelled ends at its next step only. The one that the queue sends meanwhile waits for its turn
        at the engine, and is not counted until it has it.
        """
        jobs = list(self._jobs.values())
        return max(sum(job.computing for job in jobs), min(1, len(jobs)))

    @property
    def done(self) -> int:
        """How many jobs have ended, whichever way."""
        return self._done

    @property
    def closed(self) -> bool:
        """Whether new jobs are refused."""
        return self._closed

    @property
    def stuck(self) -> bool:
        """Whether a job goes on long after its time: it is in a computation that nothing can interrupt."""
        longest = STUCK_FACTOR * self.job_seconds + 60
        return any(self._clock() - job.began > longest for job in list(self._jobs.values()))

    def close(self, seconds: float) -> bool:
        """Refuses new jobs, and lets those that run go on for so long; the rest ends at its next step.

        Returns: whether all had ended by themselves.
        """
        with self._changed:
            self._closed = True
            return self._changed.wait_for(lambda: not self._jobs, timeout=seconds)

    def end(self, seconds: float) -> bool:
        """Tells running jobs to end at their next step, and waits; returns whether they did."""
        with self._changed:
            self._closed = self._ending = True
            return self._changed.wait_for(lambda: not self._jobs, timeout=seconds)

    def watch(
        self, steps: Generator[Step], *, identity: str | None = None, facts: dict[str, Any] | None = None
    ) -> Generator[Step]:
        """Passes on the steps of a job as long as it may go on; closing it closes them.

        Args:
            identity: of the request, for the log.
            facts: what else the log says of the job: no names, no pictures.

        Raises:
            RestorationError: the server is ending, or the job takes too long.
        """
        job = self._begin(identity or new_request_id(), facts or {})
        outcome = "cancelled"
        try:
            with closing(steps):
                while True:
                    self._check(job)
                    with in_request(job.identity):
                        step = next(steps, None)
                    if step is None:
                        outcome = "done"
                        return
                    self._check_prediction(step)
                    job.computing |= isinstance(step, Progress) and step.stage != "queue"
                    yield step
        except RestorationError as error:
            outcome = type(error).__name__
            raise
        except Exception:
            outcome = "failed"
            raise
        finally:
            self._end(job, outcome)

    def _begin(self, identity: str, facts: dict[str, Any]) -> _Job:
        if self._closed:
            raise RestorationError(CLOSED)
        job = _Job(identity, self._clock(), facts)
        with self._changed:
            self._jobs[id(job)] = job
        return job

    def _check(self, job: _Job) -> None:
        if self._ending:
            raise RestorationError(CLOSED)
        if self._clock() - job.began > self.job_seconds:
            raise RestorationError(
                f"This took longer than {_duration(self.job_seconds)}, the limit for one photo here:"
                " try a smaller photo or a quicker model."
            )

    def _check_prediction(self, step: object) -> None:
        """A job that cannot end in time need not begin."""
        predicted = step.predicted_seconds if isinstance(step, Progress) and not step.done else None
        if predicted is not None and predicted > DOUBT_FACTOR * self.job_seconds:
            raise RestorationError(
                f"This would take about {_duration(predicted)} on this machine and the limit is"
                f" {_duration(self.job_seconds)}: try a smaller photo or a quicker model."
            )

    def _end(self, job: _Job, outcome: str) -> None:
        seconds = self._clock() - job.began
        with self._changed:
            del self._jobs[id(job)]
            self._done += 1
            self._changed.notify_all()
        fields = {"request": job.identity, "outcome": outcome, "seconds": round(seconds, 3), **job.facts}
        LOG.info("job", extra={"fields": fields})


def _duration(seconds: float) -> str:
    return f"{seconds:.3g} seconds" if seconds < 120 else f"{seconds / 60:.0f} minutes"
