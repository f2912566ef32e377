"""What the server answers besides the page and the API."""

import httpx

from tests.ui.conftest import Server


def test_the_health_route_says_that_the_models_are_warm(server: Server) -> None:
    answer = httpx.get(f"{server.url}/healthz").json()
    assert answer["status"] == "ok"
    assert answer["warm"] is True
    assert "edsr-baseline-x2" in answer["models"]


def test_the_icon_route_resizes_nothing(server: Server) -> None:
    assert httpx.get(f"{server.url}/pwa_icon/4000").status_code == 404


def test_runs_and_statistics_are_not_kept(server: Server) -> None:
    assert httpx.get(f"{server.url}/gradio_api/runs").status_code == 404
    assert httpx.get(f"{server.url}/monitoring/summary").status_code in (403, 404)


def test_the_pages_load_nothing_from_other_hosts(server: Server) -> None:
    for path in ("/", "/embed"):
        page = httpx.get(f"{server.url}{path}", follow_redirects=True)
        assert page.status_code == 200
        assert "fonts.googleapis" not in page.text
        assert "cdn" not in page.text
        assert "x-frame-options" not in page.headers
