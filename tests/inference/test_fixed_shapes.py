"""Graphs for pictures of one size: made where they pay, believed only when they agree, and no different picture."""

import logging
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from torch import nn

from restoration.card import Tiling
from restoration.inference.backends import compiled_graph, fixed_shapes
from restoration.inference.backends.backend import BackendFailed
from restoration.inference.backends.conversion import convert
from restoration.inference.backends.fixed_shapes import FixedShapes
from restoration.inference.backends.openvino_backend import check_picture, compiler
from restoration.inference.device import place_network
from restoration.inference.engine import finish
from restoration.inference.networks import Loaded
from tests.inference.fakes import Doubling, ThreeConvolutions, make_card, make_engine, picture, seeded

pytest.importorskip("openvino")
THREE = make_card(seeded(ThreeConvolutions), name="three", margin=3)
DOUBLING = make_card(Doubling, name="doubling", scale=2, margin=1)


def load(card) -> Loaded:
    network = place_network(card.build(), "cpu")
    return Loaded(network, "fake weights", "cpu", compiler(card, network, None))


def fixed(loaded: Loaded) -> FixedShapes:
    return loaded._choose("fp32", 64)[0]._fixed


@pytest.fixture
def other(monkeypatch):
    """Graphs for one size are another network's."""
    wrong = convert(nn.Sequential(nn.Conv2d(3, 3, 3, padding=1)).eval().requires_grad_(False))
    usual = FixedShapes._reshaped

    def reshaped(self, size):
        self._graph = wrong
        return usual(self, size)

    monkeypatch.setattr(FixedShapes, "_reshaped", reshaped)


@pytest.mark.parametrize("card", [THREE, replace(THREE, tiling=Tiling.SEAMS), DOUBLING], ids=["exact", "seams", "x2"])
@pytest.mark.parametrize("size", [(64, 96), (83, 70), (200, 301)])
def test_they_give_what_the_free_graph_gives(card, size):
    loaded = load(card)
    pixels = check_picture(*size)
    expected = loaded(pixels, "fp32")
    loaded.prepare("fp32", size, 10)
    assert size in fixed(loaded)._graphs
    for _ in range(2):
        assert np.abs(loaded(pixels, "fp32") - expected).max() <= 1e-4
    assert size in fixed(loaded)._believed


def test_small_sizes_get_one_when_they_come_again_and_large_ones_at_once():
    loaded = load(THREE)
    for _ in range(fixed_shapes.MANY_JOBS - 1):
        loaded.prepare("fp32", (64, 96), 1)
        assert not fixed(loaded)._graphs
    loaded.prepare("fp32", (64, 96), 1)
    assert list(fixed(loaded)._graphs) == [(64, 96)]
    loaded.prepare("fp32", (1000, 1500), 1)
    assert (1000, 1500) in fixed(loaded)._graphs


def test_the_latest_are_kept():
    loaded = load(THREE)
    for side in (40, 50, 40, 60):
        loaded.prepare("fp32", (side, side), 100)
    assert list(fixed(loaded)._graphs) == [(40, 40), (60, 60)]


def test_one_that_is_wrong_is_found_out_and_the_picture_is_right(other, caplog):
    caplog.set_level(logging.WARNING)
    document = picture(150, 230, dtype="float32")
    fast, slow = (finish(make_engine(THREE, backend=name).stream(document, THREE)) for name in ("auto", "torch"))
    assert (fast.report.backend, fast.report.warnings) == ("openvino", ())
    assert np.abs(fast.image.color - slow.image.color).max() <= 1e-4
    assert "a graph of fixed shape was off by" in caplog.text


def test_after_a_wrong_one_no_other_is_made(other):
    loaded = load(THREE)
    loaded.prepare("fp32", (64, 96), 100)
    loaded(check_picture(64, 96), "fp32")
    loaded.prepare("fp32", (64, 97), 100)
    assert not fixed(loaded)._graphs


def test_the_tiles_of_a_large_picture_are_run_by_one(monkeypatch):
    made, used = [], []
    prepare, infer = FixedShapes.prepare, FixedShapes.infer
    monkeypatch.setattr(FixedShapes, "prepare", lambda self, *args: made.append(args) or prepare(self, *args))
    monkeypatch.setattr(FixedShapes, "infer", lambda self, *args: used.append(infer(self, *args)) or used[-1])
    engine = make_engine(THREE, backend="auto")
    engine.warm([THREE])
    used.clear()
    result = finish(engine.stream(picture(150, 230, dtype="float32"), THREE))
    assert result.report.tiles == len(used) == made[0][1] > 3
    assert all(used)


def test_their_memory_is_given_back_and_taken_again():
    loaded = load(THREE)
    loaded.prepare("fp32", (1000, 1500), 1)
    pixels = check_picture(1000, 1500)
    before = loaded(pixels, "fp32")
    loaded.release()
    assert fixed(loaded)._graphs[1000, 1500]._request is None
    assert (loaded(pixels, "fp32") == before).all()


def test_one_that_fails_on_a_picture_costs_its_own_size_only(monkeypatch):
    loaded = load(THREE)
    expected = loaded(check_picture(64, 96), "fp32")
    for size in ((64, 96), (64, 100)):
        loaded.prepare("fp32", size, 10)

    def fail(*_):
        raise BackendFailed("OpenVINO failed on this picture")

    monkeypatch.setattr(fixed(loaded)._graphs[64, 96], "infer", fail)
    assert np.abs(loaded(check_picture(64, 96), "fp32") - expected).max() <= 1e-4
    assert (loaded.backend("fp32", 64), loaded.notes) == ("openvino", ())
    loaded.prepare("fp32", (64, 96), 10)
    assert list(fixed(loaded)._graphs) == [(64, 100)]


@pytest.mark.parametrize("error", [BackendFailed("no kernel"), MemoryError("full"), RuntimeError("reshape")], ids=repr)
def test_one_that_cannot_be_compiled_costs_its_own_size_only(monkeypatch, error):
    loaded = load(THREE)
    free = fixed(loaded)

    def fail(*_):
        raise error

    with monkeypatch.context() as broken:
        broken.setattr(fixed_shapes, "CompiledGraph", fail)
        loaded.prepare("fp32", (64, 96), 10)
    loaded.prepare("fp32", (64, 100), 10)
    loaded.prepare("fp32", (64, 96), 10)
    assert list(free._graphs) == [(64, 100)] + [(64, 96)] * isinstance(error, MemoryError)  # memory may come back
    assert loaded(check_picture(64, 96), "fp32").shape == (64, 96, 3)
    assert (loaded.backend("fp32", 64), loaded.notes) == ("openvino", ())


@pytest.mark.parametrize(("words", "kind"), [("could not Allocate 5 bytes", MemoryError), ("no kernel", BackendFailed)])
def test_too_little_memory_to_compile_is_told_apart(monkeypatch, words, kind):
    def compile_model(*_):
        raise RuntimeError(words)

    monkeypatch.setattr(compiled_graph, "_core", lambda: SimpleNamespace(compile_model=compile_model))
    with pytest.raises(kind):
        compiled_graph.CompiledGraph(None, "fp32")
