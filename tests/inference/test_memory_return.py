"""What large pictures leave behind goes back to the system, during and after the work; small ones do not pay."""

import numpy as np
import pytest

from restoration.inference import networks
from restoration.inference.device import return_freed_memory
from restoration.inference.networks import Loaded, Networks
from tests.inference.fakes import FakeStore, Inverting, make_card, make_engine


@pytest.fixture
def loaded(monkeypatch):
    """A network, and how often memory was returned."""
    returned = []
    monkeypatch.setattr(networks, "return_freed_memory", lambda: returned.append(1))
    monkeypatch.setattr(networks, "LARGE_PIXELS", 1000)
    return Loaded(Inverting().eval(), "none", "cpu"), returned


def test_memory_is_returned_every_so_many_pixels_and_after_the_picture(loaded):
    network, returned = loaded
    tile = np.zeros((20, 20, 3), np.float32)
    for count, calls in ((2, 0), (1, 1), (2, 2), (3, 3)):
        for _ in range(count):
            network(tile, "fp32")
        assert len(returned) == calls
    network.release()
    assert len(returned) == 4


def test_small_pictures_do_not_pay_for_it(loaded):
    network, returned = loaded
    for _ in range(5):
        network(np.zeros((20, 20, 3), np.float32), "fp32")
        network.release()
    assert returned == []


class Holding:
    """A backend that holds memory between two calls."""

    name, smallest, held = "holding", 1, False

    def __call__(self, pixels, context=None, part=None):
        self.held = True
        return pixels

    def prepare(self, height, width, calls): ...

    def release(self):
        self.held = False


@pytest.fixture
def holding(monkeypatch):
    """Networks of two cards, and the backend of each."""
    monkeypatch.setattr(networks, "SMALL_PIXELS", 1000)
    backends = {}

    def compiler(self, card, network, device):
        return lambda precision: backends.setdefault(card.name, Holding())

    monkeypatch.setattr(Networks, "_compiler", compiler)
    cards = [make_card(Inverting, name=name) for name in ("first", "second")]
    return Networks(FakeStore()), cards, backends


def test_the_memory_of_small_pictures_stays_for_the_next_one(holding):
    held, (card, _), backends = holding
    for _ in range(5):  # more than SMALL_PIXELS together
        network = held.get(card, "cpu")
        network(np.zeros((20, 20, 3), np.float32), "fp32")
        network.rest()
        assert backends["first"].held


def test_the_memory_of_a_large_picture_does_not(holding):
    held, (card, _), backends = holding
    network = held.get(card, "cpu")
    for _ in range(3):
        network(np.zeros((20, 20, 3), np.float32), "fp32")
    network.rest()
    assert not backends["first"].held


def test_another_network_takes_its_place(holding):
    held, cards, backends = holding
    for card in cards:
        held.get(card, "cpu")(np.zeros((20, 20, 3), np.float32), "fp32")
    assert (backends["first"].held, backends["second"].held) == (False, True)


def test_returning_memory_is_harmless_where_it_cannot_be_done(monkeypatch):
    def missing(name):
        raise OSError(name)

    monkeypatch.setattr("restoration.inference.device.ctypes.CDLL", missing)
    return_freed_memory()


def test_measuring_a_network_gives_its_memory_back(monkeypatch):
    released = []
    usual = Loaded.release
    monkeypatch.setattr(Loaded, "release", lambda self: released.append(self.device) or usual(self))
    card = make_card(Inverting, name="inverting")
    make_engine(card).warm([card])
    assert released
