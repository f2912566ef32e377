"""Measurements of speed and memory; `python -m restoration bench` runs them."""
