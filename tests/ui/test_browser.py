"""The page and the widget as a visitor meets them, in headless Chromium."""

import base64
import re
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from restoration.ui.panel import EXAMPLES_FOLDER, offered_examples
from tests.ui.conftest import Server, chromium, picture

pytestmark = pytest.mark.browser

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
DROP = """([bytes, name, type]) => {
    const content = Uint8Array.from(atob(bytes), (letter) => letter.charCodeAt(0));
    const transfer = new DataTransfer();
    transfer.items.add(new File([content], name, {type}));
    const target = document.querySelector(".photo button.upload-container");
    target.dispatchEvent(new DragEvent("drop", {dataTransfer: transfer, bubbles: true, cancelable: true}));
}"""

NATURAL_SIZES = """async (all) => {
    for (const each of all) { each.loading = "eager"; await each.decode(); }
    return all.map((each) => [each.naturalWidth, each.naturalHeight]);
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = chromium()
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield started
        started.close()


class Visit:
    """A page with everything it complained about and every foreign address it asked for."""

    def __init__(self, page: Page, home: str) -> None:
        self.page, self.home = page, home
        self.errors: list[str] = []
        self.foreign: list[str] = []
        page.set_default_timeout(30_000)
        expect.set_options(timeout=30_000)  # a busy machine needs more than the 5 s of the default
        page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda request: self._seen(request.url))

    def _seen(self, url: str) -> None:
        if not url.startswith((self.home, "data:", "blob:")):
            self.foreign.append(url)

    def open(self, path: str = "/") -> "Visit":
        self.page.goto(self.home + path)
        expect(self.page.locator("button.go:visible")).to_be_enabled()
        return self

    def choose(self, task: str) -> None:
        self.page.get_by_role("tab", name=task).click()

    def upload(self, path: Path) -> None:
        self.page.set_input_files(".photo input[type=file]", path)
        expect(self.page.locator(".photo img")).to_be_visible()

    def drop(self, path: Path, mime: str) -> None:
        content = base64.b64encode(path.read_bytes()).decode()
        self.page.evaluate(DROP, [content, path.name, mime])

    def run(self) -> Locator:
        self.page.locator("button.go:visible").click()
        return self.page.locator(".result .caption")


@pytest.fixture
def visit(browser: Browser, server: Server) -> Iterator[Visit]:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    yield Visit(context.new_page(), server.url)
    context.close()


@pytest.mark.parametrize(
    ("task", "name"),
    [
        ("Deblur", "beach-deblurred.png"),
        ("Enhance", "beach-enhanced.png"),
        ("Enlarge", "beach-enlarged-2x.png"),
        ("Face restore", "beach-faces-restored.png"),
    ],
)
def test_every_tab_shows_the_comparison_and_hands_out_the_file(visit: Visit, photo: Path, task: str, name: str) -> None:
    visit.open().choose(task)
    visit.upload(photo)
    expect(visit.run()).to_contain_text(name)
    images = visit.page.locator(".compare img")
    expect(images).to_have_count(2)
    sizes = images.evaluate_all(NATURAL_SIZES)
    assert sizes[0] == sizes[1] == ([160, 120] if task == "Enlarge" else [80, 60])
    with visit.page.expect_download() as download:
        visit.page.locator(".download:visible").click()
    assert download.value.suggested_filename == name
    with Image.open(download.value.path()) as result:
        assert result.size == tuple(sizes[0])
    assert visit.errors == []
    assert visit.foreign == []


def test_the_tabs_stand_in_their_order_and_name_the_measured_gain(visit: Visit) -> None:
    visit.open()
    names = visit.page.get_by_role("tab").all_inner_texts()
    assert names == ["Deblur", "Enhance", "Enlarge", "Face restore"]
    expect(visit.page.locator(".gain:visible")).to_contain_text("+3.9 dB over the blurred input on Set5")


def test_the_comparison_can_be_changed_from_the_keyboard(visit: Visit, photo: Path) -> None:
    visit.open().upload(photo)
    expect(visit.run()).to_be_visible()
    visit.page.locator(".compare img").evaluate_all(NATURAL_SIZES)
    visit.page.wait_for_timeout(1000)  # the result is sent a second time when the job is closed
    visit.page.locator(".view input[value=Compare]").focus()
    visit.page.keyboard.press("Tab")
    visit.page.keyboard.press("Space")
    visit.page.wait_for_function(
        "document.querySelector('.compare img.fixed').style.clipPath.replaceAll('px', '').endsWith('0%)')"
        " || document.querySelector('.compare img.fixed').style.clipPath.includes('inset(0px)')"
    )


def test_an_example_runs_on_click(visit: Visit) -> None:
    visit.open()
    if not offered_examples(EXAMPLES_FOLDER):
        pytest.skip("the examples folder is empty")
    visit.page.locator(".examples:visible button").first.click()
    expect(visit.page.locator(".result .caption")).to_contain_text("deblurred")
    assert visit.errors == []


@pytest.mark.parametrize(("name", "mime"), [("soft.heic", ""), ("soft.tif", ""), ("print.tif", "image/tiff")], ids=str)
def test_a_file_the_browser_cannot_show_gets_a_preview_and_is_restored(
    visit: Visit, tmp_path: Path, name: str, mime: str
) -> None:
    image = Image.fromarray(picture(96, 128))
    if name.endswith(".heic"):
        heif = pytest.importorskip("pillow_heif")
        heif.from_pillow(image).save(tmp_path / name)
    else:
        image.convert("CMYK" if name.startswith("print") else "RGB").save(tmp_path / name)
    visit.open().drop(tmp_path / name, mime)
    shown = visit.page.locator(".photo img")
    expect(shown).to_have_attribute("src", re.compile(r"\.jpg$"))
    assert shown.evaluate("image => image.decode().then(() => image.naturalWidth)") == 128
    ending = "jpg" if name.endswith(".heic") else "tif"
    expect(visit.run()).to_contain_text(f"{name.partition('.')[0]}-deblurred.{ending}")


def test_a_wrong_file_is_refused_in_a_sentence(visit: Visit, tmp_path: Path) -> None:
    (tmp_path / "wrong.jpg").write_text("not a picture")
    visit.open().drop(tmp_path / "wrong.jpg", "image/jpeg")
    expect(visit.page.locator(".status:visible")).to_contain_text("not a picture")
    expect(visit.page.locator(".photo img")).to_have_count(0)


def test_an_error_loses_neither_the_photo_nor_the_last_result(visit: Visit, photo: Path) -> None:
    visit.open().upload(photo)
    expect(visit.run()).to_contain_text("beach-deblurred.png")
    visit.page.get_by_text("Fake deblur-broken").click()
    visit.page.locator("button.go:visible").click()
    expect(visit.page.locator(".toast-body")).to_contain_text("Something went wrong on our side (error")
    expect(visit.page.locator(".result .caption")).to_contain_text("beach-deblurred.png")
    expect(visit.page.locator(".photo img")).to_be_visible()
    expect(visit.page.locator("button.halt:visible")).to_have_count(0)


@pytest.fixture
def large(tmp_path: Path) -> Path:
    path = tmp_path / "large.png"
    Image.fromarray(picture(700, 800)).save(path)
    return path


def begin_heavy_job(visit: Visit, path: Path) -> None:
    visit.open().choose("Enlarge")
    visit.page.get_by_text("Heavy", exact=True).click()
    visit.upload(path)
    visit.page.locator("button.go:visible").click()
    expect(visit.page.locator(".status:visible")).to_contain_text(re.compile(r"part ([3-9]|\d\d+) of"))


def used_share(server: Server, seconds: float = 2.0) -> float:
    """Of one core, on average."""
    before = server.cpu_seconds()
    time.sleep(seconds)
    return (server.cpu_seconds() - before) / seconds


def test_the_stop_button_stops(visit: Visit, server: Server, large: Path) -> None:
    begin_heavy_job(visit, large)
    visit.page.locator("button.halt:visible").click()
    expect(visit.page.locator(".status:visible")).to_contain_text("Stopped.")
    assert used_share(server) < 0.10
    visit.choose("Deblur")
    expect(visit.run()).to_contain_text("large-deblurred.png")


def test_closing_the_tab_ends_the_job(visit: Visit, server: Server, large: Path) -> None:
    begin_heavy_job(visit, large)
    visit.page.close()
    time.sleep(1)
    assert used_share(server) < 0.10


@pytest.mark.parametrize("path", ["/", "/embed"])
def test_a_phone_needs_no_sideways_scrolling_and_sees_all_tabs(browser: Browser, server: Server, path: str) -> None:
    context = browser.new_context(viewport={"width": 390 if path == "/" else 360, "height": 844})
    visit = Visit(context.new_page(), server.url).open(path)
    assert visit.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    for task in ("Enhance", "Enlarge", "Face restore"):
        visit.choose(task)
        assert visit.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    context.close()


@pytest.fixture
def host(server: Server) -> Iterator[str]:
    """A page on another origin that shows the widget in an iframe of 360 pixels."""
    widget = f"{server.url}/embed?task=enlarge&__theme=dark"
    body = f'<!doctype html><body style="margin:0"><iframe src="{widget}" width="360" height="700"></iframe>'.encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = self.path == "/"
            self.send_response(200 if found else 204)
            self.send_header("content-type", "text/html")
            self.end_headers()
            if found:
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as web:
        thread = threading.Thread(target=web.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{web.server_port}"
        web.shutdown()
        thread.join()


def test_the_widget_works_inside_an_iframe_of_360_pixels(visit: Visit, host: str, photo: Path) -> None:
    page = visit.page
    page.set_viewport_size({"width": 400, "height": 740})
    page.goto(host)
    frame = page.frame_locator("iframe")
    inside = frame.locator("html")
    expect(frame.get_by_role("tab", name="Enlarge")).to_have_attribute("aria-selected", "true")
    expect(frame.locator("footer:visible")).to_have_count(0)
    expect(frame.locator("nav:visible")).to_have_count(0)
    assert frame.locator("body").evaluate("body => body.classList.contains('dark')")
    frame.locator(".photo input[type=file]").set_input_files(photo)
    expect(frame.locator(".photo img")).to_be_visible()
    frame.locator("button.go:visible").click()
    expect(frame.locator(".result .caption")).to_contain_text("beach-enlarged-2x.png")
    assert inside.evaluate("page => page.scrollWidth <= 360")
    assert frame.locator(".compare img").evaluate_all(NATURAL_SIZES) == [[160, 120]] * 2
    page.wait_for_timeout(500)
    first = inside.evaluate("page => page.scrollHeight")
    page.wait_for_timeout(1500)
    assert inside.evaluate("page => page.scrollHeight") == first
    assert [error for error in visit.errors if "favicon" not in error] == []
