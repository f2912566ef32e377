"""What one of several processes runs in `test_processes.py`: DATA OUT BATCH."""

import dataclasses
import sys
from pathlib import Path

from tests.training.tiny import TINY, run

if __name__ == "__main__":
    recipe = dataclasses.replace(TINY, batch=int(sys.argv[3]), precision="fp32", warmup_steps=1)
    run(recipe, Path(sys.argv[1]), Path(sys.argv[2]), steps=5)
