"""Birth certificates: measured, complete, and adopted only for better weights."""

import hashlib
import json

import numpy as np
import pytest
import skimage.data
from PIL import Image

from restoration.errors import DataError, WeightsError
from restoration.evaluation.certify import certify, read_facts
from restoration.registry import MODELS
from restoration.weights import WeightStore

CARD = MODELS["edsr-baseline-x2"]
NAME = "edsr-baseline-x2.safetensors"
FACTS = {
    "recipe": "edsr-baseline-x2", "minutes": 1.5, "iterations": 90, "batch": 16, "seed": 3, "pictures": 2,
    "warm_start": None, "hardware": "2 CPU threads (x86_64)", "torch": "2.11.0", "precision": "bf16 autocast",
}  # fmt: skip


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    for number, name in enumerate(("Set5", "Set14")):
        (folder / "eval" / name).mkdir(parents=True)
        crop = skimage.data.astronaut()[60:124, 180 + 9 * number : 244 + 9 * number]
        Image.fromarray(crop).save(folder / "eval" / name / "a.png")
    (folder / "train").mkdir()
    rows = [{"file": "1", "licence": "CC0"}, {"file": "2", "licence": "CC0"}, {"file": "3", "source": "friends"}]
    (folder / "train" / "general.json").write_text(json.dumps(rows))
    return folder


def _run(folder, content):
    folder.mkdir()
    (folder / "run.json").write_text(json.dumps(FACTS))
    (folder / NAME).write_bytes(content)
    return folder


@pytest.fixture
def judge(tmp_path, data, fake_engine):
    """Certifies a run whose weights' first byte says how much they darken the picture."""
    store = WeightStore(tmp_path / "weights")

    def make_engine(candidate):
        worse = candidate.folder.joinpath(NAME).read_bytes()[0]
        return fake_engine(candidate, change=lambda picture: picture - np.minimum(picture, worse))

    def run(name, content):
        return certify(
            _run(tmp_path / name, content), data, CARD, facts=FACTS, folder="train/general", make_engine=make_engine,
            store=store,
        )  # fmt: skip

    return run, store


def test_the_certificate_says_everything(judge):
    run, store = judge
    verdict = run("first", b"\x05weights")
    assert verdict.adopted
    assert verdict.previous is None
    assert (store.folder / NAME).read_bytes() == b"\x05weights"
    certificate = store.certificate(CARD)
    assert certificate == verdict.certificate
    assert certificate["sha256"] == hashlib.sha256(b"\x05weights").hexdigest()
    assert certificate["parameters"] == sum(p.numel() for p in CARD.build().parameters())
    assert all(certificate[key] == value for key, value in FACTS.items() if key != "pictures")
    assert certificate["data"]["pictures"] == 2
    assert certificate["data"]["description"] == (
        "train/general: 3 pictures listed; those not trained on were held out for validation"
    )
    assert certificate["data"]["licences"] == {"CC0": 2, "friends": 1}
    assert certificate["licence"] == "see weights/README.md"
    assert len(certificate["date"]) == 10
    assert [score["set"] for score in certificate["scores"]] == ["Set5", "Set14"]
    keys = "set task scale pictures protocol psnr ssim baseline baseline_psnr baseline_ssim"
    assert all(sorted(score) == sorted(keys.split()) for score in certificate["scores"])
    assert not list(store.folder.glob("*.part"))


def test_only_better_weights_replace_what_is_there(judge):
    run, store = judge
    run("first", b"\x05")
    worse = run("worse", b"\x09")
    assert not worse.adopted
    assert worse.previous == store.certificate(CARD)["scores"][0]["psnr"]
    assert (store.folder / NAME).read_bytes() == b"\x05"
    assert run("better", b"\x02").adopted
    assert (store.folder / NAME).read_bytes() == b"\x02"
    assert store.certificate(CARD)["sha256"] == hashlib.sha256(b"\x02").hexdigest()


def test_weights_without_a_certificate_are_measured_before_they_are_replaced(judge):
    run, store = judge
    store.folder.mkdir()
    (store.folder / NAME).write_bytes(b"\x03")
    assert not run("worse", b"\x07").adopted
    assert run("better", b"\x01").adopted


def test_a_certificate_by_another_protocol_does_not_count(judge):
    run, store = judge
    run("first", b"\x05")
    path = store.folder / "edsr-baseline-x2.json"
    certificate = json.loads(path.read_text())
    certificate["scores"][0] |= {"protocol": "another", "psnr": 99.0}
    path.write_text(json.dumps(certificate))
    assert run("better", b"\x02").adopted


def test_the_int8_graph_stays_with_its_weights_and_goes_with_them(judge):
    run, store = judge
    first = run("first", b"\x05")
    graph = store.folder / "edsr-baseline-x2.int8.zip"
    graph.write_bytes(b"graph")
    fast = {"made_from": first.certificate["sha256"], "loss_db": 0.02}
    path = store.folder / "edsr-baseline-x2.json"
    path.write_text(json.dumps({**first.certificate, "fast": fast}))
    assert run("the same again", b"\x05").certificate["fast"] == fast
    assert graph.is_file()
    assert "fast" not in run("better", b"\x02").certificate
    assert not graph.exists()


def test_the_same_weights_get_a_new_certificate(judge):
    run, store = judge
    store.folder.mkdir()
    (store.folder / NAME).write_bytes(b"\x04")
    assert run("same", b"\x04").adopted
    assert store.certificate(CARD) is not None


def test_weights_that_beat_bicubic_become_available_and_others_do_not(judge):
    run, store = judge
    run("first", b"\x05")
    assert not store.availability(CARD).available
    path = store.folder / "edsr-baseline-x2.json"
    certificate = json.loads(path.read_text())
    for score in certificate["scores"]:
        score["psnr"] = score["baseline_psnr"] + 1
    path.write_text(json.dumps(certificate))
    assert store.availability(CARD).available


def test_damaged_run_folders_are_one_sentence(tmp_path, judge, data):
    with pytest.raises(DataError, match=r"no readable run\.json"):
        read_facts(tmp_path)
    (tmp_path / "run.json").write_text("[]")
    with pytest.raises(DataError, match="does not name its recipe"):
        read_facts(tmp_path)
    with pytest.raises(WeightsError, match="holds no edsr"):
        certify(tmp_path, data, CARD, facts=FACTS, folder="train/general", make_engine=lambda _: None)  # type: ignore[arg-type]


def test_a_missing_licence_listing_is_one_sentence(judge, data):
    (data / "train" / "general.json").unlink()
    run, store = judge
    with pytest.raises(DataError, match="licences"):
        run("first", b"\x05")
    assert not store.folder.exists()
