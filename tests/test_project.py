"""The repository itself: pins, documents, examples, weights, and rules that no single module can break alone."""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import SpaceCard
from PIL import Image

from examples.make_examples import EXAMPLES, make_examples
from restoration.cli.main import main
from restoration.tasks import TASKS

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
QUANTIZING = ROOT / "restoration" / "evaluation" / "quantization.py"
LEFT_OUT = {"runs", "build", "dist", "__pycache__"}
PIN = re.compile(r"^([A-Za-z0-9_.-]+)==([0-9][A-Za-z0-9.]*)$")
# gradio's own interface is made of these, and scikit-image's of scipy
BROUGHT_ALONG = {"fastcore", "huggingface-hub", "torchvision"}  # by fastai and timm
THROUGH_OTHERS = {"fastapi", "gradio-client", "httpx", "safehttpx", "scipy", "starlette", "uvicorn"}


def files(pattern: str = "*") -> list[Path]:
    """The files of the repository: no caches, no environment, no training runs."""

    def walk(folder: Path) -> Iterator[Path]:
        for path in sorted(folder.iterdir()):
            hidden = path.name.startswith(".") and path.name != ".ci"
            if path.is_dir() and not (hidden or path.name in LEFT_OUT or path.name.endswith(".egg-info")):
                yield from walk(path)
            elif path.is_file() and not hidden:
                yield path

    return [path for path in walk(ROOT) if path.match(pattern)]


def sources() -> list[Path]:
    """Every Python file that is not a test."""
    return [path for path in files("*.py") if path.relative_to(ROOT).parts[0] != "tests"]


def pins(name: str) -> dict[str, str]:
    """Distribution -> version, as a requirements file pins them."""
    lines = [line.split("#")[0].strip() for line in (ROOT / name).read_text().splitlines()]
    wanted = [line for line in lines if line and not line.startswith("-r ")]
    assert all(PIN.match(line) for line in wanted), [line for line in wanted if not PIN.match(line)]
    return dict(line.split("==") for line in wanted)


def distribution(name: str) -> str:
    """A distribution's name in its normal form."""
    return re.sub(r"[-_.]+", "-", name).lower()


# --- pins ---


def test_what_is_installed_is_what_is_pinned() -> None:
    wanted = pins("requirements.txt") | pins("requirements-dev.txt")
    installed = {name: importlib.metadata.version(name).split("+")[0] for name in wanted}
    assert installed == wanted


def test_opencv_comes_without_windows_and_with_face_cascades() -> None:
    wanted = pins("requirements.txt") | pins("requirements-dev.txt")
    assert not wanted.keys() & {"opencv-python", "opencv-contrib-python"}
    assert wanted["opencv-python-headless"].startswith("4.")


def test_every_imported_package_is_pinned() -> None:
    homes = importlib.metadata.packages_distributions()
    serving = {distribution(name) for name in pins("requirements.txt")} | THROUGH_OTHERS
    testing = serving | {distribution(name) for name in pins("requirements-dev.txt")}
    for path in files("*.py"):
        for_developers = path.relative_to(ROOT).parts[0] == "tests" or path == QUANTIZING
        allowed = testing if for_developers else serving
        for module in imported(path) - set(sys.stdlib_module_names):
            owners = {distribution(owner) for owner in homes.get(module, ())}
            assert not owners or owners & allowed, f"{path.relative_to(ROOT)} imports {module}, which is not pinned"


def test_an_installation_brings_what_the_package_imports() -> None:
    """Unlike the Space, which installs the pins, `pip install .` brings what pyproject.toml lists."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [name for names in project["optional-dependencies"].values() for name in names]
    listed = {distribution(re.split(r"[<>=!~ ]", name)[0]) for name in project["dependencies"] + extras}
    assert listed - {"nncf"} <= {distribution(name) for name in pins("requirements.txt")}
    homes = importlib.metadata.packages_distributions()
    for path in (path for path in files("*.py") if path.relative_to(ROOT).parts[0] == "restoration"):
        for module in imported(path) - set(sys.stdlib_module_names) - {"restoration", "benchmarks"}:
            owners = {distribution(owner) for owner in homes[module]}
            assert owners & (listed | BROUGHT_ALONG | THROUGH_OTHERS), f"{path.relative_to(ROOT)} imports {module}"


def imported(path: Path) -> set[str]:
    """The top-level names of the modules a file imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


# --- documents ---


def test_the_front_matter_is_what_a_space_needs() -> None:
    data = SpaceCard.load(README).data.to_dict()
    assert data["sdk"] == "gradio"
    assert data["sdk_version"] == pins("requirements.txt")["gradio"]
    assert data["python_version"] == "3.12"
    assert (ROOT / data["app_file"]).name == "app.py"
    assert data["license"] == "apache-2.0"
    assert 0 < len(data["short_description"]) <= 60
    assert data["title"]
    assert data["emoji"]
    assert {data["colorFrom"], data["colorTo"]} <= {
        "red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"
    }  # fmt: skip
    assert data["tags"]
    assert data["pinned"] is False


def test_the_generated_parts_of_the_readme_are_fresh() -> None:
    assert main(["tables", "--check", str(README)]) == 0, "run: python -m restoration tables README.md"


def test_the_readme_tells_the_limits_that_hold() -> None:
    from restoration.images.limits import Limits

    rows = re.findall(r"^\| [^|]+ \| ([\d,]+) \w+ \| `(RESTORATION_\w+)` \|$", README.read_text(), re.MULTILINE)
    assert len(rows) == 7
    for number, variable in rows:
        default = float(number.replace(",", ""))
        assert Limits.from_environment({variable: number.replace(",", "")}) == Limits(), variable
        assert Limits.from_environment({variable: str(int(default) - 1)}) != Limits(), variable


@pytest.mark.slow
def test_the_python_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    block = next(b for b in re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL) if "import restore" in b)
    shutil.copy(ROOT / "examples" / "coffee-shaken.jpg", tmp_path / "beach.jpg")
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "README.md", "exec"), {})
    with Image.open(tmp_path / "beach.jpg") as before, Image.open(tmp_path / "beach-enlarged-2x.jpg") as after:
        assert after.size == (2 * before.width, 2 * before.height)


def test_links_between_documents_lead_somewhere() -> None:
    for document in files("*.md"):
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.relative_to(ROOT)} links to {target}"


# --- examples ---


@pytest.fixture(scope="module")
def remade(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("examples")
    make_examples(folder)
    return folder


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.file)
def test_an_example_comes_out_of_its_script_again(example, remade: Path) -> None:
    with Image.open(remade / example.file) as new, Image.open(ROOT / "examples" / example.file) as old:
        assert new.size == old.size
        difference = np.abs(np.asarray(new, np.int16) - np.asarray(old, np.int16))
    assert difference.mean() < 0.05, (
        f"mean {difference.mean():.3f}, highest {difference.max()}"
    )  # rounding of another processor
    assert (ROOT / "examples" / example.file).stat().st_size < 150_000


def test_every_task_has_an_example_with_its_origin_and_licence(remade: Path) -> None:
    listed = json.loads((ROOT / "examples" / "examples.json").read_text())
    assert listed == json.loads((remade / "examples.json").read_text())
    assert {row["task"] for row in listed} == set(TASKS)
    assert all(row[key] for row in listed for key in ("file", "title", "origin", "author", "licence", "url"))
    on_disk = {path.name for path in (ROOT / "examples").iterdir() if path.suffix in {".jpg", ".png"}}
    assert on_disk == {row["file"] for row in listed}
    notes = (ROOT / "examples" / "README.md").read_text()
    for row in listed:
        line = next(line for line in notes.splitlines() if line.startswith(f"| `{row['file']}`"))
        assert row["author"] in line
        assert line.endswith(f"| {row['licence']} |")


# --- weights ---


def certificates() -> list[dict]:
    found = [json.loads(path.read_text()) for path in sorted((ROOT / "weights").glob("*.json"))]
    if not found and not list((ROOT / "weights").glob("*.safetensors")):
        assert os.environ.get("CI") != "true", "no weights are here"
        pytest.skip("no weights are here")
    return found


def test_the_weights_are_small_enough_to_travel() -> None:
    assert sum(path.stat().st_size for path in (ROOT / "weights").iterdir()) < 120e6


def test_the_networks_keep_to_their_sizes() -> None:
    for certificate in certificates():
        kinds = set(certificate["model"].split("-"))
        limit = 20e6 if "unet" in kinds else 15e6 if "pix2pix" in kinds else 5e6
        assert certificate["parameters"] <= limit, certificate["model"]


def test_every_weights_file_has_a_certificate_and_the_other_way_round() -> None:
    named = {certificate["model"] for certificate in certificates()}
    assert {path.stem for path in (ROOT / "weights").glob("*.safetensors")} == named
    assert {path.suffix for path in (ROOT / "weights").iterdir()} - {".zip"} == {".json", ".md", ".safetensors"}


def test_every_int8_graph_is_the_one_its_certificate_names_and_loses_next_to_nothing() -> None:
    fast = {certificate["model"]: certificate for certificate in certificates() if "fast" in certificate}
    assert {path.name for path in (ROOT / "weights").glob("*.zip")} == {f"{model}.int8.zip" for model in fast}
    for model, certificate in fast.items():
        facts = certificate["fast"]
        assert facts["made_from"] == certificate["sha256"], f"run: python -m restoration quantize {model}"
        assert facts["sha256"] == hashlib.sha256((ROOT / "weights" / f"{model}.int8.zip").read_bytes()).hexdigest()
        assert facts["loss_db"] == max(score["loss_db"] for score in facts["scores"]) < 0.1
        assert facts["speedup"] >= 1.2
        assert [score["set"] for score in facts["scores"]] == [score["set"] for score in certificate["scores"]]


# --- rules ---


def test_checkpoints_are_loaded_as_plain_tensors_only() -> None:
    for path in files("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
                safe = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}.get("weights_only")
                assert safe == "True", f"{path.relative_to(ROOT)}:{node.lineno}"


def test_there_is_no_diffusion_model() -> None:
    assert not {"diffusers"} & (pins("requirements.txt") | pins("requirements-dev.txt")).keys()
    assert [path for path in files("*.py") if "diffusers" in imported(path)] == []


def test_no_file_knows_the_machine_it_was_written_on() -> None:
    for path in files():
        content = path.read_bytes()
        for folder in (b"work", b"root", b"home"):
            found = re.search(rb"(?<![\w.~<>-])/" + folder + rb"/\w", content)
            assert not found, f"{path.relative_to(ROOT)}: {content[found.start() : found.start() + 60]!r}"


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_says_what_it_is_and_is_short(path: Path) -> None:
    text = path.read_text()
    assert ast.get_docstring(ast.parse(text)), "it has no docstring"
    assert len(text.splitlines()) <= 300


# --- the commands ---


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A folder with the Makefile and what it installs, and `bin/` as the only PATH."""
    for name in ("Makefile", "requirements.txt", "requirements-dev.txt"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "bin").mkdir()
    for tool in ("touch", "mkdir", "cat", "chmod"):
        (tmp_path / "bin" / tool).symlink_to(shutil.which(tool) or tool)
    return tmp_path


def make(folder: Path, target: str) -> subprocess.CompletedProcess[str]:
    command = [shutil.which("make") or "make", target]
    environment = {"PATH": str(folder / "bin")}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False)


def script(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


NOT_INSTALLED = 'echo "command not found" >&2; exit 127'  # what a version manager leaves for a Python it does not have
FAKE_PYTHON = """case "$*" in
  --version) echo "Python 3.11.0"; exit 0;;
  "-m venv --clear .venv") mkdir -p .venv/bin; cat "$0" > .venv/bin/python; chmod +x .venv/bin/python;;
  -c*) exit 0;;
esac
echo "$*" >> calls"""


def test_make_without_a_usable_python_says_so(bare: Path) -> None:
    script(bare / "bin" / "python3.12", NOT_INSTALLED)
    result = make(bare, "run")
    assert result.returncode != 0
    assert "No Python >= 3.11 was found" in result.stderr


def test_make_run_installs_once_and_again_when_the_pins_change(bare: Path) -> None:
    script(bare / "bin" / "python3.12", NOT_INSTALLED)
    script(bare / "bin" / "python3.11", FAKE_PYTHON)
    install = "-m pip install --disable-pip-version-check -r requirements.txt"
    for _ in range(2):
        result = make(bare, "run")
        assert result.returncode == 0, result.stderr
    calls = (bare / "calls").read_text().splitlines()
    assert calls == ["-m venv --clear .venv", install, "app.py", "app.py"]
    later = (bare / ".venv" / "serving.stamp").stat().st_mtime + 10
    os.utime(bare / "requirements.txt", (later, later))
    assert make(bare, "run").returncode == 0
    assert (bare / "calls").read_text().splitlines()[len(calls) :] == [install, "app.py"]


@pytest.mark.parametrize("name", ["run", "chromium"])
def test_the_scripts_of_continuous_integration_can_run(name: str) -> None:
    path = ROOT / ".ci" / name
    assert os.access(path, os.X_OK)
    subprocess.run([shutil.which("bash") or "bash", "-n", str(path)], check=True, timeout=30)
