"""Many clients at once against the real server: `make load`, or `python -m tests.load --help`."""
