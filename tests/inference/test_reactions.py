"""What is done about which error."""

import pytest
import torch

from restoration.errors import ImageFileError
from restoration.inference.reactions import Reaction, classify_error, classify_zerogpu
from tests.inference.fakes import REFUSALS, PageError


@pytest.mark.parametrize(
    ("error", "reaction"),
    [
        *((PageError("x", title), Reaction.CPU) for title in REFUSALS),
        (PageError("OutOfMemoryError", "ZeroGPU worker error"), Reaction.RETRY_SMALLER),
        (PageError("GPU task aborted", "ZeroGPU worker error"), Reaction.CPU),
        (PageError("WeightsError", "ZeroGPU worker error"), Reaction.CPU),
        (PageError("KeyError", "ZeroGPU worker error"), Reaction.BUG),
        (PageError("Said by the page.", "Error"), Reaction.SHOW),
        (RuntimeError("503"), Reaction.CPU),
        (torch.OutOfMemoryError("CUDA out of memory"), Reaction.RETRY_SMALLER),
        (ImageFileError("A sentence."), Reaction.SHOW),
        (KeyError("x"), Reaction.BUG),
        (NotImplementedError("a kind of RuntimeError"), Reaction.BUG),
    ],
)
def test_errors_of_zerogpu_are_known_by_their_titles(error, reaction):
    assert classify_zerogpu(error) is reaction


@pytest.mark.parametrize(
    ("error", "reaction"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), Reaction.RETRY_SMALLER),
        (MemoryError(), Reaction.RETRY_SMALLER),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), Reaction.RETRY_SMALLER),
        (ImageFileError("A sentence."), Reaction.SHOW),
        (RuntimeError("a bug"), Reaction.BUG),
        (PageError("x", "ZeroGPU quota exceeded"), Reaction.BUG),
    ],
)
def test_without_a_scheduler_there_is_memory_our_sentences_and_bugs(error, reaction):
    assert classify_error(error) is reaction


def test_the_real_errors_of_the_page_are_recognised():
    gradio = pytest.importorskip("gradio")
    quota = gradio.Error("You have exceeded your GPU quota", title="ZeroGPU quota exceeded")
    assert classify_zerogpu(quota) is Reaction.CPU
    assert classify_zerogpu(gradio.Error("OutOfMemoryError", title="ZeroGPU worker error")) is Reaction.RETRY_SMALLER
    assert classify_zerogpu(gradio.Error("A sentence.")) is Reaction.SHOW
