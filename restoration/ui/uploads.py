"""What a visitor handed over, from Gradio's payload to bytes we may read.

Gradio would open the picture itself, in a mode that loses 16-bit, CMYK and alpha, and answer a wrong file with a
generic message. The handlers therefore take the raw payload (`preprocess=False`) and resolve it here. A path is
believed only when it lies inside the upload cache. This file opens no picture.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote_to_bytes

from gradio.utils import get_upload_folder

from restoration.errors import ImageFileError
from restoration.images.writing import with_temporary

NOT_UPLOADED = "That file was not uploaded here."


@dataclass(frozen=True, slots=True, kw_only=True)
class Photo:
    """One picture as it was handed over.

    source: a file in the upload cache, or the bytes of a data URL.
    name: the file name as the visitor knows it, with its ending.
    """

    source: Path | bytes
    name: str


def upload_folder() -> Path:
    """Gradio's upload cache: the only folder whose files a visitor may name."""
    return Path(get_upload_folder()).resolve()


def photo_from(payload: object, originals: Mapping[str, Mapping[str, str]] | None = None) -> Photo:
    """The photo behind a payload of the page or the API.

    Args:
        payload: a FileData mapping (`path` in the upload cache, `orig_name`), a mapping with a data URL as its
            `url`, or a data URL.
        originals: for files the browser cannot show: the path of the preview on the page -> the uploaded file
            (`path`, `orig_name`).

    Raises:
        ImageFileError: there is nothing, or nothing that was uploaded here.
    """
    if payload is None or payload == "":
        raise ImageFileError("Please add a photo first.")
    if isinstance(payload, Mapping):
        path = payload.get("path")
        if isinstance(path, str) and path:
            chosen = originals.get(path, payload) if isinstance(originals, Mapping) else payload
            if not isinstance(chosen, Mapping) or not isinstance(chosen.get("path"), str):
                raise ImageFileError(NOT_UPLOADED)
            return _uploaded(chosen["path"], chosen.get("orig_name"))
        payload = payload.get("url")
    if isinstance(payload, str) and payload.startswith("data:"):
        return Photo(source=_data_url(payload), name="photo")
    raise ImageFileError("The image must be an uploaded file: pass it with handle_file(path or address).")


def stored(payload: object) -> object:
    """A payload whose picture stands in a data URL, as one that names a file: in the queue it takes no memory.

    The file is there whole or not at all.
    Any other payload is given back as it is.

    Raises:
        ImageFileError: the data URL is not well-formed.
    """
    text = payload.get("url") if isinstance(payload, Mapping) and not payload.get("path") else payload
    if not (isinstance(text, str) and text.startswith("data:")):
        return payload
    content = _data_url(text)
    folder = upload_folder() / secrets.token_hex(16)
    folder.mkdir(parents=True)
    path = folder / "photo"
    with_temporary(path, lambda handle: handle.write(content))
    return {"path": str(path), "orig_name": "photo"}


def _uploaded(path: str, name: object) -> Photo:
    """Raises ImageFileError when the path does not lie in the upload cache or the file is gone."""
    try:
        file = Path(path).resolve()
    except (OSError, ValueError):  # longer than a path may be, or no text that a path can hold
        raise ImageFileError(NOT_UPLOADED) from None
    if not file.is_relative_to(upload_folder()):
        raise ImageFileError(NOT_UPLOADED)
    if not file.is_file():
        raise ImageFileError("The uploaded photo is no longer here: please add it again.")
    return Photo(source=file, name=name if isinstance(name, str) and name else file.name)


def _data_url(text: str) -> bytes:
    """The bytes of `data:[type][;base64],...`.

    Raises:
        ImageFileError: the text is not well-formed.
    """
    header, comma, body = text.partition(",")
    try:
        if not comma:
            raise ValueError("no comma")
        return base64.b64decode(body, validate=True) if header.endswith(";base64") else unquote_to_bytes(body)
    except (binascii.Error, ValueError) as error:
        raise ImageFileError("The data URL of the image is damaged.") from error
