"""Two processes joined by accelerate train as one with twice the batch; and the training needs no accelerate alone."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.distributed import TCPStore

from restoration.errors import OptionError
from restoration.training.processes import join
from tests.training.tiny import TINY, make_photos, read, run

ROOT = Path(__file__).resolve().parents[2]


def start(process: int, port: int, data: Path, out: Path) -> subprocess.Popen[str]:
    """One of two processes, as `torchrun` starts it: they meet at a store that is open already."""
    told = {
        "RANK": process, "LOCAL_RANK": process, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port, "TORCHELASTIC_USE_AGENT_STORE": True, "TORCHELASTIC_RESTART_COUNT": 0,
    }  # fmt: skip
    environment = {**os.environ, **{key: str(value) for key, value in told.items()}}
    return subprocess.Popen(
        [sys.executable, "-m", "tests.training.two", str(data), str(out), "4"],
        cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_two_processes_equal_one_with_twice_the_batch(tmp_path: Path) -> None:
    pytest.importorskip("accelerate")
    make_photos(tmp_path / "photos")
    one = dataclasses.replace(TINY, precision="fp32", warmup_steps=1)
    run(dataclasses.replace(one, batch=8), tmp_path, tmp_path / "double", steps=5)
    run(one, tmp_path, tmp_path / "single", steps=5)
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)  # on a port that was free when it opened
    started: list[subprocess.Popen[str]] = []
    try:
        started += [start(process, store.port, tmp_path, tmp_path / "two") for process in range(2)]
        said = [process.communicate(timeout=500)[1] for process in started]
    finally:
        for process in started:
            process.kill()
            process.communicate()
    assert [process.returncode for process in started] == [0, 0], said
    assert said[0].count("validation") == 1
    assert "validation" not in said[1]  # the first alone speaks and writes
    two, double, single = (read(tmp_path / name)["network"] for name in ("two", "double", "single"))
    # fp32 sums in another order; Adam makes that larger where a gradient is close to zero
    assert distance(two, double) < 2e-5
    assert distance(single, double) > 1e-3


def distance(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> float:
    return max(float((a[key] - b[key]).abs().max()) for key in a)


def test_without_accelerate_several_processes_are_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "accelerate", None)
    assert join(torch.device("cpu")).count == 1
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(OptionError, match="needs the package accelerate"):
        join(torch.device("cpu"))


def test_training_alone_imports_neither_accelerate_nor_fastai() -> None:
    code = (
        "import sys; import restoration.training.loop; print({'accelerate', 'fastai', 'matplotlib'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
