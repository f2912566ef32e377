"""Whose turn it is: stopping, waiting, threads."""

import threading

import numpy as np
import pytest

from restoration.inference.engine import finish
from restoration.inference.networks import Networks
from restoration.inference.report import Progress, Restoration
from tests.inference.fakes import (
    Counter,
    FakeStore,
    Identity,
    make_card,
    make_engine,
    picture,
    watched_card,
)

IDENTITY = make_card(Identity, name="identity", margin=2)
ENGINE = make_engine(IDENTITY)


def run(engine, document, card, **options) -> Restoration:
    return finish(engine.stream(document, card, **options))


def test_closing_stops_the_computation_and_lets_the_next_job_begin():
    counter = Counter()
    card = watched_card(counter)
    engine = make_engine(card)
    engine.warm([card])
    before = len(counter.sizes)
    steps = engine.stream(picture(320, 320), card)
    assert [next(steps).done for _ in range(4)] == [0, 1, 2, 3]
    steps.close()
    assert len(counter.sizes) == before + 3
    assert next(engine.stream(picture(8, 8), card)) == Progress(
        done=0, total=1, seconds_left=pytest.approx(0, abs=1), predicted_seconds=pytest.approx(0, abs=1)
    )


def test_a_second_job_waits_and_says_so():
    first = ENGINE.stream(picture(70, 70), IDENTITY)
    next(first)
    second = ENGINE.stream(picture(8, 8), IDENTITY)
    assert [next(second).stage, next(second).stage] == ["queue", "queue"]
    first.close()
    assert [type(step) for step in second] == [Progress, Progress, Restoration]


def test_a_job_that_waits_can_be_closed():
    first = ENGINE.stream(picture(70, 70), IDENTITY)
    next(first)
    second = ENGINE.stream(picture(8, 8), IDENTITY)
    next(second)
    second.close()
    assert isinstance(list(first)[-1], Restoration)
    run(ENGINE, picture(8, 8), IDENTITY)


def test_an_error_lets_the_next_job_begin():
    calls = []

    def fails_once(x):
        calls.append(1)
        if len(calls) == 4:
            raise KeyError("a bug")

    card = watched_card(fails_once)
    engine = make_engine(card)
    with pytest.raises(KeyError, match="a bug"):
        run(engine, picture(200, 40), card)
    assert run(engine, picture(40, 40), card).report.tiles == 1


def in_threads(count, work):
    """Runs work(0..count-1) in threads that start together; the results, or the first error raised again."""
    results, errors, gate = [None] * count, [], threading.Barrier(count)

    def body(index):
        try:
            gate.wait()
            results[index] = work(index)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=body, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results


def test_jobs_of_many_threads_come_one_at_a_time_and_right():
    counter = Counter(seconds=0.002)
    cards = [watched_card(counter, name="one"), watched_card(counter, name="two")]
    engine = make_engine(*cards)
    documents = [picture(70, 40, seed=seed) for seed in range(4)]
    results = in_threads(4, lambda index: run(engine, documents[index], cards[index % 2]))
    assert counter.most_inside == 1
    for document, result in zip(documents, results, strict=True):
        assert (result.image.color == document.color).all()


def test_one_network_is_never_entered_by_two_threads():
    counter = Counter(seconds=0.01)
    card = watched_card(counter)
    networks = Networks(FakeStore())
    pixels = np.zeros((4, 4, 3), np.float32)
    in_threads(4, lambda _: networks.get(card, "cpu")(pixels, "fp32"))
    assert counter.most_inside == 1
    assert len(counter.sizes) == 4
