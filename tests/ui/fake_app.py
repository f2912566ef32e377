"""The real page on the fake engine, in a process of its own: `python -m tests.ui.fake_app PORT`."""

import os
import sys

import spaces  # noqa: F401 - before torch, as in app.py

from restoration.images.limits import Limits
from restoration.ui.desk import Desk
from restoration.ui.logs import configure_logs
from restoration.ui.page import build_page
from restoration.ui.server import Address, serve
from restoration.ui.settings import Serving
from restoration.ui.uploads import upload_folder
from tests.ui.fakes import SMALL, fake_engine

if __name__ == "__main__":
    configure_logs(upload_folder())
    serving = Serving.from_environment(os.environ)
    limits = Limits.from_environment(os.environ)
    engine, desk = fake_engine(SMALL if limits == Limits() else limits), Desk(serving.job_seconds)
    address = Address(host="127.0.0.1", port=int(sys.argv[1]))
    serve(build_page(engine, desk), engine, address, desk=desk, serving=serving)
