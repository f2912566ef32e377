"""Pictures given by address: fetched from public hosts only, and never more bytes than an upload may have.

Gradio's own download checks the address but not the size; `bound_downloads` puts this one in its place, for every
route and component at once. Answers that are packed on the way (Content-Encoding) are not taken: a few of their bytes
may unpack to gigabytes.
"""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path
from urllib.parse import unquote, urljoin, urlparse

import httpx
import safehttpx
from gradio import processing_utils
from gradio_client.utils import strip_invalid_filename_characters

from restoration.errors import ImageFileError
from restoration.images.writing import with_temporary
from restoration.ui.speaking import spoken

MAX_REDIRECTS = 5
_AS_IT_IS = {"Accept-Encoding": "identity"}
TIMEOUT_SECONDS = 20.0
"""For a whole download; a host that sends a byte now and then does not get more."""


def bound_downloads(megabytes: float) -> None:
    """Makes Gradio fetch addresses with a byte limit from now on."""

    async def download(url: str, cache_dir: str) -> str:
        try:
            return str(await fetch(url, Path(cache_dir), megabytes))
        except ImageFileError as error:
            raise spoken(str(error)) from error

    processing_utils.async_ssrf_protected_download = download


async def fetch(url: str, folder: Path, megabytes: float) -> Path:
    """Downloads one file into a new folder below `folder`.

    Raises:
        ImageFileError: the address cannot be reached, is not public, holds more than `megabytes` MB, or is answered
            with packed bytes.
    """
    name = strip_invalid_filename_characters(Path(unquote(urlparse(url).path)).name) or "photo"
    path = folder / secrets.token_hex(16) / name
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            content = await _get(url, int(megabytes * 1e6))
    except (TimeoutError, httpx.HTTPError, httpx.InvalidURL, ValueError, OSError) as error:
        raise ImageFileError("The picture at this address could not be fetched.") from error
    if content is None:
        raise ImageFileError(f"The picture at this address is larger than {megabytes:g} MB, the limit here.")
    path.parent.mkdir(parents=True)
    with_temporary(path, lambda handle: handle.write(content))
    return path


async def _get(url: str, limit: int) -> bytes | None:
    """The body behind a public address, following checked redirects; None when it is longer than the limit.

    Raises:
        ImageFileError: it is packed. And what httpx raises.
    """
    for _ in range(MAX_REDIRECTS + 1):
        if urlparse(url).scheme not in ("http", "https"):
            raise ValueError(f"not a web address: {url[:80]}")
        transport = safehttpx.AsyncSecureTransport(await safehttpx.async_validate_url(httpx.URL(url).host))
        async with (
            httpx.AsyncClient(transport=transport, timeout=TIMEOUT_SECONDS) as client,
            client.stream("GET", url, headers=_AS_IT_IS, follow_redirects=False) as response,
        ):
            if response.has_redirect_location:
                url = urljoin(url, response.headers["Location"])
                continue
            response.raise_for_status()
            if response.headers.get("Content-Encoding", "identity").strip().lower() not in ("identity", ""):
                raise ImageFileError("The host of this address packs what it sends, which is not taken here.")
            content = bytearray()
            async for chunk in response.aiter_raw():
                content += chunk
                if len(content) > limit:
                    return None
            return bytes(content)
    raise ValueError("too many redirects")
