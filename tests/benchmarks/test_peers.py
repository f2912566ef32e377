"""What is raced against computes what it races: same weights, same statistics, same result."""

import cv2
import numpy as np
import pytest
import torch

from benchmarks import races
from benchmarks.peers import LARGEST_DIFFERENCE, difference, eager, peer_names, peers_of
from benchmarks.races import check_peers
from benchmarks.subjects import PUBLISHED, BenchmarkStore, as_tensor, parse_size, picture, published_card, subjects
from restoration.errors import OptionError

STORE = BenchmarkStore()
CARDS = {card.name: card for card in subjects()}


@pytest.mark.parametrize(
    ("name", "peers"),
    [
        (PUBLISHED, {"eager", "predict.py"}),
        ("edsr-baseline-x2", {"eager", "super-image", "cv2.dnn"}),
        ("edsr-baseline-x4", {"eager", "super-image"}),
        ("pix2pix-faces", {"eager"}),
    ],
)
def test_peers_give_what_the_network_gives(name, peers):
    if name not in CARDS:
        pytest.skip("its weights are not here")
    assert set(peer_names(CARDS[name])) == peers
    found = check_peers(CARDS[name], peers)
    assert found.keys() == peers
    assert max(found.values()) <= LARGEST_DIFFERENCE


def test_a_peer_that_computes_something_else_is_refused(monkeypatch):
    card = published_card()
    monkeypatch.setattr(races, "peers_of", lambda card, network, wanted: {"dim": lambda pixels: pixels // 2})
    with pytest.raises(AssertionError, match="dim differs from deblurgan-v2-mobilenet by"):
        check_peers(card, ["dim"])


def test_stored_statistics_of_another_picture_are_told_from_the_pictures_own():
    network, _ = STORE.load(published_card())  # calibrated on a larger picture
    network.final.weight.data *= 20
    pixels = 255 - picture(96, 128)
    peers = peers_of(published_card(), network, ["eager", "predict.py"])
    assert difference(peers["eager"], network, pixels) <= LARGEST_DIFFERENCE
    assert difference(peers["predict.py"], network, pixels) > LARGEST_DIFFERENCE


def test_the_seeded_weights_are_always_the_same_and_change_little():
    (first, name), (second, _) = (STORE.load(published_card()) for _ in range(2))
    assert name == "random, calibrated"
    assert all(
        torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    )
    pixels = picture(96, 96)
    change = np.abs(eager(first, pixels).astype(int) - pixels)
    assert 0 < change.mean() < 10


def test_pictures_are_photographs_of_any_size():
    for size in ((64, 64), (700, 900)):
        assert picture(*size).shape == (*size, 3)
        assert 20 < picture(*size).std() < 100
    assert as_tensor(picture(64, 80)).shape == (1, 3, 64, 80)


def test_sizes_and_names_are_checked_in_a_sentence():
    assert parse_size("1280x720") == (720, 1280)
    for wrong in ("1280", "axb", "10x10", "1x2x3"):
        with pytest.raises(OptionError, match="WIDTHxHEIGHT"):
            parse_size(wrong)
    with pytest.raises(OptionError, match="'nothing' is not measured"):
        subjects(["nothing"])


def test_opencv_is_given_the_networks_own_colours_and_threads():
    if "edsr-baseline-x2" not in CARDS:
        pytest.skip("its weights are not here")
    network, _ = STORE.load(CARDS["edsr-baseline-x2"])
    peers = peers_of(CARDS["edsr-baseline-x2"], network, ["cv2.dnn"])
    pixels = picture(70, 90)  # not the size of the export
    assert difference(peers["cv2.dnn"], network, pixels) <= LARGEST_DIFFERENCE
    assert difference(lambda given: peers["cv2.dnn"](given[..., ::-1].copy()), network, pixels) > LARGEST_DIFFERENCE
    assert cv2.getNumThreads() == torch.get_num_threads()
