"""A JPEG of 100 megapixels through the page's own handler, with every default model warm, in a process of its own.

What counts is the greatest resident memory of that process from its start, with all its libraries and models, and
that progress is told all the way.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from benchmarks import children
from benchmarks.page import own_upload_folder
from benchmarks.subjects import PHOTOGRAPH, picture
from benchmarks.timing import resident_megabytes
from restoration.images.reading import read_image

TASKS = ("deblur", "enhance", "faces")  # what does not enlarge
SIZE = (8334, 12_000)  # 100.0 megapixels
QUALITY = 90
SECONDS = 1800.0
LEAST_STEPS = 20  # of a picture cut in hundreds of tiles; faces have one step each
FACE = PHOTOGRAPH.with_name("astronaut-worn.jpg")
FACE_ENLARGED = 8  # times: a face of some 900 pixels


class ProgressLost(Exception):
    """The steps of a job do not lead to its end."""


def large_file(task: str, backend: str) -> dict[str, Any]:
    """The trial: `peak_megabytes` of the process, `steps` of progress, `seconds`, and the longest time without a step.

    Raises:
        ChildFailed: the job did not finish, or did not tell how far it was.
    """
    with large_jpeg() as path:
        words = (task, torch.get_num_threads(), backend, path)
        return children.run("large_file", *words, seconds=SECONDS)[-1]


@contextmanager
def large_jpeg() -> Iterator[Path]:
    """A JPEG of `SIZE` made of photographs of the examples, one with a face, on disk as long as the block lasts."""
    pixels = picture(*SIZE)
    face = read_image(FACE).color.repeat(FACE_ENLARGED, 0).repeat(FACE_ENLARGED, 1)[: SIZE[0], : SIZE[1]]
    pixels[: face.shape[0], : face.shape[1]] = face
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.jpg"
        Image.fromarray(pixels).save(path, quality=QUALITY)
        yield path


def main(task: str, threads: str, backend: str, path: str) -> None:
    """In the child.

    Raises:
        ProgressLost: too few steps, or they do not end where the work does.
    """
    torch.set_num_threads(int(threads))
    print(json.dumps(measure(task, backend, Path(path))))


def measure(task: str, backend: str, path: Path) -> dict[str, Any]:
    """One file through the page's handler in this process; see `large_file`."""
    from restoration.inference.engine import Engine
    from restoration.inference.report import Progress
    from restoration.pipelines.request import Request
    from restoration.ui.desk import Desk
    from restoration.ui.handlers import page_updates
    from restoration.ui.jobs import Order, stream_job
    from restoration.ui.server import default_cards
    from restoration.ui.uploads import Photo

    engine = Engine(device="cpu", backend=backend)
    engine.warm(default_cards(engine))
    seen: list[tuple[float, int, int]] = []

    def watched(job: Iterator[Any]) -> Generator[Any]:
        for step in job:
            if isinstance(step, Progress) and step.stage != "queue":
                seen.append((time.perf_counter(), step.done, step.total))
            yield step

    began = time.perf_counter()
    with own_upload_folder():
        photo, order = Photo(source=path, name=path.name), Order(request=Request(task=task))
        job = stream_job(engine, photo, order, Desk(job_seconds=SECONDS))
        *_, last = page_updates(watched(job))
    if task == "faces" and not last[-1]["details"]["faces"]:
        raise ProgressLost("no face was found")
    seconds = time.perf_counter() - began
    return {"peak_megabytes": resident_megabytes("VmHWM"), "seconds": seconds, **_progress(seen, task, began, seconds)}


def _progress(seen: list[tuple[float, int, int]], task: str, began: float, seconds: float) -> dict[str, Any]:
    times = [began, *(when for when, _, _ in seen), began + seconds]
    done = [count for _, count, _ in seen]
    least = 2 if task == "faces" else LEAST_STEPS
    if len(seen) < least or done != sorted(done) or done[-1] != seen[-1][2]:
        raise ProgressLost(f"{len(seen)} steps of progress, the last {seen[-1][1:] if seen else None}")
    silence = max(after - before for before, after in pairwise(times))
    return {"steps": len(seen), "longest_silence_seconds": silence}


if __name__ == "__main__":
    main(*sys.argv[1:])
