"""Which precision a person may ask for, and the int8 graphs that ship: one zip file beside a card's weights.

`weights/<model>.int8.zip` is made by the command `quantize`. What it is, what it was made from and what it loses stand
under "fast" in the card's birth certificate; new weights have a new certificate, so a stale file is never used.
Knows neither torch nor OpenVINO.
"""

from __future__ import annotations

import hashlib
from typing import Any

from restoration.card import ModelCard
from restoration.errors import OptionError, WeightsError
from restoration.weights import WeightStore

PRECISIONS = ("auto", "fp32", "fast")
INT8 = "int8"
MOST_LOSS_DB = 0.1  # PSNR that the fast precision may lose on each held-out set, against the usual one


def check_precision(wish: object) -> str:
    """Checks a wish: "auto" (bf16 where verified), "fp32", or "fast" (int8 where a card has it, else as "auto").

    Raises:
        OptionError: it is none of PRECISIONS.
    """
    if wish not in PRECISIONS:
        raise OptionError(f"The precision can be {', '.join(PRECISIONS)}, not {wish!r:.40}.")
    return str(wish)


def fast_filename(model: str) -> str:
    """The name of a card's int8 graph in the weights folder."""
    return f"{model}.{INT8}.zip"


def fast_facts(card: ModelCard, store: WeightStore) -> dict[str, Any] | None:
    """What the certificate says of the card's int8 graph: "sha256", "made_from", "loss_db", "speedup", "scores" ...

    Returns: None where there is none that may be used: the file is not here, was made from other weights, or loses too
        much.
    """
    try:
        certificate = store.certificate(card) or {}
    except WeightsError:
        return None
    facts = certificate.get("fast")
    if not isinstance(facts, dict) or facts.get("made_from") != certificate.get("sha256"):
        return None
    good = facts.get("loss_db", MOST_LOSS_DB) < MOST_LOSS_DB
    return facts if good and (store.folder / fast_filename(card.name)).is_file() else None


def read_fast(card: ModelCard, store: WeightStore) -> bytes:
    """The card's int8 file, after checking its hash against the certificate.

    Raises:
        WeightsError: there is none that may be used, or it is damaged.
    """
    facts, name = fast_facts(card, store), fast_filename(card.name)
    if facts is None:
        raise WeightsError(f"The model '{card.name}' has no fast precision.")
    try:
        content = (store.folder / name).read_bytes()
    except OSError as error:
        raise WeightsError(f"The file {name} cannot be read.") from error
    if hashlib.sha256(content).hexdigest() != facts.get("sha256"):
        raise WeightsError(f"The file {name} is damaged: its hash is not the one in {card.name}.json.")
    return content
