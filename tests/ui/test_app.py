"""`python app.py`, the real thing: real cards, the weights that are here, the port from the environment."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from gradio_client import Client, handle_file
from PIL import Image

from restoration.registry import MODELS
from restoration.ui.server import Address
from restoration.weights import WeightStore
from tests.ui.conftest import ROOT, Server, free_port, picture, start_server


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    port, folder = free_port(), tmp_path_factory.mktemp("app")
    command = [sys.executable, "app.py"]
    yield from start_server(command, folder / "log", port, PORT=str(port), GRADIO_TEMP_DIR=str(folder / "cache"))


def test_the_real_app_serves_the_bundled_weights(app: Server, tmp_path: Path) -> None:
    client = Client(app.url, download_files=str(tmp_path / "results"), verbose=False)
    offered = {row["name"] for row in client.predict(api_name="/models") if row["available"]}
    assert offered == {card.name for card in MODELS.values() if WeightStore().availability(card).available}
    if "edsr-baseline-x2" not in offered:
        reason = "the weights of edsr-baseline-x2 are not here"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)
    Image.fromarray(picture()).save(tmp_path / "beach.jpg", quality=95)
    file, report = client.predict(image=handle_file(tmp_path / "beach.jpg"), api_name="/enlarge")
    assert Path(file).name == "beach-enlarged-2x.jpg"
    assert report["model"] == "edsr-baseline-x2"
    with Image.open(file) as result:
        assert result.size == (160, 120)


def test_serving_imports_no_training_library() -> None:
    code = (
        "import sys, app; print(*(set(sys.modules) & {'fastai', 'fastcore', 'torchvision', 'timm', 'openvino', 'cv2'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize(
    ("environ", "host", "port"),
    [
        ({}, "127.0.0.1", 7860),
        ({"PORT": "8001"}, "127.0.0.1", 8001),
        ({"GRADIO_SERVER_PORT": "8002"}, "127.0.0.1", 8002),
        ({"SPACE_ID": "someone/photos"}, "0.0.0.0", 7860),
        ({"GRADIO_SERVER_NAME": "::1", "SPACE_ID": "someone/photos"}, "::1", 7860),
    ],
    ids=str,
)
def test_the_environment_says_where_to_listen(environ: dict[str, str], host: str, port: int) -> None:
    assert Address.from_environment(environ) == Address(host=host, port=port)
