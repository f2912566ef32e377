"""Random weights are calibrated on a small picture here: only the benchmark itself needs a good one."""

import pytest

from benchmarks import subjects


@pytest.fixture(autouse=True)
def _quick_calibration(monkeypatch):
    monkeypatch.setattr(subjects, "_CALIBRATION_SIDE", 128)
