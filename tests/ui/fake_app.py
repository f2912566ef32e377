"""The real page on the fake engine, in a process of its own: `python -m tests.ui.fake_app PORT`."""

import sys

import spaces  # noqa: F401 - before torch, as in app.py

from restoration.ui.page import build_page
from restoration.ui.server import Address, serve
from tests.ui.fakes import fake_engine

if __name__ == "__main__":
    engine = fake_engine()
    serve(build_page(engine), engine, Address(host="127.0.0.1", port=int(sys.argv[1])))
