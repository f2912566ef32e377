"""Every file of the corpus gives a picture or one sentence, by Python and by the command line."""

import json
import subprocess
import sys
import time
from collections import Counter

import pytest

from restoration.cli.main import main
from restoration.errors import ImageFileError
from restoration.images.document import ImageDocument
from restoration.images.reading import read_header, read_image
from tests import corpus
from tests.inference.fakes import Identity, make_card, make_engine

LONGEST_SECONDS = 10
FEWEST = 5
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow says what is broken, in its own way


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return corpus.make(tmp_path_factory.mktemp("corpus"))


def test_every_kind_has_at_least_five_files_and_all_kinds_are_listed():
    counted = Counter(entry.kind for entry in corpus.entries())
    assert set(counted) == set(corpus.KINDS)
    assert {kind: count for kind, count in counted.items() if count < FEWEST} == {}


def test_names_are_unlike_each_other():
    names = Counter(entry.name for entry in corpus.entries())
    assert [name for name, count in names.items() if count > 1] == []


def test_the_same_bytes_come_out_every_time():
    first, second = corpus.entries(), corpus.entries.__wrapped__()
    assert [entry.name for entry in first] == [entry.name for entry in second]
    assert [a.name for a, b in zip(first, second, strict=True) if a.data != b.data] == []


def reading(file: corpus.CorpusFile) -> tuple[str, str, ImageDocument | None]:
    """("result" or "refusal"), what was said, and the picture."""
    try:
        document = read_image(file.path, limits=corpus.LIMITS)
    except ImageFileError as refusal:
        return "refusal", str(refusal), None
    return "result", " ".join(document.origin.notes), document


@pytest.mark.parametrize("kind", corpus.KINDS)
def test_each_file_gives_a_picture_or_one_sentence(kind, files):
    for file in (file for file in files if file.kind == kind):
        began = time.monotonic()
        got, said, document = reading(file)
        assert time.monotonic() - began < LONGEST_SECONDS, file.name
        assert got == file.expect, f"{file.name}: {said}"
        assert file.word.lower() in said.lower(), f"{file.name}: {said}"
        if document is None:
            assert_one_sentence(said, file)
        else:
            header = read_header(file.path, limits=corpus.LIMITS)
            assert (header.height, header.width) == (document.height, document.width), file.name
            assert file.size in (None, (document.height, document.width)), file.name


def assert_one_sentence(text: str, file: corpus.CorpusFile) -> None:
    assert text.endswith("."), f"{file.name}: {text}"
    assert ". " not in text, f"{file.name}: {text}"
    assert len(text) < 200, f"{file.name}: {text}"
    assert text.isprintable(), f"{file.name}: {text}"
    assert str(file.path.parent) not in text, f"{file.name}: {text}"


@pytest.mark.slow
def test_the_command_line_gives_a_result_or_one_line_for_every_file(files, tmp_path, capsys):
    engine = make_engine(make_card(Identity, name="same", task="deblur"), limits=corpus.LIMITS, call_seconds=1.0)
    words = ["restore", "--task", "deblur", "--model", "same", "--json", "-o", str(tmp_path), "--"]
    code = main([*words, *(str(file.path) for file in files)], make_engine=lambda *_, **__: engine)
    captured = capsys.readouterr()
    rows = {row["input_path"]: row for row in json.loads(captured.out)}
    assert code == 1
    assert len(rows) == len(files)
    for file in files:
        row = rows[str(file.path)]
        assert ("error" in row) == (file.expect == "refusal"), f"{file.name}: {row}"
        if "error" in row:
            assert_one_sentence(row["error"], file)
    assert len(captured.err.splitlines()) == sum(file.expect == "refusal" for file in files)
    assert not list(tmp_path.glob(".*"))
    results = sum(file.expect == "result" for file in files)
    assert len(list(tmp_path.iterdir())) == results


MEMORY = """
import sys, pathlib, warnings
warnings.simplefilter("ignore")
from restoration.errors import ImageFileError
from restoration.images.reading import read_image
from restoration.images.writing import write_image
from restoration.images.limits import Limits
import cv2, pillow_heif, tifffile

def megabytes():
    return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6

limits, out = Limits(megabytes=3), pathlib.Path(sys.argv[2])
def work(path):
    try:
        write_image(read_image(path, limits=limits), out / "result")
    except ImageFileError:
        pass

paths = sorted(pathlib.Path(sys.argv[1]).iterdir())
before = megabytes()
for path in paths:
    work(path)
print(len(paths), megabytes() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_memory_does_not_grow_over_the_whole_corpus(files, tmp_path):
    folder = files[0].path.parent
    ran = subprocess.run(
        [sys.executable, "-c", MEMORY, str(folder), str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    count, grown = map(float, ran.stdout.split())
    assert count >= 300
    assert grown < 100, f"{grown:.0f} MB over {count:.0f} files"
