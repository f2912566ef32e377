"""A pretended GPU."""

import pytest
import torch

from restoration.inference import device


@pytest.fixture
def gpu(monkeypatch):
    """A GPU that is the CPU, so that what runs "on cuda" runs here."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(device, "torch_device", lambda name: torch.device("cpu"))
