"""Golden outputs of the bundled weights: `python -m tests.golden.make` rewrites them after a training."""
