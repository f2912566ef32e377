"""What happens when the GPU runs out of memory or out of numbers, on a pretended GPU."""

import pytest
import torch

from restoration.card import Tiling
from restoration.errors import ImageFileError
from restoration.images.limits import Limits
from restoration.inference import device
from restoration.inference.engine import finish
from restoration.inference.report import Restoration
from tests.inference.fakes import (
    FakeStore,
    Inverting,
    PageError,
    make_card,
    picture,
    refusing,
    scheduled_engine,
    watched_card,
)

CARD = make_card(Inverting, name="inverting")
DOCUMENT = picture(70, 100)


def assert_restored(result: Restoration, on: str) -> None:
    assert (result.image.color == 255 - DOCUMENT.color).all()
    assert result.report.device == on


@pytest.mark.parametrize("title", [None, "ZeroGPU worker error"])
def test_too_little_gpu_memory_leads_to_smaller_tiles(gpu, title):
    def on_gpu(compute):
        def worker(job):
            if any(tile.context.pixels > 60 * 60 for tile in job.tiles):
                raise PageError("OutOfMemoryError", title) if title else torch.OutOfMemoryError("CUDA out of memory")
            yield from compute(job)

        return worker

    engine = scheduled_engine(CARD, on_gpu, call_seconds=0.5)
    result = finish(engine.stream(DOCUMENT, CARD))
    assert_restored(result, on="cuda")
    assert result.report.tiles == 4
    (warning,) = result.report.warnings
    assert "smaller" in warning


def test_memory_that_runs_out_half_way_leaves_finished_tiles_alone(gpu):
    jobs = []

    def on_gpu(compute):
        def worker(job):
            jobs.append(job)
            for number, event in enumerate(compute(job)):
                if len(jobs) == 1 and number == 2:
                    raise torch.OutOfMemoryError("CUDA out of memory")
                yield event

        return worker

    card = make_card(Inverting, name="inverting", gigaflop_per_megapixel=5000 * 1e4)
    engine = scheduled_engine(card, on_gpu, call_seconds=50.0)  # 5,000 pixels a call by the guess
    result = finish(engine.stream(DOCUMENT, card))
    assert_restored(result, on="cuda")
    first, second = jobs
    assert sum(tile.core.pixels for tile in second.tiles) == 7000 - first.tiles[0].core.pixels


def test_gpu_memory_that_is_never_enough_leads_to_the_cpu(gpu):
    engine = scheduled_engine(CARD, refusing(torch.OutOfMemoryError("CUDA out of memory")), call_seconds=0.5)
    result = finish(engine.stream(DOCUMENT, CARD))
    assert_restored(result, on="cpu")
    assert any("too small even for small tiles" in sentence for sentence in result.report.warnings)


def test_a_picture_that_cannot_be_cut_goes_straight_to_the_cpu(gpu):
    card = make_card(Inverting, name="inverting", tiling=Tiling.SEAMS)
    result = finish(scheduled_engine(card, refusing(torch.OutOfMemoryError("no"))).stream(DOCUMENT, card))
    assert_restored(result, on="cpu")
    assert result.report.tiles == 1


class Flaky(FakeStore):
    """The first copy (the GPU's) gives NaN; later ones (the CPU's) invert."""

    def load(self, card):
        self.loads.append(card.name)
        if len(self.loads) == 1:
            return watched_card(lambda x: x * torch.nan).build(), "flaky"
        return Inverting(), "flaky"


def test_numbers_that_are_not_finite_go_to_fp32_then_smaller_tiles_then_the_cpu(gpu, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (9, 0))
    jobs = []

    def on_gpu(compute):
        def worker(job):
            jobs.append((job.precision, len(job.tiles)))
            yield from compute(job)

        return worker

    monkeypatch.setattr(device, "computing", lambda device, precision: torch.inference_mode())
    card = make_card(Inverting, name="inverting", half=True)
    engine = scheduled_engine(card, on_gpu, store=Flaky(), call_seconds=0.5)
    result = finish(engine.stream(DOCUMENT, card))
    assert_restored(result, on="cpu")
    assert jobs == [("bf16", 1), ("fp32", 1), ("fp32", 4)]
    assert result.report.precision == "fp32"
    assert len(result.report.warnings) == 3


@pytest.mark.parametrize("title", ["ZeroGPU quota exceeded", "ZeroGPU queue timeout"])
@pytest.mark.parametrize(
    ("cpu", "words"),
    [
        ({"RESTORATION_CPU_MAX_MEGAPIXELS": "0.005"}, "the picture is 100 x 70 pixels (0.007 megapixels)"),
        ({"RESTORATION_CPU_MAX_OUTPUT_MEGAPIXELS": "0.005"}, "the result would be 100 x 70 pixels"),
        ({"RESTORATION_CPU_MAX_SIDE": "99"}, "the limit is 99 pixels"),
    ],
    ids=str,
)
def test_a_job_that_must_go_on_on_the_cpu_has_the_cpus_limits(gpu, title, cpu, words):
    limits = Limits.from_environment(cpu)
    engine = scheduled_engine(CARD, refusing(PageError("no", title)), limits=limits)
    with pytest.raises(ImageFileError) as refused:
        finish(engine.stream(DOCUMENT, CARD))
    assert words in str(refused.value)
    assert str(refused.value).startswith("The GPU cannot be used now, and the CPU takes less: ")
    small = picture(40, 50)
    assert finish(engine.stream(small, CARD)).report.device == "cpu"
    assert_restored(
        finish(scheduled_engine(CARD, lambda compute: compute, limits=limits).stream(DOCUMENT, CARD)), "cuda"
    )


def test_smaller_tiles_on_the_same_gpu_keep_the_gpus_limits(gpu):
    def on_gpu(compute):
        def worker(job):
            if any(tile.context.pixels > 60 * 60 for tile in job.tiles):
                raise torch.OutOfMemoryError("CUDA out of memory")
            yield from compute(job)

        return worker

    limits = Limits.from_environment({"RESTORATION_CPU_MAX_MEGAPIXELS": "0.005"})
    engine = scheduled_engine(CARD, on_gpu, call_seconds=0.5, limits=limits)
    assert_restored(finish(engine.stream(DOCUMENT, CARD)), on="cuda")
