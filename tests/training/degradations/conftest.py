"""Pictures to degrade, and contact sheets of what becomes of them: their folder is said at the end of the run."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data

from restoration.training.degradations import Picture

SHEETS: list[Path] = []


@pytest.fixture(scope="session")
def astronaut() -> Picture:
    return np.ascontiguousarray(data.astronaut()[:288, 60:348])


@pytest.fixture(scope="session")
def originals(astronaut: Picture) -> tuple[Picture, ...]:
    """Three squares of 192 pixels: fur, a face, a cup with highlights."""
    squares = (data.chelsea()[40:232, 120:312], astronaut[30:222, 40:232], data.coffee()[100:292, 180:372])
    return tuple(np.ascontiguousarray(square) for square in squares)


@pytest.fixture(scope="session")
def sheet(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, list[list[Picture]]], None]:
    """Writes rows of pictures of one size as one PNG."""
    folder = tmp_path_factory.mktemp("sheets")

    def write(name: str, rows: list[list[Picture]]) -> None:
        joined = np.concatenate([np.concatenate(row, axis=1) for row in rows], axis=0)
        path = folder / f"{name}.png"
        Image.fromarray(joined).save(path)
        assert path.stat().st_size > 1000
        SHEETS.append(path)

    return write


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Where the contact sheets are, to be looked at."""
    if SHEETS:
        terminalreporter.write_line(f"contact sheets: {SHEETS[0].parent} ({', '.join(path.name for path in SHEETS)})")
