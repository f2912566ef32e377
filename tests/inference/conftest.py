"""A pretended GPU."""

import pytest
import torch

from restoration.inference import device, sizing
from restoration.inference.backends import cuda_backend


@pytest.fixture
def gpu(monkeypatch):
    """A GPU that is the CPU, so that what runs "on cuda" runs here."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for module in (device, cuda_backend):
        monkeypatch.setattr(module, "torch_device", lambda name: torch.device("cpu"))
    monkeypatch.setattr(sizing, "free_gpu_bytes", lambda: 40e9)
