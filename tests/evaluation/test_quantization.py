"""The fast precision is made of what is there, measured as it is served, and written only when it is good."""

import hashlib
import json
import sys
from functools import partial
from pathlib import Path

import pytest
import skimage.data
from PIL import Image
from safetensors.torch import save_file

from restoration.architectures.edsr import EDSR
from restoration.cli.quantize import calibration_pictures, describe
from restoration.errors import DataError, OptionError, WeightsError
from restoration.evaluation import quantization
from restoration.evaluation.quantization import Quantized, int8_file, quantize
from restoration.inference.backends.conversion import convert
from restoration.inference.backends.packed_graph import pack, unpack
from restoration.inference.engine import Engine, finish
from restoration.inference.fast import fast_facts
from restoration.registry import MODELS, Registry
from restoration.weights import WeightStore
from tests.inference.fakes import ThreeConvolutions, make_card, picture, seeded

CARD = make_card(seeded(ThreeConvolutions), name="three", margin=3)
PHOTO = skimage.data.astronaut()
PICTURES = [PHOTO[top : top + 40, 180:220] for top in (40, 60, 80)]


@pytest.fixture
def store(tmp_path: Path) -> WeightStore:
    folder = tmp_path / "weights"
    folder.mkdir()
    save_file(CARD.build().state_dict(), folder / "three.safetensors")
    digest = hashlib.sha256((folder / "three.safetensors").read_bytes()).hexdigest()
    scores = [{"set": "Kodak24", "psnr": 30.0, "baseline_psnr": 29.0}]
    (folder / "three.json").write_text(json.dumps({"model": "three", "sha256": digest, "scores": scores}))
    return WeightStore(folder)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    (folder / "eval" / "Kodak24").mkdir(parents=True)
    Image.fromarray(PHOTO[60:124, 180:244]).save(folder / "eval" / "Kodak24" / "a.png")
    return folder


def engine_of(store: WeightStore) -> Engine:
    return Engine(Registry([CARD]), store, device="cpu", call_seconds=5.0)


@pytest.fixture
def judge(store, data):
    def run() -> Quantized:
        return quantize(CARD, data, PICTURES, calibrated_on="three crops", make_engine=engine_of, store=store)

    return run


@pytest.fixture
def quick(monkeypatch):
    """Without NNCF, and faster than it is: the graph as it is, and what is measured as said."""

    def say(*, speedup: float = 1.5, loss: float = 0.02) -> None:
        plain = pack(convert(CARD.build().requires_grad_(False)))
        monkeypatch.setattr(quantization, "int8_file", lambda *args: plain)
        monkeypatch.setattr(quantization, "_speedup", lambda *args: speedup)
        row = {"set": "Kodak24", "psnr": 30.0 - loss, "usual_psnr": 30.0, "loss_db": loss}
        monkeypatch.setattr(quantization, "_loss", lambda *args: row)

    return say


def files(store: WeightStore) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in store.folder.iterdir()}


def test_a_network_is_quantized_measured_and_written(judge, store, monkeypatch):
    monkeypatch.setattr(quantization, "LEAST_SPEEDUP", 0.0)  # this network is nothing but overhead
    outcome = judge()
    assert (outcome.adopted, outcome.reason) == (True, "")
    certificate = store.certificate(CARD)
    assert certificate is not None
    assert certificate["fast"] == outcome.facts == fast_facts(CARD, store)
    assert certificate["scores"][0]["psnr"] == 30.0, "the rest of the certificate stays"
    assert outcome.facts["made_from"] == certificate["sha256"]
    assert outcome.facts["calibrated_on"] == "three crops"
    (row,) = outcome.facts["scores"]
    assert row["loss_db"] == round(row["usual_psnr"] - row["psnr"], 4) == outcome.facts["loss_db"] < 0.1
    assert (row["set"], row["pictures"]) == ("Kodak24", 1)
    report = finish(engine_of(store).stream(picture(64, 64), CARD, precision="fast")).report
    assert (report.precision, report.warnings) == ("int8", ())
    assert sorted(files(store)) == ["three.int8.zip", "three.json", "three.safetensors"]
    assert "three: written" in describe(outcome)


def test_only_what_the_inner_convolutions_multiply_is_int8(store):
    graph = unpack(int8_file(CARD, store, PICTURES))
    rounded = [op for op in graph.get_ordered_ops() if op.get_type_name() == "FakeQuantize"]
    consumers = {target.get_node().get_friendly_name() for op in rounded for target in op.output(0).get_target_inputs()}
    convolutions = [op.get_friendly_name() for op in graph.get_ordered_ops() if op.get_type_name() == "Convolution"]
    assert len(convolutions) == 3
    assert consumers == {convolutions[1]}


def test_every_convolution_that_no_other_follows_is_as_precise_as_usual(tmp_path):
    """A collapsed tail ends in five: the picture's, and one for each border."""
    card = make_card(seeded(partial(EDSR, 2, blocks=1, width=16)), name="edsr", scale=2)
    save_file(card.build().state_dict(), tmp_path / "edsr.safetensors")
    graph = unpack(int8_file(card, WeightStore(tmp_path), PICTURES))
    rounded = [op for op in graph.get_ordered_ops() if op.get_type_name() == "FakeQuantize"]
    consumers = {target.get_node() for op in rounded for target in op.output(0).get_target_inputs()}
    convolutions = [op for op in graph.get_ordered_ops() if op.get_type_name() == "Convolution"]
    outputs = {op.output(0).get_partial_shape()[1].get_length() for op in consumers}
    assert len(convolutions) == 4 + 1 + 2 * 4
    assert len(consumers) == 3 + 4, "the body, and the borders' first"
    assert outputs == {16, 64}, "not the picture's 12 = 3 x 2 x 2, not the borders' 3"


@pytest.mark.parametrize("loss", [0.1, 0.3, float("nan")])
def test_a_loss_of_a_tenth_is_refused_and_nothing_is_written(judge, quick, store, loss):
    quick(loss=loss)
    before = files(store)
    outcome = judge()
    assert not outcome.adopted
    assert "less than 0.1 dB is allowed" in outcome.reason
    assert files(store) == before
    assert describe(outcome).startswith("three: not written: it loses")


def test_what_is_hardly_faster_is_refused(judge, quick, store):
    quick(speedup=1.19)
    before = files(store)
    assert "only 1.19 times as fast" in judge().reason
    assert files(store) == before


def test_a_good_one_is_written_and_a_worse_one_later_leaves_it_there(judge, quick, store):
    quick(loss=0.0999)
    assert judge().adopted
    before = files(store)
    quick(loss=0.1)
    assert not judge().adopted
    assert files(store) == before


def test_a_graph_that_the_engine_does_not_believe_is_an_error(judge, monkeypatch):
    other = pack(convert(ThreeConvolutions().eval().requires_grad_(False)))
    monkeypatch.setattr(quantization, "int8_file", lambda *args: other)
    with pytest.raises(WeightsError, match=r"cannot be used.* in int8: "):
        judge()


def test_without_nncf_it_is_one_sentence(judge, monkeypatch):
    monkeypatch.setitem(sys.modules, "nncf", None)
    with pytest.raises(OptionError, match=r"needs OpenVINO and NNCF: pip install -r requirements-dev\.txt"):
        judge()


def test_weights_without_a_certificate_are_not_quantized(judge, store):
    (store.folder / "three.json").unlink()
    with pytest.raises(WeightsError, match="certify them first"):
        judge()


def test_calibration_takes_the_same_busy_squares_at_every_call(tmp_path):
    flat = PHOTO.copy()
    flat[:, 256:] = 90
    for number in range(5):
        Image.fromarray(flat).save(tmp_path / f"{number}.png")
    Image.fromarray(PHOTO[:60, :60]).save(tmp_path / "9 too small.png")
    card = MODELS["edsr-baseline-x3"]
    pictures = calibration_pictures(card, tmp_path, 4)
    assert [one.shape for one in pictures] == [(72, 72, 3)] * 3, "four were picked, one is too small"
    assert min(one.std() for one in pictures) > 30, "not the flat half"
    worn = [calibration_pictures(MODELS["unet-resnet-enhance"], tmp_path, 2) for _ in range(2)]
    assert (worn[0][0] == worn[1][0]).all()
    assert worn[0][0].shape == (288, 288, 3)


def test_a_folder_of_tiny_pictures_cannot_calibrate(tmp_path):
    Image.fromarray(PHOTO[:20, :20]).save(tmp_path / "a.png")
    with pytest.raises(DataError, match="at least 256 x 256"):
        calibration_pictures(MODELS["pix2pix-faces"], tmp_path, 4)
