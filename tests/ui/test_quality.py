"""How well results are written when nobody says: no worse than they came, on the page and over the API."""

import re
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from gradio_client import Client, handle_file
from PIL import Image

from restoration.errors import OptionError
from restoration.pipelines.request import Request
from restoration.ui.jobs import Order
from tests.images.made_files import noise, saved
from tests.ui.conftest import Server

PHOTO = Image.fromarray(noise((48, 64, 3)) // 2 + 60)


def table(file: object) -> list[int]:
    """How coarsely a JPEG is quantized."""
    with Image.open(file) as picture:  # type: ignore[arg-type]
        assert picture.format == "JPEG"
        return picture.quantization[0]


def wanted(quality: int, folder: Path) -> list[int]:
    (folder / "wanted.jpg").write_bytes(saved(Image.new("RGB", (8, 8)), "JPEG", quality=quality))
    return table(folder / "wanted.jpg")


@pytest.mark.parametrize(("came", "goes"), [(98, 98), (95, 95), (60, 92)])
@pytest.mark.parametrize("endpoint", ["/deblur", "/enlarge"])
def test_the_api_keeps_a_jpegs_own_quality(client: Client, tmp_path: Path, endpoint: str, came: int, goes: int) -> None:
    (tmp_path / "photo.jpg").write_bytes(saved(PHOTO, "JPEG", quality=came))
    for options in ({}, {"quality": None}):
        file, _ = client.predict(image=handle_file(tmp_path / "photo.jpg"), api_name=endpoint, **options)
        assert table(file) == wanted(goes, tmp_path)
    file, _ = client.predict(image=handle_file(tmp_path / "photo.jpg"), quality=92, api_name=endpoint)
    assert table(file) == wanted(92, tmp_path)


def test_a_webp_without_loss_stays_so(client: Client, tmp_path: Path) -> None:
    (tmp_path / "photo.webp").write_bytes(saved(PHOTO, "WEBP", lossless=True))
    file, _ = client.predict(image=handle_file(tmp_path / "photo.webp"), strength=0, api_name="/deblur")
    with Image.open(file) as result:
        np.testing.assert_array_equal(np.asarray(result.convert("RGB")), np.asarray(PHOTO))


@pytest.mark.parametrize(("slider", "goes"), [(0, 98), (92, 92), (40, 40)])
def test_the_pages_slider_keeps_it_at_0(server: Server, tmp_path: Path, slider: int, goes: int) -> None:
    config = httpx.get(f"{server.url}/config").json()
    handler = next(each for each in config["dependencies"] if each["api_name"] == "page_deblur")
    widgets = {each["id"]: each for each in config["components"]}
    label = {widgets[each]["props"].get("label"): place for place, each in enumerate(handler["inputs"])}
    assert widgets[handler["inputs"][label["Quality"]]]["props"]["value"] == 0
    upload = httpx.post(f"{server.url}/gradio_api/upload", files={"files": ("a.jpg", saved(PHOTO, "JPEG", quality=98))})
    data: list[Any] = [{"path": upload.json()[0]}, {}, None, 1, "same", slider, False]
    joined = {"data": data, "fn_index": handler["id"], "session_hash": f"slider{slider}"}
    httpx.post(f"{server.url}/gradio_api/queue/join", json=joined)
    address = f"{server.url}/gradio_api/queue/data?session_hash=slider{slider}"
    with httpx.stream("GET", address, timeout=60) as stream:
        last = next(line for line in stream.iter_lines() if "process_completed" in line or "deblurred.jpg" in line)
    path = re.findall(r'"(/[^"]*a-deblurred\.jpg)"', last)[0]
    assert table(path) == wanted(goes, tmp_path)


def test_an_order_without_a_quality_leaves_the_choice() -> None:
    assert Order(request=Request(task="deblur")).quality is None
    for wrong in (0, 101, "92", True, float("nan"), [92]):
        with pytest.raises(OptionError, match="1 to 100"):
            Order(request=Request(task="deblur"), quality=wrong)  # type: ignore[arg-type]
