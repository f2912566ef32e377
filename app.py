"""The web app: `python app.py`. The only file that knows `spaces`, which must be imported before torch."""

import spaces  # isort: skip

import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from restoration.inference.backends.exported_backend import AheadOfTime
from restoration.inference.engine import Engine
from restoration.inference.environment import settings_from_environment
from restoration.inference.reactions import classify_error, classify_zerogpu
from restoration.inference.runner import Job
from restoration.tasks import TASKS
from restoration.ui.desk import Desk
from restoration.ui.logs import configure_logs
from restoration.ui.page import build_page
from restoration.ui.server import Address, serve
from restoration.ui.settings import Serving, default_upload_folder
from restoration.ui.uploads import upload_folder

SHORTEST_CALL_SECONDS, LONGEST_CALL_SECONDS = 10, 110
EXPORT_SECONDS = 600


def gpu_seconds(job: Job) -> int:
    """How much GPU time to ask for: the prediction with room to spare. Less is granted sooner."""
    return round(min(max(2 * job.seconds + 5, SHORTEST_CALL_SECONDS), LONGEST_CALL_SECONDS))


def on_zerogpu(compute: Callable[..., Any]) -> Callable[..., Any]:
    """The computing generator, run on a GPU that is borrowed for one call."""
    return spaces.GPU(duration=gpu_seconds)(compute)


def ahead_of_time(environ: Mapping[str, str]) -> AheadOfTime | None:
    """With RESTORATION_EXPORT=1 the tasks' default networks are compiled on a borrowed GPU before the page is launched.

    That takes minutes each, so torch runs the others.
    """
    if environ.get("RESTORATION_EXPORT") != "1":
        return None
    return AheadOfTime(
        lend=lambda work: spaces.GPU(duration=EXPORT_SECONDS)(work)(),
        compile=spaces.aoti_compile,
        chosen=lambda card: card.family == TASKS[card.task].default_model,
    )


def build_engine(environ: Mapping[str, str]) -> Engine:
    """The engine for where this process runs: a ZeroGPU Space, or any machine with or without a GPU."""
    make = partial(Engine, **settings_from_environment(environ))
    if environ.get("SPACES_ZERO_GPU"):
        return make(on_gpu=on_zerogpu, classify=classify_zerogpu, ahead=ahead_of_time(environ))
    return make(classify=classify_error)


def main() -> None:
    """Serves the page until the process is told to end."""
    os.environ.setdefault("GRADIO_TEMP_DIR", str(default_upload_folder()))
    configure_logs(upload_folder())
    serving = Serving.from_environment(os.environ)
    engine, desk = build_engine(os.environ), Desk(serving.job_seconds)
    zerogpu = bool(os.environ.get("SPACES_ZERO_GPU"))
    address = Address.from_environment(os.environ)
    serve(build_page(engine, desk), engine, address, desk=desk, serving=serving, warm_first=zerogpu)


if __name__ == "__main__":
    main()
