"""What a training begins with: its length, its seed, and the checkpoint that it goes on from.

Reads the run folder and changes nothing in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from restoration.errors import OptionError
from restoration.training import checkpoint
from restoration.training.checkpoint import Run
from restoration.training.session import Length

LEARNING_RATE = "learning_rate"
"""The run's note of a rate that was asked for."""
_HIGHEST_RATE = 1.0
_SEEDS = 2**63  # what torch's and NumPy's generators both take, and room for the seeds that are made from it


def check_numbers(*, seed: int | None, workers: int, stop_after: int | None, learning_rate: float | None) -> None:
    """Refuses numbers that cannot be, before anything is read or changed.

    Raises:
        OptionError: one of them cannot be.
    """
    if seed is not None and not 0 <= seed < _SEEDS:
        raise OptionError(f"The seed is a whole number from 0 to 2^63 - 1, not {seed}.")
    if workers < 0:
        raise OptionError(f"The number of workers is 0 or more, not {workers}.")
    if stop_after is not None and stop_after < 1:
        raise OptionError(f"A training stops after 1 step or more, not after {stop_after}.")
    if learning_rate is not None and not 0 < learning_rate <= _HIGHEST_RATE:
        raise OptionError(f"The learning rate is above 0 and at most {_HIGHEST_RATE:g}, not {learning_rate:g}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """Where a training begins.

    length: the total. seed: of everything random.
    checkpoint: the file, and what it holds; None = a new training.
    missing: why a new training begins where one was to be resumed; a sentence without its full stop, or "".
    """

    length: Length
    seed: int
    checkpoint: tuple[Path, dict[str, Any]] | None = None
    missing: str = ""

    @classmethod
    def choose(
        cls, out: Path, *, resume: bool, minutes: float | None, steps: int | None, seed: int | None
    ) -> Beginning:
        """What was asked for, or what the checkpoint in the run folder says.

        Raises:
            OptionError: the length is not known or cannot be, or the checkpoint's seed is another.
            DataError: the checkpoint cannot be read.
        """
        path = out / "last.pt"
        state = checkpoint.read(path) if resume and path.is_file() else None
        missing = _missing(path) if resume and state is None else ""
        if missing and minutes is None and steps is None:
            raise OptionError(f"{missing}: say how long to train, either --minutes or --steps.")
        return cls(
            length=Length.choose(minutes, steps, state),
            seed=_seed(seed, state, path),
            checkpoint=(path, state) if state is not None else None,
            missing=missing,
        )

    def fill(self, run: Run) -> None:
        """Puts the checkpoint into a fresh run, where there is one.

        Raises:
            DataError: it belongs to another network, optimiser or kind of stage.
        """
        if self.checkpoint:
            path, state = self.checkpoint
            checkpoint.restore(run, state, path)

    def learning_rate(self, asked: float | None, usual: float) -> float:
        """What was asked for, or the checkpoint's own, or the recipe's usual one.

        Raises:
            OptionError: the checkpoint's is another than what was asked for.
        """
        if not self.checkpoint:
            return usual if asked is None else asked
        path, state = self.checkpoint
        saved = float(state.get("notes", {}).get(LEARNING_RATE, usual))
        if asked is not None and asked != saved:
            raise OptionError(f"The training in {path} began with the learning rate {saved:g}: it keeps that.")
        return saved


def _seed(asked: int | None, state: dict[str, Any] | None, path: Path) -> int:
    """What was asked for, or the checkpoint's, or 0; old checkpoints do not know theirs."""
    saved = state.get("seed") if state else None
    if asked is not None and saved is not None and asked != saved:
        raise OptionError(f"The training in {path} began with the seed {saved}: it cannot go on with {asked}.")
    return next((seed for seed in (asked, saved) if seed is not None), 0)


def _missing(path: Path) -> str:
    """Says that there is no checkpoint, and whether there is one that was put aside."""
    aside = path.with_name("previous.pt")
    found = f", only a {aside.name} of the training before it" if aside.is_file() else ""
    return f"There is no {path} to go on from{found}"
