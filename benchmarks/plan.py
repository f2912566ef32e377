"""What a full run of the benchmark is, by rules; and what a result lacks of it.

    a card at a size   unless a picture costs more than `MOST_GIGAFLOP`: minutes on two cores
    a peer             unless a picture costs more than `MOST_PEER_GIGAFLOP`, or a goal names this race
    a trial            each of them

Nothing is extrapolated: what is too dear is not measured.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.goals import GOALS, HD, SMALL, TWELVE, Goal, Size
from benchmarks.peers import peer_names
from restoration.card import ModelCard
from restoration.errors import OptionError

SIZES: tuple[Size, ...] = (SMALL, HD, TWELVE)  # (height, width)
CHECK_SIZES = SIZES[:2]
MOST_GIGAFLOP = 6000.0
MOST_PEER_GIGAFLOP = 500.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Race:
    """A card at one size, and the peers it is raced against."""

    card: ModelCard
    size: Size
    peers: tuple[str, ...] = ()

    @property
    def place(self) -> tuple[str, Size]:
        """What tells it from the others."""
        return self.card.name, self.size


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be measured; `trials` by name. A full plan leaves nothing out."""

    races: tuple[Race, ...]
    trials: tuple[str, ...] = ()


def full(cards: Sequence[ModelCard]) -> Plan:
    """Everything."""
    return Plan(races=races(cards, SIZES), trials=tuple(_trials(GOALS)))


def check(cards: Sequence[ModelCard], sizes: Sequence[Size] = CHECK_SIZES) -> Plan:
    """The smaller sizes, and whatever a goal needs."""
    names = {card.name for card in cards}
    goals = [goal for goal in GOALS if goal.model is None or goal.model in names]
    needed = only([goal.name for goal in goals], cards)
    present = {race.place for race in needed.races}
    more = [race for race in races(cards, sizes) if race.place not in present]
    return replace(needed, races=tuple(sorted((*needed.races, *more), key=lambda race: race.size)))


def only(names: Sequence[str], cards: Sequence[ModelCard]) -> Plan:
    """What the named goals need.

    Raises:
        OptionError: a name is no goal's.
    """
    goals = {goal.name: goal for goal in GOALS}
    for name in names:
        if name not in goals:
            raise OptionError(f"'{name}' is not measured; what is: {', '.join(goals)}.")
    wanted = [goals[name] for name in names]
    places = {(goal.model, goal.size) for goal in wanted}
    found = [race for race in races(cards, SIZES) if race.place in places]
    return Plan(races=tuple(found), trials=tuple(_trials(wanted)))


def races(cards: Iterable[ModelCard], sizes: Sequence[Size]) -> tuple[Race, ...]:
    """The races of cards by the rules, small pictures first for each card."""
    return tuple(
        Race(card=card, size=size, peers=tuple(_peers(card, size)))
        for card in cards
        for size in sizes_of(card, sizes)
        if gigaflop(card, size) <= MOST_GIGAFLOP
    )


def without_peers(plan: Plan) -> Plan:
    """The same without peers."""
    return replace(plan, races=tuple(replace(race, peers=()) for race in plan.races))


def gigaflop(card: ModelCard, size: Size) -> float:
    """Of the whole picture, without the tiles' margins."""
    return card.gigaflop_per_megapixel * size[0] * size[1] / 1e6


def sizes_of(card: ModelCard, sizes: Sequence[Size]) -> tuple[Size, ...]:
    """The sizes a card is measured at: its only one, or those that are wanted."""
    fixed = card.size.fixed
    return ((fixed, fixed),) if fixed else tuple(sizes)


def left_out(result: dict[str, Any], plan: Plan) -> Iterator[str]:
    """What a result lacks of a plan, one piece of text each: rows, memory, peers and trials, whatever the reason."""
    rows = {(row["model"], (row["height"], row["width"])): row for row in result["rows"]}
    for race in plan.races:
        row, name = rows.get(race.place), f"{race.card.name} at {race.size[1]} x {race.size[0]}"
        if row is None:
            yield name
            continue
        if row["peak_megabytes"] is None:
            yield f"{name}: memory"
        for peer in race.peers:
            if peer not in row["peers"]:
                yield f"{name} against {peer}"
    trials = result.get("trials", {})
    yield from (name for name in plan.trials if "failed" in trials.get(name, {"failed": ""}))


def _peers(card: ModelCard, size: Size) -> Iterator[str]:
    named = {goal.peer for goal in GOALS if (goal.model, goal.size) == (card.name, size)}
    for name in peer_names(card):
        if name in named or gigaflop(card, size) <= MOST_PEER_GIGAFLOP:
            yield name


def _trials(goals: Iterable[Goal]) -> list[str]:
    return [goal.trial for goal in goals if goal.trial is not None]
