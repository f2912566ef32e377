"""The seam below the engine: which backend runs a network, and what happens when one cannot, or is wrong."""

import copy
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restoration.architectures.blind_deconvolution import with_unet
from restoration.card import ModelCard, SizeRule
from restoration.errors import OptionError
from restoration.inference.backends import conversion, openvino_backend
from restoration.inference.backends.backend import (
    BackendFailed,
    backend_from_environment,
    cache_from_environment,
    choose_backend,
)
from restoration.inference.backends.compiled_graph import CompiledGraph
from restoration.inference.backends.openvino_backend import blurred, check_picture, compare, compiler
from restoration.inference.backends.parts import parts_of, shaken_context
from restoration.inference.device import call_network, place_network
from restoration.inference.engine import finish
from restoration.inference.networks import Loaded
from restoration.inference.report import Restoration
from restoration.registry import MODELS
from tests.inference.fakes import Doubling, ThreeConvolutions, make_card, make_engine, picture, seeded

THREE = make_card(seeded(ThreeConvolutions), name="three", margin=3)
DOUBLING = make_card(Doubling, name="doubling", scale=2, margin=1)
FAILURES = {
    "OpenVINO is not installed here": ("import_openvino", BackendFailed("OpenVINO is not installed here")),
    "OpenVINO does not know": ("convert", BackendFailed("OpenVINO does not know this network's arithmetic")),
}


class Baked(nn.Module):
    """Adds a ramp made for the size it is traced with: what a careless conversion gets wrong."""

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.linspace(0, 1, int(x.shape[3]))[None, None, None, :1] * 0 + (int(x.shape[2]) == 65) * 0.1


class Transforming(nn.Module):
    """Only torch can do this: a Fourier transform, and a context."""

    def observe(self, x: Tensor):
        yield x.mean((2, 3))

    def neutral(self, x: Tensor) -> Tensor:
        return torch.zeros(1, 3)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        return self.features(x, context)[:, :3]

    def features(self, x: Tensor, context: Tensor) -> Tensor:
        flat = torch.fft.irfft2(torch.fft.rfft2(x), s=x.shape[-2:])
        return torch.cat([flat, context[..., None, None].expand_as(x)], dim=1)


class Cut(Transforming):
    """The same with convolutions behind it, which can be converted."""

    def __init__(self) -> None:
        super().__init__()
        self.restorer = nn.Conv2d(6, 3, 3, padding=1)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        return self.restorer(self.features(x, context))


class Sharpening(nn.Module):
    """Its context is a kernel, as a deblurrer's is: a network behind the picture and what blurring it again changes."""

    def __init__(self) -> None:
        super().__init__()
        self.restorer = nn.Conv2d(6, 3, 1)

    def observe(self, x: Tensor):
        yield self.neutral(x)

    def neutral(self, x: Tensor) -> Tensor:
        return F.pad(torch.ones(1, 1, 1, 1), (7,) * 4)

    def features(self, x: Tensor, context: Tensor) -> Tensor:
        again = F.conv2d(F.pad(x, (7,) * 4, mode="replicate"), context.expand(3, 1, 15, 15), groups=3)
        return torch.cat([x, x - again], dim=1)

    def forward(self, x: Tensor, context: Tensor, part: tuple[slice, slice] | None = None) -> Tensor:
        features = self.features(x, context)
        return self.restorer(features if part is None else features[(..., *part)])


def run(card: ModelCard, size: tuple[int, int] = (75, 101), **options) -> Restoration:
    return finish(make_engine(card, **options).stream(picture(*size, dtype="float32"), card))


def load(card: ModelCard, cache: Path | None = None) -> Loaded:
    network = place_network(card.build(), "cpu")
    return Loaded(network, "fake weights", "cpu", compiler(card, network, cache))


def differences(card: ModelCard, **options) -> float:
    """The fast backend against torch, through the engine."""
    fast, slow = (run(card, **options, backend=backend) for backend in ("auto", "torch"))
    assert (fast.report.backend, slow.report.backend) == ("openvino", "torch")
    return float(np.abs(fast.image.color - slow.image.color).max())


@pytest.mark.parametrize("card", [THREE, DOUBLING], ids=lambda card: card.name)
@pytest.mark.parametrize("seconds", [1e-9, 1e9], ids=["tiles", "whole"])
def test_the_fast_backend_gives_what_torch_gives(card, seconds):
    assert differences(card, call_seconds=seconds) <= 1e-4


def test_the_report_names_the_backend():
    report = run(THREE, backend="auto").report
    assert report.backend == report.as_json()["backend"] == "openvino"
    assert report.warnings == ()


@pytest.mark.parametrize("sentence", FAILURES)
def test_a_backend_that_cannot_run_leaves_the_work_to_torch_and_says_so(monkeypatch, sentence):
    name, failure = FAILURES[sentence]

    def fail(*args, **options):
        raise failure

    monkeypatch.setattr(openvino_backend, name, fail)
    result = run(THREE, backend="auto")
    assert result.report.backend == "torch"
    assert [warning for warning in result.report.warnings if warning.startswith(sentence)] == list(
        result.report.warnings
    )
    assert len(result.report.warnings) == 1
    assert (result.image.color == run(THREE, backend="torch").image.color).all()


def test_without_openvino_torch_runs_with_one_line():
    code = (
        "import sys; sys.modules['openvino'] = None\n"
        "from tests.inference.test_backends import THREE, run\n"
        "report = run(THREE, backend='auto').report\n"
        "print(report.backend, len(report.warnings), report.warnings[0])"
    )
    said = fresh_python(code)
    assert said == "torch 1 OpenVINO is not installed here: this was computed by torch, more slowly."


def fresh_python(code: str, **environ: str) -> str:
    root = Path(__file__).parents[2]
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=root, env=os.environ | environ, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_openvino_neither_reports_home_nor_is_imported_before_it_is_needed(tmp_path):
    code = (
        "import sys\n"
        "from restoration import Engine, restore\n"
        "assert not {name for name in sys.modules if name.startswith('openvino')}\n"
        "from tests.inference.test_backends import THREE, run\n"
        "print(run(THREE, backend='auto').report.backend, 'openvino_telemetry' in sys.modules)"
    )
    home = {"HOME": str(tmp_path), "USERPROFILE": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    assert fresh_python(code, **home) == "openvino False"
    assert [path for path in tmp_path.rglob("*") if "intel" in str(path.relative_to(tmp_path)).lower()] == []


def test_a_network_converted_wrongly_is_found_out_and_run_by_torch():
    result = run(make_card(Baked, name="baked"), backend="auto")
    assert result.report.backend == "torch"
    assert "was off by" in result.report.warnings[0]


def test_numbers_that_are_not_finite_never_agree():
    with pytest.raises(BackendFailed, match="off by"):
        compare(lambda pixels: pixels * np.nan, lambda pixels: pixels, "fp32")


def test_a_backend_that_fails_on_a_picture_is_replaced_within_the_same_call(monkeypatch):
    card = make_card(seeded(ThreeConvolutions), name="three", margin=3)
    engine = make_engine(card, backend="auto")
    document = picture(75, 101, dtype="float32")
    engine.warm([card])
    monkeypatch.setattr(CompiledGraph, "infer", lambda self, given, answer: (1, 0, 0, 3))
    result = finish(engine.stream(document, card))
    assert result.report.backend == "torch"
    assert "OpenVINO made (1, 0, 0, 3)" in result.report.warnings[0]
    assert (result.image.color == run(card, backend="torch").image.color).all()


def test_a_picture_too_small_for_the_graph_goes_through_torch():
    assert run(THREE, (32, 200), backend="auto").report.backend == "torch"
    assert run(THREE, (33, 200), backend="auto", call_seconds=1e9).report.backend == "openvino"


def test_memory_that_runs_out_is_told_as_such(monkeypatch):
    backend = load(THREE)._choose("fp32", 64)[0]

    class Request:
        def __getattr__(self, name):
            raise RuntimeError("std::bad_alloc: could not allocate")

    monkeypatch.setattr(backend._graph, "_request", Request())
    with pytest.raises(MemoryError):
        backend(check_picture(64, 64))
    assert np.isfinite(backend(check_picture(64, 64))).all()  # with a new request


def test_memory_is_given_back_and_taken_again():
    loaded = load(THREE)
    pixels = check_picture(70, 64)
    before = loaded(pixels, "fp32")
    loaded.release()
    loaded.release()
    assert (loaded(pixels, "fp32") == before).all()


def test_a_network_that_observes_and_cannot_be_cut_stays_with_torch_silently():
    report = run(make_card(Transforming, name="transforming", observes=64), backend="auto").report
    assert (report.backend, report.warnings) == ("torch", ())


def test_the_convolutions_behind_what_only_torch_computes_are_converted():
    card = make_card(seeded(Cut), name="cut", observes=64, margin=1)
    assert differences(card, call_seconds=1e9) <= 1e-4


def test_a_conversion_that_is_right_only_for_sharp_pictures_is_found_out(monkeypatch):
    """With the neutral kernel the last three channels are zero, and what becomes of them does not show."""
    card = make_card(seeded(Sharpening), name="sharpening", observes=64, margin=7)
    assert differences(card, call_seconds=1e9) <= 1e-4

    def careless(body, **options):
        copied = copy.deepcopy(body)
        copied.weight[:, 3:] = 0
        return conversion.convert(copied, **options)

    monkeypatch.setattr(openvino_backend, "convert", careless)
    report = run(card, backend="auto").report
    assert report.backend == "torch"
    assert "was off by" in report.warnings[0]


class Softening(Sharpening):
    """It always sees the mean of 15 x 15 pixels: its convolution reaches no neighbour, what is before it seven."""

    def observe(self, x: Tensor):
        yield torch.full((1, 1, 15, 15), 1 / 225)


@pytest.mark.parametrize("backend", ["auto", "torch"])
def test_only_what_is_before_the_convolutions_is_computed_for_the_surroundings(backend, monkeypatch):
    sizes = []
    card = make_card(seeded(Softening), name="softening", observes=64, surroundings=7)
    monkeypatch.setattr(Softening, "features", recording(sizes))
    document = picture(120, 111, dtype="float32")
    result = finish(make_engine(card, backend=backend).stream(document, card))
    context = np.full((1, 1, 15, 15), np.float32(1 / 225))
    expected = call_network(place_network(card.build(), "cpu"), document.color, "cpu", "fp32", context)
    assert result.report.backend == {"auto": "openvino"}.get(backend, backend)
    assert result.report.tiles > 1
    assert np.abs(result.image.color - expected.clip(0, 1)).max() <= 1e-4
    assert {(120 // 3 + 14, 111 // 3 + 14), (120 // 3 + 7, 111 // 3 + 7)} <= set(sizes)


def recording(sizes: list[tuple[int, int]]) -> Callable[..., Tensor]:
    """`Sharpening.features`, and the (height, width) it is given."""
    features = Sharpening.features

    def recorded(self: Sharpening, x: Tensor, context: Tensor) -> Tensor:
        sizes.append((x.shape[2], x.shape[3]))
        return features(self, x, context)

    return recorded


def test_the_network_that_measures_blur_is_checked_with_a_kernel_and_a_blurred_picture():
    card = MODELS["blind-wiener-unet"]
    network = with_unet((8, 8, 8), (1, 1, 1)).eval()
    parts = parts_of(card, network)
    assert parts is not None
    neutral, stroke = parts.contexts
    assert neutral is not None
    assert stroke is not None
    assert neutral.shape == stroke.shape == (1, 1, 45, 45)
    assert stroke.min() >= 0
    assert stroke.sum() == pytest.approx(1)
    assert (stroke > 0).sum() > 20
    assert (stroke == shaken_context(neutral)).all()
    pixels = check_picture(83, 70)
    assert np.abs(blurred(pixels, neutral) - pixels).max() < 1e-6
    assert blurred(pixels, stroke).std() < 0.9 * pixels.std()
    assert np.array_equal(blurred(pixels, np.zeros((1, 3), np.float32)), pixels)
    backend = compiler(card, place_network(network, "cpu"), None)("fp32")
    assert backend is not None
    assert backend.name == "openvino"


def test_only_a_kernel_can_be_shaken():
    assert shaken_context(np.zeros((1, 3), np.float32)) is None
    assert shaken_context(np.zeros((1, 1, 9, 9), np.float32)) is None


def test_a_fixed_side_is_kept():
    card = make_card(seeded(ThreeConvolutions), name="fixed", size=SizeRule(fixed=48))
    pixels = check_picture(48, 48)
    loaded = load(card)
    assert loaded.backend("fp32", 48) == "openvino"
    assert np.abs(loaded(pixels, "fp32") - call_network(loaded.network, pixels, "cpu", "fp32")).max() <= 1e-4


def test_converted_networks_are_kept_by_weights_and_used_again(tmp_path, monkeypatch):
    pixels = check_picture(64, 80)
    first = load(THREE, tmp_path)(pixels, "fp32")
    (graph,) = tmp_path.rglob("graph.xml")
    monkeypatch.setattr(openvino_backend, "convert", lambda *args, **options: pytest.fail("converted again"))
    again = load(THREE, tmp_path)
    assert (again(pixels, "fp32") == first).all()
    assert again.backend("fp32", 64) == "openvino"
    monkeypatch.setattr(openvino_backend, "convert", conversion.convert)
    other = make_card(lambda: ThreeConvolutions().eval(), name="three")
    load(other, tmp_path)(pixels, "fp32")
    (kept,) = tmp_path.rglob("graph.xml")
    assert kept != graph, "other weights, another graph; the old one is dropped"


@pytest.mark.parametrize("damage", ["cut", "other"])
def test_a_damaged_graph_is_converted_again(tmp_path, damage):
    pixels = check_picture(64, 80)
    first = load(THREE, tmp_path)(pixels, "fp32")
    (weights,) = tmp_path.rglob("graph.bin")
    content = weights.read_bytes()
    weights.write_bytes(content[: len(content) // 2] if damage == "cut" else bytes(len(content)))
    again = load(THREE, tmp_path)
    assert np.abs(again(pixels, "fp32") - first).max() <= 1e-5
    assert (again.backend("fp32", 64), again.notes) == ("openvino", ())
    assert next(tmp_path.rglob("graph.bin")).read_bytes() == content


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path):
    (tmp_path / "file").write_text("in the way")
    loaded = load(THREE, tmp_path / "file" / "cache")
    assert (loaded.backend("fp32", 64), loaded.notes) == ("openvino", ())


def test_the_environment_names_backend_and_cache():
    assert backend_from_environment({}) == "auto"
    assert backend_from_environment({"RESTORATION_BACKEND": "torch"}) == "torch"
    assert cache_from_environment({"RESTORATION_CACHE": "there"}) == Path("there")
    assert cache_from_environment({"XDG_CACHE_HOME": "user"}) == Path("user/restoration")
    assert cache_from_environment({}) == Path.home() / ".cache" / "restoration"


def test_a_wish_that_cannot_be_met_is_one_sentence(monkeypatch):
    assert choose_backend("openvino") == "openvino"
    with pytest.raises(OptionError, match="can be auto, torch, openvino, not 'onnx'"):
        make_engine(THREE, backend="onnx")
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(OptionError, match="not installed"):
        make_engine(THREE, backend="openvino")


def test_the_check_picture_is_somewhat_like_a_photograph():
    pixels = check_picture(83, 70)
    assert pixels.shape == (83, 70, 3)
    assert pixels.min() >= 0
    assert pixels.max() <= 1
    smooth = F.avg_pool2d(torch.from_numpy(pixels).permute(2, 0, 1)[None], 5, 1)
    assert float(smooth.std()) > 0.7 * pixels.std() > 0.07, "most of it is in low frequencies"
