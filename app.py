"""The web app: `python app.py`. The only file that knows `spaces`, which must be imported before torch."""

import spaces  # isort: skip

import logging
import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from restoration.inference.engine import Engine
from restoration.inference.environment import settings_from_environment
from restoration.inference.reactions import classify_error, classify_zerogpu
from restoration.inference.runner import Job
from restoration.ui.page import build_page
from restoration.ui.server import Address, serve

SHORTEST_CALL_SECONDS, LONGEST_CALL_SECONDS = 10, 110


def gpu_seconds(job: Job) -> int:
    """How much GPU time to ask for: the prediction with room to spare. Less is granted sooner."""
    return round(min(max(2 * job.seconds + 5, SHORTEST_CALL_SECONDS), LONGEST_CALL_SECONDS))


def on_zerogpu(compute: Callable[..., Any]) -> Callable[..., Any]:
    """The computing generator, run on a GPU that is borrowed for one call."""
    return spaces.GPU(duration=gpu_seconds)(compute)


def build_engine(environ: Mapping[str, str]) -> Engine:
    """The engine for where this process runs: a ZeroGPU Space, or any machine with or without a GPU."""
    make = partial(Engine, **settings_from_environment(environ))
    if environ.get("SPACES_ZERO_GPU"):
        return make(on_gpu=on_zerogpu, classify=classify_zerogpu)
    return make(classify=classify_error)


def main() -> None:
    """Serves the page until the process is stopped."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    engine = build_engine(os.environ)
    page = build_page(engine)
    serve(page, engine, Address.from_environment(os.environ), warm_first=bool(os.environ.get("SPACES_ZERO_GPU")))


if __name__ == "__main__":
    main()
