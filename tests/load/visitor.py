"""One visitor among many: sends marked photos, now and then a bad file, now and then changes their mind."""

import random
import threading
import time
from collections import Counter
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from gradio_client.utils import QueueError
from PIL import Image

from tests.load.marks import LARGEST, mark_of, marked

WAYS = [("/deblur", 1), ("/enhance", 1), ("/enlarge", 2), ("/enlarge", 3), ("/enlarge", 4), ("/restore_faces", 1)]
FORMATS = {"PNG": ".png", "JPEG": ".jpg", "WEBP": ".webp"}
BAD = {
    "text.png": b"not a picture at all",
    "empty.jpg": b"",
    "drawing.svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "paper.pdf": b"%PDF-1.7\n%%EOF",
}


@dataclass
class Tally:
    """What all visitors saw together."""

    outcomes: Counter[str] = field(default_factory=Counter)
    seconds: dict[str, list[float]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    highest_rank: int = 0
    kills: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, outcome: str, seconds: float) -> None:
        with self.lock:
            self.outcomes[outcome] += 1
            self.seconds.setdefault(outcome, []).append(seconds)

    def complain(self, sentence: str) -> None:
        with self.lock:
            self.wrong.append(sentence)


class Visitor:
    """Sends one request after another until the time is over.

    Args:
        url: of the server.
        seed: of all choices.
        folder: for photos and results.
        tally: where outcomes are counted.
        largest_block: pixels of a block of the largest photo.
        patience: seconds after which a lost connection is given up; None where none may be lost.
    """

    def __init__(
        self, url: str, seed: int, folder: Path, tally: Tally, largest_block: int, *, patience: float | None = None
    ) -> None:
        self._random = random.Random(seed)
        self._url, self._patience = url, patience
        self._folder, self._tally, self._largest = folder, tally, largest_block
        folder.mkdir(parents=True)
        self._connect()

    def _connect(self) -> None:
        patient = {"timeout": self._patience or 120}  # a slow answer is told by the percentiles
        results = str(self._folder / "results")
        self._client = Client(self._url, download_files=results, httpx_kwargs=patient, verbose=False)

    def stay(self, until: float) -> None:
        """Requests until `until` (by `time.monotonic`)."""
        while time.monotonic() < until:
            began = time.monotonic()
            try:
                outcome = self._request()
            except QueueError:
                outcome = "queue full"
            except CancelledError:
                outcome = "cancelled" if self._patience is None else self._lost(until)
            except AppError as error:
                outcome = "error"
                self._tally.complain(f"a good photo was refused: {error}")
            except Exception as error:
                if self._patience is None:
                    outcome = "error"
                    self._tally.complain(f"{type(error).__name__}: {str(error)[:200]}")
                else:
                    outcome = self._lost(until)
            self._tally.add(outcome, time.monotonic() - began)
            if outcome == "queue full":
                time.sleep(self._random.uniform(0.5, 2.0))

    def _lost(self, until: float) -> str:
        """Comes back as soon as there is a server again."""
        while time.monotonic() < until:
            try:
                self._connect()
                break
            except Exception:
                time.sleep(0.5)
        return "connection lost"

    def _request(self) -> str:
        dice = self._random.random()
        if dice < 0.1:
            return self._bad()
        number, block = self._random.randrange(LARGEST), self._random.randint(12, self._largest)
        format, ending = self._random.choice(list(FORMATS.items()))
        path = self._folder / f"mark{number:012x}{ending}"
        path.write_bytes(marked(number, block, format))
        endpoint, scale = self._random.choice(WAYS)
        options: dict[str, Any] = {"scale": scale} if endpoint == "/enlarge" else {}
        job = self._client.submit(image=handle_file(path), api_name=endpoint, **options)
        if dice < 0.2:
            time.sleep(self._random.uniform(0.0, 2.0))
            job.cancel()
            return "cancelled"
        ranks = self._follow(job)
        if any(later > earlier for earlier, later in pairwise(ranks)):
            self._tally.complain(f"a place in the queue got worse: {ranks}")
        file, report = job.result(timeout=self._patience or 600)
        self._check(Path(file), report, number, block, scale)
        return endpoint

    def _follow(self, job: Any) -> list[int]:
        ranks, until = [], time.monotonic() + (self._patience or float("inf"))
        while not job.done() and time.monotonic() < until:
            rank = job.status().rank
            if rank is not None:
                ranks.append(rank)
                self._tally.highest_rank = max(self._tally.highest_rank, rank)
            time.sleep(0.1)
        return ranks

    def _check(self, file: Path, report: dict[str, Any], number: int, block: int, scale: int) -> None:
        """The result must be this photo's own: its name, its size, its mark."""
        with Image.open(file) as result:
            size, mark = result.size, mark_of(result)
        wanted = (8 * block * scale, 6 * block * scale)
        reported = (report["output"]["width"], report["output"]["height"])
        if (size, reported, mark) != (wanted, wanted, number) or f"mark{number:012x}" not in file.name:
            self._tally.complain(f"another's result: {file.name}, {size}, {mark:012x} for {number:012x}, {wanted}")

    def _bad(self) -> str:
        name = self._random.choice([*BAD, "cut.jpg"])
        content = BAD.get(name) or (marked(1, 40, "JPEG")[:700] if name == "cut.jpg" else b"")
        path = self._folder / name
        path.write_bytes(content)
        try:
            self._client.predict(image=handle_file(path), api_name=self._random.choice(WAYS)[0])
        except QueueError:
            raise
        except AppError as error:
            said = str(error)
            if "our side" in said or "\n" in said or not said.endswith("."):
                self._tally.complain(f"{name}: {said}")
            return "bad file refused"
        self._tally.complain(f"{name} was taken")
        return "bad file taken"
