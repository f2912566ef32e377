"""Birth certificates: measures freshly trained weights, and puts them into the weights folder when they are better.

The facts of the training come from the run folder (`run.json`, `<model>.safetensors`), the licences from the listing
beside the training pictures, the scores from the protocols.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from restoration.card import ModelCard
from restoration.errors import DataError, WeightsError
from restoration.evaluation.evaluate import Measured, measure, needed_kernels
from restoration.evaluation.protocols import DESCRIPTIONS
from restoration.evaluation.scores import Score
from restoration.inference.fast import fast_facts, fast_filename
from restoration.tasks import TASKS
from restoration.weights import WeightStore

if TYPE_CHECKING:
    from restoration.inference.engine import Engine

SETS: dict[str, tuple[str, ...]] = {  # below DATA/eval; the first one decides
    "deblur": ("Kodak24",),
    "enhance": ("Kodak24",),
    "enlarge": ("Set5", "Set14"),
    "faces": ("faces",),
}
_KERNELS = "kernels/levin09.npz"  # below DATA
_FACTS = (  # from run.json
    "warm_start", "start", "losses", "learning_rate", "minutes", "minutes_before", "iterations", "batch", "hardware",
    "torch", "precision", "seed",
)  # fmt: skip


class CandidateStore(WeightStore):
    """A folder of weights that are to be judged: whatever certificates lie there do not count."""

    def certificate(self, card: ModelCard) -> dict[str, Any] | None:
        """None, so that the weights are loaded as they are."""
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What came out.

    adopted: the weights folder was changed.
    psnr, previous: in dB on the first set, of the new weights and of other ones that were there (None: none were).
    """

    model: str
    adopted: bool
    psnr: float
    previous: float | None
    certificate: dict[str, Any]


def certify(
    run: Path,
    data: Path,
    card: ModelCard,
    *,
    facts: Mapping[str, Any],
    folder: str,
    make_engine: Callable[[WeightStore], Engine],
    store: WeightStore | None = None,
    on_pair: Callable[[Measured], None] | None = None,
) -> Verdict:
    """Measures the run's weights and adopts them if nothing is there or their PSNR on the task's first set is higher.

    Weights that are there already, byte for byte, get a new certificate. Weights that are there with no certificate by
    today's protocol are measured too, so that like is compared with like.

    Args:
        run: holds `<model>.safetensors`.
        data: holds `eval/`, `kernels/` and `folder` with its listing.
        card: the model that was trained.
        facts: what `read_facts` found in the run folder.
        folder: the training pictures below `data` ("train/general").
        make_engine: an engine over a store.
        store: the folder to adopt into.

    Raises:
        DataError: the run folder or the evaluation data cannot be used.
        WeightsError: the weights are missing or do not fit.
    """
    store = store or WeightStore()
    name = bundled_name(card)
    if not (run / name).is_file():
        raise WeightsError(f"The run folder {run} holds no {name}.")
    content = (run / name).read_bytes()
    trained_on = describe_data(data, folder, facts.get("pictures"))
    engine = make_engine(CandidateStore(run))
    scores = [score_row(card, one, data, engine=engine, on_pair=on_pair) for one in SETS[card.task]]
    certificate = birth_certificate(card, content, facts=facts, trained_on=trained_on, scores=scores)
    fast = fast_facts(card, store)
    if fast and fast["made_from"] == certificate["sha256"]:
        certificate["fast"] = fast
    previous = previous_psnr(
        card, scores[0], sha256=certificate["sha256"], data=data, store=store, make_engine=make_engine
    )
    adopted = previous is None or scores[0]["psnr"] > previous
    if adopted:
        adopt(store.folder, card.name, name, content, certificate)
    return Verdict(
        model=card.name, adopted=adopted, psnr=scores[0]["psnr"], previous=previous, certificate=certificate
    )  # fmt: skip


def birth_certificate(
    card: ModelCard,
    content: bytes,
    *,
    facts: Mapping[str, Any],
    trained_on: dict[str, Any],
    scores: list[dict[str, Any]],
) -> dict[str, Any]:
    """What `weights/<model>.json` holds, for the weights file of that content."""
    return {
        "model": card.name,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "sha256": hashlib.sha256(content).hexdigest(),
        "parameters": sum(parameter.numel() for parameter in card.build().parameters()),
        "recipe": facts["recipe"],
        **{key: facts.get(key) for key in _FACTS},
        "data": trained_on,
        "scores": scores,
        "licence": "see weights/README.md",
    }


def bundled_name(card: ModelCard) -> str:
    """The file name of the card's bundled weights.

    Raises:
        WeightsError: the card has none.
    """
    if card.bundled is None:
        raise WeightsError(f"The model '{card.name}' has no bundled weights to certify.")
    return card.bundled.filename


def read_facts(run: Path) -> dict[str, Any]:
    """`run.json` of a run folder, which names at least the recipe.

    Raises:
        DataError: it is missing or damaged.
    """
    try:
        facts = json.loads((run / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"The run folder {run} holds no readable run.json.") from error
    if not isinstance(facts, dict) or not isinstance(facts.get("recipe"), str):
        raise DataError(f"The run.json in {run} does not name its recipe.")
    return facts


def score_row(
    card: ModelCard,
    name: str,
    data: Path,
    *,
    engine: Engine,
    every: int = 1,
    precision: str = "auto",
    on_pair: Callable[[Measured], None] | None = None,
) -> dict[str, Any]:
    """The card's scores on one evaluation set, as the certificate lists them.

    Args:
        every, precision: as for `measure`.

    Raises:
        DataError: the set cannot be used.
    """
    kernels = needed_kernels(card.task, data / _KERNELS)
    score: Score = measure(
        card, data / "eval" / name, engine=engine, kernels=kernels, every=every, precision=precision, on_pair=on_pair
    )
    row = score.as_json()
    del row["model"]
    protocol = DESCRIPTIONS[card.task] + (f"; every {every}th pair" if every > 1 else "")
    return {"set": name, **row, "protocol": protocol, "baseline": TASKS[card.task].baseline}


def describe_data(data: Path, folder: str, pictures: int | None) -> dict[str, Any]:
    """What was trained on: the number of pictures and how many stand under which licence, from `<folder>.json`.

    Raises:
        DataError: there is no listing, or it cannot be read.
    """
    path = data / f"{folder}.json"
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        licences = Counter(str(row.get("licence") or row.get("source") or "unknown") for row in rows)
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise DataError(f"The listing {path} with the licences of the training pictures cannot be read.") from error
    trained = len(rows) if pictures is None else pictures
    rest = "; those not trained on were held out for validation" if trained < len(rows) else ""
    return {
        "description": f"{folder}: {len(rows)} pictures listed{rest}",
        "pictures": trained,
        "licences": dict(licences.most_common()),
    }


def previous_psnr(
    card: ModelCard,
    row: dict[str, Any],
    *,
    sha256: str,
    data: Path,
    store: WeightStore,
    make_engine: Callable[[WeightStore], Engine],
) -> float | None:
    """The PSNR in dB on the row's set of the other weights that are in the store; None when there are none.

    Raises:
        WeightsError: what is there cannot be loaded.
    """
    path = store.folder / bundled_name(card)
    if not path.is_file():
        return None
    present = hashlib.sha256(path.read_bytes()).hexdigest()
    if present == sha256:
        return None
    certificate = store.certificate(card) or {}
    if certificate.get("sha256") == present:
        for score in certificate.get("scores", []):
            if all(score.get(key) == row[key] for key in ("set", "protocol", "pictures")):
                return float(score["psnr"])
    engine = make_engine(CandidateStore(store.folder))
    return float(score_row(card, row["set"], data, engine=engine)["psnr"])


def adopt(folder: Path, model: str, name: str, content: bytes, certificate: dict[str, Any]) -> None:
    """Writes weights and certificate, each complete or not at all; an int8 graph of other weights goes."""
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / name, content)
    write_whole(folder / f"{model}.json", certificate_text(certificate))
    if "fast" not in certificate:
        (folder / fast_filename(model)).unlink(missing_ok=True)


def certificate_text(certificate: dict[str, Any]) -> bytes:
    """What `weights/<model>.json` holds."""
    return (json.dumps(certificate, indent=2, ensure_ascii=False) + "\n").encode()


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file, complete or not at all."""
    part = path.with_name(path.name + ".part")
    part.write_bytes(content)
    os.replace(part, path)
