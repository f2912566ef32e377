"""Generated parts of documents: the model table, and putting text between markers.

Knows nothing of the command line; its help block is made by `restoration/cli/tables.py`.
"""

from __future__ import annotations

from restoration.card import ModelCard
from restoration.errors import DataError
from restoration.inference.fast import fast_facts
from restoration.registry import MODELS, Registry
from restoration.weights import WeightStore


def model_table(models: Registry = MODELS, store: WeightStore | None = None) -> str:
    """The Markdown table of every certified model, a row per evaluation set, from `weights/<model>.json`.

    A paragraph tells what the fast precisions lose, a last sentence names the cards that have no certified weights, or
    whose weights do not beat their baseline.
    """
    store = store or WeightStore()
    lines = [
        "| model | task | parameters | set | PSNR / SSIM | baseline | gain |",
        "|---|---|---:|---|---:|---:|---:|",
    ]
    for card in models.values():
        lines += _rows(card, store)
    lines += _fast_lines(models, store)
    absent = [f"`{card.name}`" for card in models.values() if not store.availability(card).available]
    if absent:
        lines += ["", f"Without weights to offer here: {', '.join(absent)}."]
    return "\n".join(lines)


def _rows(card: ModelCard, store: WeightStore) -> list[str]:
    certificate = store.certificate(card)
    if not certificate:
        return []
    size = f"{certificate['parameters'] / 1e6:.2f} M"
    rows = []
    for score in certificate["scores"]:
        ours = f"{score['psnr']:.2f} / {score['ssim']:.4f}"
        before = f"{score['baseline_psnr']:.2f} / {score['baseline_ssim']:.4f}"
        gain = f"{score['psnr'] - score['baseline_psnr']:+.2f} dB"
        rows.append(f"| `{card.name}` | {card.task} | {size} | {score['set']} | {ours} | {before} | {gain} |")
    return rows


def _fast_lines(models: Registry, store: WeightStore) -> list[str]:
    """A paragraph about the fast precisions; nothing where there are none."""
    found = [(card.name, facts) for card in models.values() if (facts := fast_facts(card, store))]
    told = [
        f"`{name}` {-row['loss_db']:+.3f} dB on {row['set']} and {facts['speedup']:.1f} times as fast"
        for name, facts in found
        for row in facts["scores"]
        if row["loss_db"] == facts["loss_db"]
    ]
    about = "With `--precision fast` (int8 on the CPU, against the usual precision)"
    return ["", f"{about}: {'; '.join(told)}."] if told else []


def replace_block(text: str, marker: str, content: str) -> str:
    """Puts content between `<!-- marker:start -->` and `<!-- marker:end -->`; the markers stay, on lines of their own.

    Raises:
        DataError: one of the two markers is not there exactly once, or they stand in the wrong order.
    """
    start, end = f"<!-- {marker}:start -->", f"<!-- {marker}:end -->"
    if text.count(start) != 1 or text.count(end) != 1 or text.index(start) > text.index(end):
        raise DataError(f"The text needs one {start} and, after it, one {end}.")
    head, rest = text.split(start)
    tail = rest.split(end)[1]
    return f"{head}{start}\n{content.strip()}\n{end}{tail}"
