"""The faster way on a GPU, with a pretended GPU: it must agree with the network in fp32, or torch runs it instead."""

import contextlib
import copy

import numpy as np
import pytest
import torch
from skimage import data
from torch import nn

from restoration.architectures.blind_deconvolution import with_unet
from restoration.card import SizeRule, Tiling
from restoration.inference import device, sizing
from restoration.inference.backends import cuda_backend
from restoration.inference.backends.backend import BackendFailed
from restoration.inference.backends.cuda_backend import CudaBackend, compiler
from restoration.inference.device import call_network, choose_precision, computing, place_network
from restoration.inference.engine import finish
from restoration.inference.run import TOGETHER
from restoration.inference.sizing import Place, most_pixels
from restoration.inference.tiling import Box
from restoration.registry import MODELS
from restoration.weights import WeightStore
from tests.inference.fakes import (
    FakeStore,
    Inverting,
    ThreeConvolutions,
    make_card,
    make_engine,
    picture,
    scheduled_engine,
    seeded,
)

STORE = WeightStore()
HALF = [card for card in MODELS.values() if card.half and STORE.availability(card).available]
CARD = make_card(seeded(ThreeConvolutions), name="three")
pytestmark = pytest.mark.usefixtures("gpu")


class Captures:
    """Pretends to capture: keeps its inputs and its answer in place, as a real graph does."""

    def __init__(self, replays=lambda answer: answer):
        self.shapes = []
        self.replays = replays

    def __call__(self, forward, inputs):
        self.shapes.append(tuple(inputs[0].shape))
        kept = [each.clone() for each in inputs]
        answer = forward(*kept).clone()

        def replay(*given):
            for place, value in zip(kept, given, strict=True):
                place.copy_(value)
            answer.copy_(self.replays(forward(*kept)))
            return answer

        return replay


def build(card=CARD, capture=None, precision="fp32"):
    network = place_network(seeded(card.build)(), "cuda")
    return network, compiler(card, network, capture)(precision)


def test_it_gives_what_the_network_gives_with_and_without_graphs():
    for capture in (None, Captures()):
        network, backend = build(capture=capture)
        assert backend.name == "cuda"
        for seed in range(4):
            pixels = picture(40, 56, seed=seed).color.astype(np.float32) / 255
            expected = call_network(network, pixels, "cuda", "fp32")
            assert np.abs(backend(pixels) - expected).max() <= 1e-5


def test_an_answer_is_not_overwritten_by_the_next():
    _, backend = build(capture=Captures())
    pixels = [picture(40, 56, seed=seed).color.astype(np.float32) / 255 for seed in range(2)]
    answers = [backend(each) for each in (*pixels, *pixels)]
    assert np.array_equal(answers[0], answers[2])
    assert np.array_equal(answers[1], answers[3])
    assert not np.array_equal(answers[0], answers[1])


def test_only_small_shapes_that_come_again_are_captured():
    captures = Captures()
    backend = CudaBackend(Inverting(), "fp32", captures)
    small, large = np.zeros((8, 8, 3), np.float32), np.zeros((1024, 512, 3), np.float32)
    for pixels in (small, large, large, large):
        backend(pixels)
    assert captures.shapes == []
    backend(small)
    backend(small)
    assert captures.shapes == [(1, 3, 8, 8)]
    for side in range(9, 20):
        for _ in range(2):
            backend(np.zeros((side, 8, 3), np.float32))
    assert len(backend._graphs) == 4
    backend(small)
    assert captures.shapes.count((1, 3, 8, 8)) == 1, "forgotten, and seen once again"


class Cropping(Inverting):
    def forward(self, x, context=None, part=None):
        return super().forward(x if part is None else x[(..., *part)])


def test_every_part_of_a_picture_has_its_own_graph():
    captures = Captures()
    backend = CudaBackend(Cropping(), "fp32", captures)
    pixels = picture(20, 30, dtype="float32").color
    parts = [Box(0, 0, 12, 16), Box(8, 14, 20, 30), None]
    for _ in range(3):
        for part in parts:
            expected = 1 - (pixels if part is None else pixels[part.slices()])
            assert np.array_equal(backend(pixels, None, part), expected)
    assert captures.shapes == [(1, 3, 20, 30)] * 3


def test_a_full_batch_of_faces_is_captured():
    captures = Captures()
    backend = CudaBackend(Inverting(), "fp32", captures)
    for _ in range(2):
        backend(np.zeros((TOGETHER, 256, 256, 3), np.float32))
    assert captures.shapes == [(TOGETHER, 3, 256, 256)]


def test_a_graph_never_holds_cached_weights():
    for precision in ("bf16", "fp16"):
        with computing("cpu", precision):
            assert torch.is_autocast_enabled("cpu")
            assert not torch.is_autocast_cache_enabled()


def test_a_graph_that_differs_is_left_out_and_the_rest_is_used():
    network, backend = build(capture=Captures(replays=lambda answer: answer + 0.1))
    assert backend._capture is None
    pixels = picture(40, 56).color.astype(np.float32) / 255
    assert np.abs(backend(pixels) - call_network(network, pixels, "cuda", "fp32")).max() <= 1e-5


def test_a_graph_that_keeps_its_first_picture_is_found_out():
    def stale(forward, inputs):
        answer = forward(*inputs).clone()
        return lambda *given: answer

    assert build(capture=stale)[1]._capture is None


def test_a_capture_that_fails_is_left_out_and_memory_that_runs_out_is_not_hidden():
    def failing(forward, inputs):
        raise RuntimeError("operation not permitted when stream is capturing")

    assert build(capture=failing)[1]._capture is None

    def without_memory(forward, inputs):
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        build(capture=without_memory)


class Unlike(nn.Module):
    """Differs once its weights are laid out channels-last."""

    def __init__(self):
        super().__init__()
        self.body = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x):
        last = self.body.weight.is_contiguous(memory_format=torch.channels_last)
        return x + 0.1 * last


def test_a_way_that_differs_is_refused_and_the_report_says_so():
    card = make_card(Unlike, name="unlike")
    with pytest.raises(BackendFailed, match=r"off by 25\.5/255 in fp32"):
        build(card)
    engine = make_engine(card, device="cuda", backend="auto", call_seconds=0.5)
    document = picture(40, 50)
    result = finish(engine.stream(document, card))
    assert (result.image.color == document.color).all()
    assert (result.report.device, result.report.backend) == ("cuda", "torch")
    assert "computed by torch" in " ".join(result.report.warnings)


def borrowed(compute):
    """A scheduler that lends its GPU at once."""

    def worker(job):
        yield from compute(job)

    return worker


def test_an_engine_with_its_own_gpu_uses_it_and_one_behind_a_scheduler_does_not(monkeypatch):
    monkeypatch.setattr(cuda_backend, "capture_graph", Captures())
    document = picture(40, 50)
    alone = make_engine(CARD, device="cuda", backend="auto", call_seconds=0.5)
    lent = scheduled_engine(CARD, borrowed, backend="auto", call_seconds=0.5)
    by_torch = make_engine(CARD, device="cuda", backend="torch", call_seconds=0.5)
    results = [finish(engine.stream(document, CARD)) for engine in (alone, lent, by_torch)]
    assert [result.report.backend for result in results] == ["cuda", "torch", "torch"]
    assert all(np.array_equal(result.image.color, results[0].image.color) for result in results)
    assert not any(result.report.warnings for result in results)


def test_a_network_that_observes_is_compared_with_a_blur_too():
    def small():
        return with_unet((8, 8, 8), (1, 1, 1))

    card = make_card(small, name="blind", observes=64)
    captures = Captures()
    network, backend = build(card, captures)
    expected = cuda_backend._expected(card, network)
    assert len({context.tobytes() for _, context, _ in expected if context is not None}) == 2
    assert captures.shapes
    pixels, context, wanted = expected[-1]
    assert np.abs(backend(pixels, context) - wanted).max() <= 1e-4


@contextlib.contextmanager
def half_on_the_cpu(device_name, precision):
    types = {"bf16": torch.bfloat16, "fp16": torch.float16}
    with torch.inference_mode(), contextlib.ExitStack() as stack:
        if precision in types:
            stack.enter_context(torch.autocast("cpu", dtype=types[precision]))
        yield


def as_if_in_fp16(network):
    """Rounds weights, and what convolutions take and give, to fp16, as autocast does; CPUs are slow in fp16 itself."""
    network = copy.deepcopy(network)
    for parameter in network.parameters():
        parameter.data = parameter.data.half().float()
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            module.register_forward_pre_hook(lambda module, inputs: tuple(each.half().float() for each in inputs))
            module.register_forward_hook(lambda module, inputs, answer: answer.half().float())
    return network


@pytest.mark.parametrize("card", HALF, ids=lambda card: card.name)
def test_fp16_of_the_shipped_weights_stays_close_to_fp32(card):
    """What bf16 is promised for, in the half precision of GPUs that have no bf16."""
    side = card.size.fixed or 128
    network = place_network(STORE.load(card)[0], "cuda")
    pixels = np.ascontiguousarray(data.chelsea()[:side, :side]).astype(np.float32) / 255
    full = call_network(network, pixels, "cuda", "fp32").clip(0, 1)
    errors = np.abs(call_network(as_if_in_fp16(network), pixels, "cuda", "fp32").clip(0, 1) - full)
    assert 0 < errors.max() <= 3 / 255
    assert 10 * np.log10(1 / np.square(errors).mean()) > 50


def test_half_precision_is_compared_with_fp32(monkeypatch):
    monkeypatch.setattr(device, "computing", half_on_the_cpu)
    monkeypatch.setattr(cuda_backend, "computing", half_on_the_cpu)
    network, backend = build(precision="fp16")
    pixels = picture(64, 96).color.astype(np.float32) / 255
    errors = np.abs(backend(pixels) - call_network(network, pixels, "cuda", "fp32"))
    assert 0 < errors.max() <= 3 / 255

    class Loud(Inverting):
        def forward(self, x):
            return x + (torch.is_autocast_enabled("cpu") and 0.1)

    with pytest.raises(BackendFailed, match="in bf16"):
        build(make_card(Loud, name="loud"), precision="bf16")


@pytest.mark.parametrize(
    ("capability", "precision"), [((6, 1), "fp32"), ((7, 5), "fp16"), ((8, 0), "bf16"), ((12, 0), "bf16")]
)
def test_the_precision_follows_the_gpu(monkeypatch, capability, precision):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    assert choose_precision(make_card(Inverting, half=True), "cuda") == precision
    assert choose_precision(make_card(Inverting), "cuda") == "fp32"


def test_fp16_that_was_not_verified_is_fp32(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (7, 5))
    card = make_card(Inverting, name="inverting", half=True)
    result = finish(make_engine(card, device="cuda", call_seconds=0.5).stream(picture(40, 50), card))
    assert (result.report.backend, result.report.precision) == ("torch", "fp32")


def test_tiles_fit_into_the_memory_that_is_free(monkeypatch):
    card = make_card(Inverting, scale=2)
    known = {"seconds_per_megapixel": 1e-9, "call_seconds": 1.0}
    roomy = most_pixels(card, Place("cuda", "fp32"), **known)
    monkeypatch.setattr(sizing, "free_gpu_bytes", lambda: 2e9)
    tight = {precision: most_pixels(card, Place("cuda", precision), **known) for precision in ("fp32", "bf16")}
    assert tight["fp32"] == 2e9 / 2 / 1000 / 4
    assert tight["fp32"] < tight["bf16"] < roomy
    assert most_pixels(card, Place("cpu", "fp32"), **known) == roomy / 4, "the CPU's does not ask the GPU"


def test_free_memory_counts_what_torch_holds_unused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (5, 100))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda: 30)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda: 10)
    assert device.free_gpu_bytes() == 25


def test_memory_that_runs_out_leads_to_smaller_tiles_here_too(monkeypatch):
    monkeypatch.setattr(cuda_backend, "capture_graph", None)

    class Greedy(Inverting):
        def forward(self, x):
            if x.shape[2] * x.shape[3] > 100 * 100:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return super().forward(x)

    card = make_card(Greedy, name="greedy")
    engine = make_engine(card, device="cuda", backend="auto", call_seconds=0.5, store=FakeStore())
    engine._costs.observe(card, Place("cuda", "fp32"), pixels=1_000_000, seconds=1e-3)
    document = picture(150, 150)
    result = finish(engine.stream(document, card))
    assert (result.image.color == 255 - document.color).all()
    assert (result.report.device, result.report.backend, result.report.tiles) == ("cuda", "cuda", 4)
    assert any("smaller" in warning for warning in result.report.warnings)


FACES = make_card(seeded(ThreeConvolutions), name="squares", size=SizeRule(fixed=64), tiling=Tiling.NEVER)


def row_of_squares(count: int):
    return picture(64, 64 * count, dtype="float32")


def test_squares_come_in_batches_on_a_gpu_and_one_by_one_on_a_cpu(monkeypatch):
    shapes = []
    call = cuda_backend.CudaBackend.__call__
    monkeypatch.setattr(
        cuda_backend.CudaBackend,
        "__call__",
        lambda self, pixels, context=None, part=None: shapes.append(pixels.shape) or call(self, pixels, context),
    )
    expected = finish(make_engine(FACES).stream(row_of_squares(11), FACES)).image.color
    engine = make_engine(FACES, device="cuda", backend="auto")
    engine.warm([FACES])
    shapes.clear()
    steps = list(engine.stream(row_of_squares(11), FACES))
    assert shapes == [(8, 64, 64, 3), (3, 64, 64, 3)]
    assert [step.done for step in steps[:-1]] == list(range(12))
    assert np.abs(steps[-1].image.color - expected).max() <= 1e-6


def test_a_batch_that_is_too_large_is_taken_apart(monkeypatch):
    call = cuda_backend.CudaBackend.__call__

    def small(self, pixels, context=None, part=None):
        if pixels.ndim > 3:
            raise torch.OutOfMemoryError("no")
        return call(self, pixels, context)

    monkeypatch.setattr(cuda_backend.CudaBackend, "__call__", small)
    result = finish(make_engine(FACES, device="cuda", backend="auto").stream(row_of_squares(3), FACES))
    assert (result.report.device, result.report.backend, result.report.tiles) == ("cuda", "cuda", 3)
    expected = finish(make_engine(FACES).stream(row_of_squares(3), FACES)).image.color
    assert np.abs(result.image.color - expected).max() <= 1e-6


@pytest.mark.parametrize("seconds", [0.0, 10.0, 52.5, 1000.0])
def test_gpu_time_is_asked_for_by_the_pixels_and_what_they_cost(monkeypatch, seconds):
    import app

    asked = []

    def lent(compute):
        def run(job):
            asked.append(app.gpu_seconds(job))
            yield from compute(job)

        return run

    card = make_card(seeded(ThreeConvolutions), name="three", margin=3)
    engine = scheduled_engine(card, lent)
    monkeypatch.setattr(engine._costs, "seconds_per_megapixel", lambda card, place: seconds / (100 * 100 / 1e6))
    monkeypatch.setattr("restoration.inference.run.most_pixels", lambda *_, **__: 1e9)
    finish(engine.stream(picture(100, 100), card))
    assert asked == [round(min(max(2 * seconds + 5, 10), 110))]
