"""An OpenVINO graph as one zip file, `graph.xml` and `graph.bin` inside: git keeps its bytes, one hash covers it."""

from __future__ import annotations

import io
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from restoration.inference.backends.backend import BackendFailed
from restoration.inference.backends.conversion import import_openvino

_XML, _BIN = "graph.xml", "graph.bin"
_LARGEST = 200_000_000  # bytes of a part: a file that unpacks to more is none of ours


def pack(graph: Any) -> bytes:
    """The zip file's content. What is not int8 is kept in fp16, as the weights are."""
    packed = io.BytesIO()
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(packed, "w") as archive:
        import_openvino().save_model(graph, Path(folder) / _XML, compress_to_fp16=True)
        for name in (_XML, _BIN):
            entry = zipfile.ZipInfo(name)  # dated 1980, whatever the clock says
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, (Path(folder) / name).read_bytes(), compresslevel=9)
    return packed.getvalue()


def unpack(content: bytes) -> Any:
    """The graph in a zip file.

    Raises:
        BackendFailed: it holds no graph, or OpenVINO is not installed or cannot read it.
    """
    openvino = import_openvino()
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            if max(packed.getinfo(name).file_size for name in (_XML, _BIN)) > _LARGEST:
                raise BackendFailed("The int8 graph is too large")
            return openvino.Core().read_model(packed.read(_XML), packed.read(_BIN))
    except (zipfile.BadZipFile, KeyError, RuntimeError, ValueError) as error:
        raise BackendFailed("OpenVINO cannot read the int8 graph") from error
