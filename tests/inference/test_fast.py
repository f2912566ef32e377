"""The fast precision: what may be asked for, which int8 file is believed, and what happens where there is none."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from restoration.card import ModelCard
from restoration.errors import OptionError, WeightsError
from restoration.inference import device
from restoration.inference.backends.backend import TOLERANCES, BackendFailed
from restoration.inference.backends.compiled_graph import CompiledGraph
from restoration.inference.backends.conversion import convert
from restoration.inference.backends.openvino_backend import OpenVinoBackend, check_picture, compare
from restoration.inference.backends.packed_graph import pack, unpack
from restoration.inference.engine import Engine, finish
from restoration.inference.fast import check_precision, fast_facts, fast_filename, read_fast
from restoration.inference.report import Report
from restoration.inference.sizing import Place
from restoration.pipelines.request import Request
from tests.inference.fakes import FakeStore, ThreeConvolutions, make_card, make_engine, picture, seeded

THREE = make_card(seeded(ThreeConvolutions), name="three", margin=3)
NO_FAST = "There is no fast precision of 'Three' here: {} was used."


class FastStore(FakeStore):
    """A folder with the int8 file of THREE and its facts."""

    def __init__(self, folder: Path, content: bytes, **facts: object) -> None:
        super().__init__()
        self.folder = folder
        (folder / fast_filename(THREE.name)).write_bytes(content)
        good = {"made_from": "of the weights", "sha256": hashlib.sha256(content).hexdigest(), "loss_db": 0.02}
        certificate = {"sha256": "of the weights", "fast": good | facts}
        (folder / "three.json").write_text(json.dumps(certificate))


def packed(network: nn.Module) -> bytes:
    """A graph as good as an int8 one: what is in it is the maker's business."""
    return pack(convert(network.eval().requires_grad_(False)))


CONTENT = packed(THREE.build())


@pytest.fixture
def store(tmp_path: Path) -> FastStore:
    return FastStore(tmp_path, CONTENT)


def engine_of(store: FakeStore, card: ModelCard = THREE, **options) -> Engine:
    return make_engine(card, **({"store": store, "backend": "auto", "call_seconds": 1e9} | options))


def report_of(engine: Engine, precision: str = "fast", size: tuple[int, int] = (75, 101)) -> Report:
    (card,) = engine.models.values()
    return finish(engine.stream(picture(*size, dtype="float32"), card, precision=precision)).report


def facts_of(report: Report) -> tuple[str, str, tuple[str, ...]]:
    return report.precision, report.backend, report.warnings


def test_the_int8_graph_that_ships_is_run(store):
    engine = engine_of(store)
    assert engine.has_fast(THREE)
    assert engine.place(THREE, "fast") == Place("cpu", "int8")
    assert facts_of(report_of(engine)) == ("int8", "openvino", ())
    assert facts_of(report_of(engine, "auto")) == ("fp32", "openvino", ())


def test_without_an_int8_graph_the_usual_precision_runs_with_one_line():
    assert facts_of(report_of(engine_of(FakeStore()))) == ("fp32", "openvino", (NO_FAST.format("fp32"),))


def test_on_torch_alone_the_usual_precision_runs_with_one_line(store):
    assert facts_of(report_of(engine_of(store, backend="torch"))) == ("fp32", "torch", (NO_FAST.format("fp32"),))


def test_fp32_is_kept_to_where_bf16_would_be_used(monkeypatch, store):
    monkeypatch.setattr(device, "cpu_has_bf16", lambda: True)
    half = make_card(seeded(ThreeConvolutions), name="three", margin=3, half=True)
    engine = engine_of(store, half)
    assert [engine.place(half, wish).precision for wish in ("auto", "fp32", "fast")] == ["bf16", "fp32", "int8"]


@pytest.mark.parametrize(
    "facts", [{"made_from": "of other weights"}, {"loss_db": 0.1}, {"loss_db": 0.3}], ids=["stale", "0.1", "0.3"]
)
def test_a_graph_of_other_weights_or_with_too_much_loss_is_not_there(tmp_path, facts):
    store = FastStore(tmp_path, CONTENT, **facts)
    assert fast_facts(THREE, store) is None
    with pytest.raises(WeightsError, match="no fast precision"):
        read_fast(THREE, store)
    assert report_of(engine_of(store)).precision == "fp32"


def test_a_certificate_without_its_file_or_that_is_damaged_promises_nothing(store):
    (store.folder / fast_filename("three")).unlink()
    assert fast_facts(THREE, store) is None
    (store.folder / "three.json").write_text("{")
    assert fast_facts(THREE, store) is None


def test_a_damaged_file_leaves_the_work_to_the_usual_precision_and_says_so(store):
    path = store.folder / fast_filename("three")
    path.write_bytes(path.read_bytes()[:-1])
    sentence = "The file three.int8.zip is damaged: its hash is not the one in three.json: fp32 was used."
    engine = engine_of(store)
    assert facts_of(report_of(engine)) == ("fp32", "openvino", (sentence,))
    assert report_of(engine, "auto").warnings == (), "who did not ask for it need not know"


@pytest.mark.parametrize("content", [b"no zip", b"PK\x05\x06" + bytes(18)], ids=["other", "empty"])
def test_a_file_that_is_no_graph_is_one_line(tmp_path, content):
    report = report_of(engine_of(FastStore(tmp_path, content)))
    assert facts_of(report) == ("fp32", "openvino", ("OpenVINO cannot read the int8 graph: fp32 was used.",))


def test_a_graph_that_makes_another_picture_is_found_out(tmp_path):
    torch.manual_seed(1)
    report = report_of(engine_of(FastStore(tmp_path, packed(ThreeConvolutions()))))
    assert (report.precision, report.backend) == ("fp32", "openvino")
    (warning,) = report.warnings
    assert "in int8: fp32 was used." in warning


def test_int8_is_judged_on_the_whole_too():
    def shifted(pixels):
        return pixels + np.float32(0.01)  # 40 dB, and 2.6/255

    with pytest.raises(BackendFailed, match="only 40 dB"):
        compare(shifted, lambda pixels: pixels, "int8")
    compare(lambda pixels: pixels + np.float32(0.003), lambda pixels: pixels, "int8")
    with pytest.raises(BackendFailed, match="off by"):
        compare(lambda pixels: np.where(pixels == pixels.max(), 0.5, pixels), lambda pixels: pixels, "int8")
    assert TOLERANCES["bf16"] < TOLERANCES["int8"] < 0.1


def test_a_graph_that_fails_on_a_picture_is_replaced_within_the_same_call(monkeypatch, store):
    engine, real = engine_of(store), CompiledGraph.infer
    engine.warm([THREE])
    fast = engine._networks.get(THREE, "cpu")._backends["int8"]._graph

    def infer(self, given, answer):
        return (1, 0, 0, 3) if self is fast else real(self, given, answer)

    monkeypatch.setattr(CompiledGraph, "infer", infer)
    report = report_of(engine)
    assert (report.precision, report.backend, len(report.warnings)) == ("fp32", "openvino", 1)
    assert report.warnings[0].startswith("OpenVINO made (1, 0, 0, 3)")


def test_a_picture_too_small_for_the_graph_is_reported_in_the_precision_it_had(store):
    assert facts_of(report_of(engine_of(store), size=(32, 90))) == ("fp32", "torch", ())


def test_without_openvino_torch_runs_with_one_line(store):
    code = (
        "import sys; sys.modules['openvino'] = None\n"
        "from pathlib import Path\n"
        "from tests.inference.fakes import FakeStore, ThreeConvolutions, make_card, make_engine, picture, seeded\n"
        "card = make_card(seeded(ThreeConvolutions), name='three', margin=3)\n"
        f"store = FakeStore(); store.folder = Path({str(store.folder)!r})\n"
        "engine = make_engine(card, store=store, backend='auto')\n"
        "*_, done = engine.stream(picture(75, 101), card, precision='fast')\n"
        "print(done.report.precision, done.report.backend, *done.report.warnings)"
    )
    root = Path(__file__).parents[2]
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True)
    said = "OpenVINO is not installed here: this was computed by torch, more slowly."
    assert result.stdout.strip() == f"fp32 torch {said}"


def test_warming_measures_the_fast_precision_too(store):
    engine = engine_of(store, call_seconds=0.5)
    engine.warm([THREE])
    assert engine._costs.measured(THREE, Place("cpu", "int8"))
    assert engine._costs.measured(THREE, Place("cpu", "fp32"))
    report = report_of(engine)
    assert report.seconds["prepare"] < 0.05, "nothing is loaded or measured any more"


def test_int8_is_planned_by_its_own_cost(store):
    """Ten times cheaper than fp32, so ten times as much in a call of half a second, and no more."""
    engine = engine_of(store, call_seconds=0.5)
    for precision, seconds in (("fp32", 100.0), ("int8", 10.0)):
        engine._costs.observe(THREE, Place("cpu", precision), pixels=1_000_000, seconds=seconds)
    assert 8 < engine.predict_seconds(THREE, 400, 400) / engine.predict_seconds(THREE, 400, 400, "fast") < 13
    costs = [engine._costs.seconds_per_megapixel(THREE, engine.place(THREE, wish)) for wish in ("auto", "fast")]
    assert costs == [100.0, 10.0]


def test_a_wish_that_cannot_be_is_one_sentence():
    assert [check_precision(wish) for wish in ("auto", "fp32", "fast")] == ["auto", "fp32", "fast"]
    for wrong in ("int8", "", None, 8, ["fast"]):
        with pytest.raises(OptionError, match="can be auto, fp32, fast"):
            Request(task="enhance", precision=wrong)
    with pytest.raises(OptionError, match="not 'bf16'"):
        next(make_engine(THREE).stream(picture(8, 8), THREE, precision="bf16"))


def test_a_packed_graph_comes_out_as_it_went_in():
    assert CONTENT[:2] == b"PK"
    backend = OpenVinoBackend(unpack(CONTENT), "fp32", lambda pixels, context, part: pixels)
    with torch.no_grad():
        pixels = check_picture(83, 70)
        expected = THREE.build()(torch.from_numpy(pixels).permute(2, 0, 1)[None])[0].permute(1, 2, 0).numpy()
    assert np.abs(backend(pixels) - expected).max() < 1e-3, "fp16 weights"
