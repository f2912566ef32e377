"""The laws of imports: down only, no cycles, heavy libraries where they belong, and nothing happens at import."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "restoration"

LAYERS = [  # from the ground up; a layer imports itself and what stands below it
    {"errors", "tasks", "card"},
    {"images", "architectures"},
    {"registry", "weights"},
    {"inference"},
    {"pipelines"},
    {"evaluation"},
    {"training"},
    {"ui", "cli"},
    {"__main__"},
]
PEERS = [("ui", "cli"), ("images", "architectures"), ("registry", "weights")]
NEVER = [("ui", "training"), ("inference", "evaluation")]
SERVING = {"errors", "tasks", "card", "images", "architectures", "registry", "weights", "inference", "pipelines", "ui"}
WITHOUT_TORCH = {"errors", "tasks", "card", "images"}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imports_of(path: Path, *, late: bool = True) -> Iterator[str]:
    """Every module a file imports when it runs; late imports (in functions) too, those for the type checker never."""
    waiting: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting += node.orelse
            continue
        if isinstance(node, ast.FunctionDef) and not late:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the layer"
            assert node.module is not None
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                yield submodule if submodule in MODULES else node.module
        waiting += ast.iter_child_nodes(node)


IMPORTS = {name: set(imports_of(path)) for name, path in MODULES.items()}
TRAINING_LIBRARIES = {"accelerate", "fastai", "fastcore", "torchvision", "timm", "skimage", "piq"}


def part(module: str) -> str:
    """ "restoration.images.reading" -> "images"; the package itself -> ""."""
    return module.partition(".")[2].partition(".")[0]


def layer(module: str) -> int:
    return next(index for index, parts in enumerate(LAYERS) if part(module) in parts)


def own(imported: set[str]) -> set[str]:
    return {name for name in imported if name.split(".")[0] == "restoration" and part(name)}


def top_levels(module: str, *, late: bool = True) -> set[str]:
    return {name.split(".")[0] for name in imports_of(MODULES[module], late=late)}


INNER = [name for name in MODULES if part(name)]


def test_every_part_of_the_package_has_its_layer():
    assert {part(name) for name in INNER} <= set().union(*LAYERS)


@pytest.mark.parametrize("module", INNER)
def test_imports_go_down_only(module):
    for imported in own(IMPORTS[module]):
        assert layer(imported) <= layer(module), f"{module} imports {imported}"
        pair = (part(module), part(imported))
        assert pair not in NEVER
        assert pair not in PEERS
        assert pair[::-1] not in PEERS


def test_there_are_no_cycles():
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join((*path, module))
        if module not in done:
            for imported in sorted(own(IMPORTS[module]) & MODULES.keys()):
                if imported != module:
                    visit(imported, (*path, module))
            done.add(module)

    for module in MODULES:
        visit(module, ())


@pytest.mark.parametrize("module", [name for name in INNER if part(name) in SERVING])
def test_serving_needs_no_training_library(module):
    late = part(module) != "architectures"  # those may take an encoder from a library when they are built
    assert not top_levels(module, late=late) & TRAINING_LIBRARIES


@pytest.mark.parametrize("module", MODULES)
def test_the_page_framework_stays_in_the_page(module):
    assert "gradio" not in top_levels(module) or part(module) == "ui"
    assert "spaces" not in top_levels(module)


@pytest.mark.parametrize("module", [name for name in INNER if part(name) in WITHOUT_TORCH])
def test_the_ground_needs_no_torch(module):
    assert "torch" not in top_levels(module)


OPENING_CALLS = {"Image.open", "PIL.Image.open", "cv2.imread"}


def opens_pictures(node: ast.AST) -> bool:
    """Whether a piece of code opens a picture: by a call, or by one of the classes behind `Image.open`."""
    if isinstance(node, ast.Attribute):
        return ast.unparse(node) in OPENING_CALLS
    if isinstance(node, ast.ImportFrom):
        by_class = node.module == "pillow_heif" or (node.module or "").endswith("ImagePlugin")
        return by_class and any(alias.name.endswith("ImageFile") for alias in node.names)
    return False


def test_pictures_are_opened_in_one_file():
    serving = {name: path for name, path in MODULES.items() if part(name) in SERVING | {"cli"}}
    trees = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in serving.items()}
    opening = {name for name, tree in trees.items() if any(opens_pictures(node) for node in ast.walk(tree))}
    assert opening == {"restoration.images.opening"}


def loaded_by(statement: str) -> set[str]:
    """The top-level modules a fresh interpreter has after a statement."""
    code = f"{statement}\nimport sys\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    return set(result.stdout.split())


def test_importing_the_package_costs_nothing():
    assert not loaded_by("import restoration") & {"torch", "numpy", "PIL", "gradio"}


def test_restoring_needs_no_training_library_and_no_page():
    loaded = loaded_by("from restoration import MODELS, Engine, read_image, restore, write_image")
    assert {"torch", "PIL"} <= loaded
    assert not loaded & (TRAINING_LIBRARIES | {"gradio", "spaces"})


def test_the_public_names_are_exactly_these():
    import restoration

    assert restoration.__all__ == ["MODELS", "Engine", "read_image", "restore", "write_image"]
    assert set(restoration.__all__) <= set(dir(restoration))
    for name in restoration.__all__:
        assert getattr(restoration, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = restoration.nothing
