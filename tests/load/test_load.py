"""A short load, and what the long one relies on."""

import argparse

import pytest
from PIL import Image

from tests.load.__main__ import Watch, judge, main
from tests.load.host import half_written
from tests.load.marks import LARGEST, mark_of, marked
from tests.load.visitor import Tally


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("number", [0, 1, 0xF0F0A5A51234, LARGEST - 1])
def test_a_mark_survives_its_file_and_an_enlargement(number: int, format: str, tmp_path) -> None:
    path = tmp_path / "marked"
    path.write_bytes(marked(number, 12, format))
    with Image.open(path) as picture:
        assert picture.size == (96, 72)
        assert mark_of(picture) == number
        assert mark_of(picture.resize((288, 216))) == number


def test_what_is_wrong_is_found() -> None:
    options = argparse.Namespace(clients=1, seconds=1, megabytes=100, chaos=0)
    tally = Tally(outcomes={"/deblur": 1}, seconds={"/deblur": [1.0]})  # type: ignore[arg-type]
    fine = Watch(running=1, waiting=20, places=20, megabytes=[500, 501, 502])
    assert judge(tally, fine, options)["wrong"] == []
    bad = Watch(running=2, waiting=21, places=20, failures=1, megabytes=[500, 500, 700])
    assert len(judge(tally, bad, options)["wrong"]) == 4
    assert judge(Tally(), fine, options)["wrong"] == ["no photo was restored"]
    options.chaos = 5
    assert judge(tally, fine, options)["wrong"] == ["nothing was killed"]


def test_what_is_half_written_is_found(tmp_path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "mark1-deblurred.png").write_bytes(marked(1, 12, "PNG"))
    assert half_written(tmp_path) == []
    (tmp_path / "a" / "mark2-deblurred.png").write_bytes(marked(1, 12, "PNG")[:200])
    (tmp_path / "a" / ".00.part").write_bytes(b"")
    assert len(half_written(tmp_path)) == 2


@pytest.mark.slow
def test_a_dozen_visitors_get_their_own_results() -> None:
    assert main(["--fake", "--clients", "12", "--seconds", "8", "--block", "24"]) == 0


@pytest.mark.slow
def test_a_server_killed_mid_job_again_and_again_mixes_nothing_and_leaves_nothing_half_written() -> None:
    assert main(["--fake", "--clients", "4", "--seconds", "25", "--block", "48", "--chaos", "8"]) == 0
