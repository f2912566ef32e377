"""The seam to a GPU and its scheduler, with a pretended GPU: every way a job can fail there, and how it goes on."""

import inspect
import logging
import pickle
import threading

import pytest

from restoration.errors import ImageFileError, WeightsError
from restoration.inference.engine import finish
from restoration.inference.report import Restoration
from tests.inference.fakes import (
    REFUSALS,
    Counter,
    FakeStore,
    Inverting,
    PageError,
    make_card,
    make_engine,
    picture,
    refusing,
    scheduled_engine,
    watched_card,
)

CARD = make_card(Inverting, name="inverting")
DOCUMENT = picture(70, 100)


def failing_after(count, error):
    """A worker that fails after some tiles."""

    def on_gpu(compute):
        def worker(job):
            for number, event in enumerate(compute(job)):
                if number == count + 1:  # the first event says that the worker is ready
                    raise error
                yield event

        return worker

    return on_gpu


def assert_restored(result: Restoration, on: str) -> None:
    assert (result.image.color == 255 - DOCUMENT.color).all()
    assert result.report.device == on


@pytest.mark.parametrize("title", REFUSALS)
def test_a_refusal_of_the_scheduler_leads_to_the_cpu(gpu, title):
    engine = scheduled_engine(CARD, refusing(PageError("whatever", title)))
    result = finish(engine.stream(DOCUMENT, CARD))
    assert_restored(result, on="cpu")
    (warning,) = result.report.warnings
    assert title in warning
    assert "computed on the CPU" in warning
    assert ("Signing in" in warning) == ("quota" in title)


def test_a_plain_runtime_error_of_the_scheduler_leads_to_the_cpu_without_a_log(gpu, caplog):
    engine = scheduled_engine(CARD, refusing(RuntimeError("ZeroGPU API /schedule error: 502")))
    assert_restored(finish(engine.stream(DOCUMENT, CARD)), on="cpu")
    assert not caplog.records


def test_an_aborted_worker_leads_to_the_cpu_and_keeps_what_was_done(gpu, caplog):
    error = PageError("GPU task aborted", "ZeroGPU worker error")
    engine = scheduled_engine(CARD, failing_after(4, error))
    steps = list(engine.stream(DOCUMENT, CARD))
    assert_restored(steps[-1], on="cpu")
    assert steps[-1].report.tiles == 6
    done = [step.done for step in steps[:-1]]
    assert done == [0, 1, 2, 3, 4, 4, 5, 6]
    assert not caplog.records


def test_an_unknown_error_of_the_worker_leads_to_the_cpu_once_and_is_logged(gpu, caplog):
    engine = scheduled_engine(CARD, failing_after(1, PageError("IndexError", "ZeroGPU worker error")))
    with caplog.at_level(logging.ERROR):
        result = finish(engine.stream(DOCUMENT, CARD))
    assert_restored(result, on="cpu")
    (record,) = caplog.records
    assert record.exc_info is not None
    assert any("unexpectedly" in sentence for sentence in result.report.warnings)


def test_a_bug_that_is_on_the_cpu_too_travels_as_it_is(gpu):
    def broken(x):
        raise ZeroDivisionError("a bug")

    card = watched_card(broken)
    with pytest.raises(ZeroDivisionError, match="a bug"):
        finish(make_engine(card, device="cuda").stream(DOCUMENT, card))


def test_our_own_sentence_from_the_worker_is_said_by_the_cpu(gpu):
    class Empty(FakeStore):
        def load(self, card):
            raise WeightsError("The weights are missing.")

    engine = scheduled_engine(CARD, refusing(PageError("WeightsError", "ZeroGPU worker error")), store=Empty())
    with pytest.raises(WeightsError, match="are missing"):
        finish(engine.stream(DOCUMENT, CARD))


@pytest.mark.parametrize("error", [PageError("Too many pictures today."), ImageFileError("A sentence.")])
def test_what_is_meant_for_the_visitor_is_shown(gpu, error):
    engine = scheduled_engine(CARD, refusing(error))
    with pytest.raises(type(error), match=str(error)):
        finish(engine.stream(DOCUMENT, CARD))


def test_only_plain_values_cross_the_seam(gpu):
    def through_pickle(compute):
        assert inspect.isgeneratorfunction(compute), "the scheduler must see that it is a generator"

        def worker(job):
            for event in compute(pickle.loads(pickle.dumps(job))):
                yield pickle.loads(pickle.dumps(event))

        return worker

    engine = scheduled_engine(CARD, through_pickle)
    assert_restored(finish(engine.stream(DOCUMENT, CARD, strength=1.0)), on="cuda")


def test_this_process_leaves_the_gpu_copy_alone_and_loads_its_own_only_when_needed(gpu):
    store = FakeStore()
    engine = scheduled_engine(CARD, refusing(PageError("no", REFUSALS[0])), store=store)
    engine.warm([CARD])
    assert store.loads == ["inverting"]  # put on the GPU for the workers
    next(engine.stream(DOCUMENT, CARD))
    assert store.loads == ["inverting"]
    finish(engine.stream(DOCUMENT, CARD))
    assert store.loads == ["inverting"] * 2


@pytest.mark.parametrize("on_gpu", [None, lambda compute: compute])
def test_without_a_scheduler_this_process_measures_on_its_own_gpu(gpu, on_gpu):
    counter = Counter()
    card = watched_card(counter)
    engine = make_engine(card, device="cuda", on_gpu=on_gpu)
    engine.warm([card])
    assert len(counter.sizes) >= 2
    assert finish(engine.stream(DOCUMENT, card)).report.device == "cuda"


def test_closing_closes_the_worker(gpu):
    closed = threading.Event()
    workers = []  # a scheduler keeps hold of its workers: that the name goes away closes nothing

    def on_gpu(compute):
        def worker(job):
            try:
                yield from compute(job)
            finally:
                closed.set()

        def start(job):
            workers.append(worker(job))
            return workers[-1]

        return start

    steps = scheduled_engine(CARD, on_gpu).stream(DOCUMENT, CARD)
    for _ in range(3):
        next(steps)
    steps.close()
    assert closed.is_set()


def test_a_worker_that_ends_early_does_not_end_the_job(gpu):
    def on_gpu(compute):
        def worker(job):
            events = compute(job)
            yield next(events)
            yield next(events)

        return worker

    assert_restored(finish(scheduled_engine(CARD, on_gpu).stream(DOCUMENT, CARD)), on="cpu")


def test_tiles_that_move_to_the_cpu_are_cut_for_the_cpu(gpu):
    card = make_card(Inverting, name="inverting", gigaflop_per_megapixel=1.0)
    engine = scheduled_engine(card, refusing(PageError("no", REFUSALS[0])), call_seconds=1e-5)
    document = picture(200, 200)
    steps = list(engine.stream(document, card))
    assert steps[0].total == 1
    assert steps[-1].report.tiles > 1


def test_a_long_job_says_so_before_it_begins(gpu):
    card = make_card(Inverting, name="inverting", gigaflop_per_megapixel=1e8)
    engine = scheduled_engine(card, refusing(PageError("no", REFUSALS[0])))
    steps = engine.stream(DOCUMENT, card)
    first = next(steps)
    steps.close()
    assert first.predicted_seconds == pytest.approx(140, rel=0.1)
    assert first.seconds_left == first.predicted_seconds
    told = f"about {first.predicted_seconds:.0f} s"
    assert any("it can be stopped" in sentence and told in sentence for sentence in first.warnings)


def test_an_engine_on_the_cpu_never_asks_the_scheduler():
    engine = make_engine(CARD, on_gpu=refusing(AssertionError("asked for a GPU")))
    assert_restored(finish(engine.stream(DOCUMENT, CARD)), on="cpu")
