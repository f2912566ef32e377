"""The list of models: one explicit tuple of cards, and looking a card up by its name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping

from restoration.architectures import (
    blind_deconvolution,
    deblurgan_v2,
    ecbsr,
    edsr,
    fastai_unet,
    pix2pix,
    residual_unet,
)
from restoration.card import ModelCard
from restoration.errors import OptionError, UnknownModel


class Registry(Mapping[str, ModelCard]):
    """An immutable mapping from card name to card, in the order of the list.

    Raises:
        ValueError: two cards have one name.
    """

    def __init__(self, cards: Iterable[ModelCard]) -> None:
        listed = tuple(cards)
        self._cards = {card.name: card for card in listed}
        if len(self._cards) != len(listed):
            raise ValueError("two cards have the same name")

    def __getitem__(self, name: str) -> ModelCard:
        """The card of that name.

        Raises:
            UnknownModel: there is none; the sentence suggests the nearest name.
        """
        try:
            return self._cards[name]
        except KeyError:
            raise UnknownModel(self._unknown(name)) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._cards)

    def __len__(self) -> int:
        return len(self._cards)

    def __contains__(self, name: object) -> bool:
        return name in self._cards

    def of_task(self, task: str) -> tuple[ModelCard, ...]:
        """The cards of one task, in the order of the list."""
        return tuple(card for card in self._cards.values() if card.task == task)

    def find(self, name: str, *, task: str, scale: int | None = None) -> ModelCard:
        """The card for a family or card name.

        Args:
            name: "edsr-baseline" (a family) or "edsr-baseline-x2" (a card).
            task: the task it must serve.
            scale: the wanted enlargement; None takes a named card's own, or a family's smallest.

        Raises:
            UnknownModel: no card or family has that name.
            OptionError: the model serves another task, or contradicts the scale.
        """
        family = [card for card in self._cards.values() if card.family == name]
        cards = [self._cards[name]] if name in self._cards else family
        if not cards:
            raise UnknownModel(self._unknown(name))
        if cards[0].task != task:
            raise OptionError(f"The model '{name}' is for {cards[0].task}, not for {task}.")
        if scale is None:
            return cards[0]
        for card in cards:
            if card.scale == scale:
                return card
        offered = " or ".join(f"x{card.scale}" for card in cards)
        raise OptionError(f"The model '{name}' enlarges {offered}, but the scale asked for is {scale}.")

    def _unknown(self, name: str) -> str:
        known = sorted({*self._cards, *(card.family for card in self._cards.values())})
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"the models are {', '.join(self._cards)}."
        return f"There is no model '{name}': {hint}"


MODELS = Registry(
    (
        *blind_deconvolution.CARDS,
        *residual_unet.CARDS,
        *deblurgan_v2.CARDS,
        *fastai_unet.CARDS,
        *edsr.CARDS,
        *ecbsr.CARDS,
        *pix2pix.CARDS,
    )
)
