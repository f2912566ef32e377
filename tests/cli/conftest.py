"""The command line run inside this process, on the fake engine."""

import numpy as np
import pytest
import skimage.data
from PIL import Image

from restoration.cli.main import main
from tests.evaluation.fakes import FakeEngine


@pytest.fixture
def engine():
    return FakeEngine(change=lambda picture: 255 - picture)


@pytest.fixture
def command(engine, capsys):
    """Runs a command; -> (exit code, stdout, stderr)."""

    def run(*words):
        try:
            code = main([str(word) for word in words], make_engine=lambda *_, **__: engine)
        except SystemExit as ended:  # argparse
            code = ended.code
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def photo(tmp_path):
    """Writes a 24 x 20 photo, of another part of the picture each time, and returns its path."""
    made = []

    def write(name):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        left = 180 + 5 * len(made)
        made.append(path)
        Image.fromarray(np.ascontiguousarray(skimage.data.astronaut()[60:80, left : left + 24])).save(path)
        return path

    return write
