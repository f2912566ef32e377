"""Folders of small pictures, and the fake engine."""

import numpy as np
import pytest
import skimage.data
from PIL import Image

from tests.evaluation.fakes import FakeEngine


@pytest.fixture
def fake_engine():
    return FakeEngine


@pytest.fixture
def pictures(tmp_path):
    """Three sharp pictures of 64 x 64 pixels, named so that natural order is not alphabetical order."""
    folder = tmp_path / "sharp"
    folder.mkdir()
    astronaut = skimage.data.astronaut()
    for number, left in ((1, 180), (2, 200), (10, 220)):
        Image.fromarray(astronaut[60:124, left : left + 64]).save(folder / f"{number}.png")
    return folder


@pytest.fixture
def kernel_file(tmp_path):
    path = tmp_path / "kernels.npz"
    np.savez(path, k1=np.full((5, 5), 1 / 25), k2=np.eye(7) / 7)
    return path
