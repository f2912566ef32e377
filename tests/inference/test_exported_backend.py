"""Networks compiled ahead of time for workers: believed only when they agree, and torch with a line otherwise."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from restoration.card import SizeRule, Tiling
from restoration.inference.backends import exported_backend
from restoration.inference.backends.backend import BackendFailed
from restoration.inference.backends.exported_backend import AheadOfTime, ExportedBackend, exported
from restoration.inference.device import call_network, place_network
from restoration.inference.engine import finish
from restoration.inference.networks import Networks
from restoration.registry import MODELS
from restoration.weights import WeightStore
from tests.inference.fakes import Doubling, ThreeConvolutions, make_card, make_engine, picture, scheduled_engine, seeded

CARD = make_card(seeded(ThreeConvolutions), name="three", margin=3)
DOUBLING = make_card(Doubling, name="doubling", scale=2, margin=1)
FIXED = make_card(seeded(ThreeConvolutions), name="fixed", size=SizeRule(fixed=64), tiling=Tiling.NEVER)


def here(work):
    return work()


def as_it_is(program):
    """Stands for the compiler: the exported graph itself, which knows nothing of our code any more."""
    return program.module()


AHEAD = AheadOfTime(lend=here, compile=as_it_is)


@pytest.fixture(autouse=True)
def _pretended(monkeypatch):
    monkeypatch.setattr(exported_backend, "torch_device", lambda name: torch.device("cpu"))


def network(card):
    return place_network(card.build(), "cpu")


@pytest.mark.parametrize("card", [CARD, DOUBLING, FIXED], ids=lambda card: card.name)
def test_the_export_gives_what_the_network_gives_at_every_size(card):
    own = network(card)
    backend = exported(card, own, "fp32", "cpu", AHEAD)
    side = card.size.fixed
    for height, width in ((side, side),) if side else ((64, 96), (83, 70), (200, 301)):
        pixels = np.random.default_rng(0).random((height, width, 3), dtype=np.float32)
        expected = call_network(own, pixels, "cpu", "fp32")
        assert np.abs(backend(pixels) - expected).max() <= 1e-6
        assert np.abs(backend(np.stack([pixels[::-1], pixels]))[1] - expected).max() <= 1e-6


def test_precision_is_a_part_of_what_is_exported():
    own = network(CARD)
    pixels = np.random.default_rng(0).random((64, 96, 3), dtype=np.float32)
    exact, half = (exported(CARD, own, precision, "cpu", AHEAD)(pixels) for precision in ("fp32", "bf16"))
    assert 1e-5 < np.abs(exact - half).max() < 5 / 255


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # of torch, about itself
def test_a_small_network_survives_aotinductor(tmp_path):
    """The real compiler, for the CPU; it needs one of C++."""

    def compiled(program):
        return torch._inductor.aoti_load_package(
            torch._inductor.aoti_compile_and_package(program, package_path=str(tmp_path / "small.pt2"))
        )

    card = make_card(lambda: nn.Conv2d(3, 3, 3, padding=1).eval(), name="small", margin=1)
    try:
        backend = exported(card, network(card), "fp32", "cpu", AheadOfTime(lend=here, compile=compiled))
    except BackendFailed as failure:
        if "compiler" in str(failure.__cause__).lower():
            pytest.skip("no C++ compiler here")
        raise
    assert backend(np.zeros((200, 133, 3), np.float32)).shape == (200, 133, 3)


def on_worker(compute):
    def lent(job):
        yield from compute(job)

    return lent


def reported(ahead, card=CARD):
    engine = scheduled_engine(card, on_worker, ahead=ahead, call_seconds=1e9)
    engine.warm([card])
    return finish(engine.stream(picture(80, 70, dtype="float32"), card))


def test_workers_run_what_was_compiled(gpu):
    lent = []

    def lend(work):
        lent.append(1)
        return work()

    result = reported(AheadOfTime(lend=lend, compile=as_it_is))
    assert (result.report.backend, result.report.warnings, lent) == ("exported", (), [1])
    expected = finish(make_engine(CARD).stream(picture(80, 70, dtype="float32"), CARD)).image.color
    assert np.abs(result.image.color - expected).max() <= 1e-6


def wrong(program) -> object:
    return lambda x: program.module()(x) + 0.1


def broken(program):
    raise RuntimeError("no compiler here")


@pytest.mark.parametrize(
    ("compile", "sentence"),
    [(wrong, "The export's result was off by 25.5/255 in fp32"), (broken, "could not be compiled ahead of time")],
)
def test_one_that_is_wrong_or_cannot_be_made_leaves_the_work_to_torch_with_a_line(gpu, compile, sentence):
    result = reported(AheadOfTime(lend=here, compile=compile))
    assert result.report.backend == "torch"
    assert any(sentence in warning for warning in result.report.warnings)


def test_one_that_fails_in_a_worker_is_replaced_within_the_call(gpu):
    calls = []

    def fails_later(program):
        def run(x: Tensor) -> Tensor:
            calls.append(1)
            if len(calls) > 2:  # the comparison's two
                raise RuntimeError("the archive is gone")
            return program.module()(x)

        return run

    result = reported(AheadOfTime(lend=here, compile=fails_later))
    assert result.report.backend == "torch"
    assert any("The exported network cannot run here" in warning for warning in result.report.warnings)


def test_memory_that_runs_out_is_not_hidden():
    def full(x: Tensor) -> Tensor:
        raise torch.OutOfMemoryError("no")

    with pytest.raises(torch.OutOfMemoryError):
        ExportedBackend(full, "cpu")(np.zeros((64, 64, 3), np.float32))


def test_a_network_that_observes_is_not_exported():
    card = make_card(seeded(ThreeConvolutions), name="looking", observes=64)
    with pytest.raises(BackendFailed, match="looks at a picture first"):
        exported(card, network(card), "fp32", "cpu", AHEAD)


BUNDLED = [card for card in MODELS.values() if WeightStore().availability(card).available and not card.observes]


@pytest.mark.slow
@pytest.mark.parametrize("card", BUNDLED, ids=lambda card: card.name)
def test_every_bundled_network_can_be_exported_and_gives_its_own_picture_on_its_grid_and_off_it(card):
    own = Networks(WeightStore()).get(card, "cpu").network
    backend = exported(card, own, "fp32", "cpu", AHEAD)
    side = card.size.fixed
    for height, width in ((side, side),) if side else ((64, 96), (83, 70), (130, 61)):
        pixels = np.random.default_rng(0).random((height, width, 3), dtype=np.float32)
        assert np.abs(backend(pixels) - call_network(own, pixels, "cpu", "fp32")).max() <= 1e-4


def test_a_network_that_is_not_chosen_is_left_to_torch_without_a_word_in_the_report(gpu):
    ahead = AheadOfTime(lend=here, compile=broken, chosen=lambda card: card.name != CARD.name)
    report = reported(ahead).report
    assert (report.backend, report.warnings) == ("torch", ())
