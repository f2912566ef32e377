"""The sentences and small pieces of HTML of the page. Pure text: knows neither Gradio nor pictures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from restoration.card import ModelCard
from restoration.inference.report import Progress

LONG_SECONDS = 60.0
STAGES = {
    "queue": "Waiting for the job before this one",
    "decode": "Reading the photo",
    "observe": "Measuring the blur",
    "encode": "Writing the file",
}


def status(text: str = "", *, busy: bool = False, share: float | None = None, note: str = "", kind: str = "") -> str:
    """The status line: a sentence, a bar when something runs (`share` 0..1, or None for "unknown"), a note below.

    `kind` is a class of the style sheet: "idle" is not shown, "done" is only heard, "busy" shows the stop button,
    "stopping" lets no new job begin.
    """
    bar = ""
    if busy:
        known = share is not None
        filled = f' style="width:{100 * min(max(share or 0.0, 0.0), 1.0):.1f}%"' if known else ""
        bar = f'<div class="bar{"" if known else " unknown"}" aria-hidden="true"><span{filled}></span></div>'
    below = f'<p class="note">{escape(note)}</p>' if note else ""
    kind = kind or ("busy" if busy else "quiet" if text else "idle")
    return f'<div class="status {kind}" role="status" aria-live="polite"><p>{escape(text)}</p>{bar}{below}</div>'


def progress_status(progress: Progress) -> str:
    """The status line of a running restoration: tiles, time left, and a warning when it will be long."""
    if progress.stage in STAGES:
        return status(STAGES[progress.stage], busy=True)
    tiles = f"part {min(progress.done + 1, progress.total)} of {progress.total}" if progress.total > 1 else "one moment"
    left = f" · about {duration(progress.seconds_left)} left" if progress.seconds_left is not None else ""
    predicted = progress.predicted_seconds
    note = " ".join(progress.warnings)
    if predicted is not None and predicted > LONG_SECONDS and not note:
        note = f"This is a long job: about {duration(predicted)} on this machine. You can stop it at any time."
    share = progress.done / progress.total if progress.total else None
    return status(f"Restoring · {tiles}{left}", busy=True, share=share, note=note)


def duration(seconds: float) -> str:
    """ "4 s", "2 min", "1 h 10 min"."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def gain(certificate: Mapping[str, Any] | None, baseline: str) -> str:
    """The measured gain of a model in words ("+3.9 dB over bicubic interpolation on Set5"), "" when there is none."""
    scores = (certificate or {}).get("scores") or []
    if not scores:
        return ""
    first = scores[0]
    pictures = first.get("set") or first.get("pictures") or "held-out photos"
    where = f"{pictures} held-out photos" if isinstance(pictures, int) else str(pictures)
    return f"{first['psnr'] - first['baseline_psnr']:+.1f} dB over {baseline} on {where}"


def model_note(card: ModelCard, measured: str) -> str:
    """One model in a sentence, with what was measured."""
    badge = f' <span class="gain">{escape(measured)}</span>' if measured else ""
    return f'<p class="model-note">{escape(card.sentence)}{badge}</p>'


def fast_note(facts: Mapping[str, Any]) -> str:
    """What the fast precision gives and takes, as its certificate says (`restoration.inference.fast`)."""
    loss = facts["loss_db"]
    price = f"up to {loss:.2f} dB" if loss >= 0.005 else "less than 0.01 dB"
    gain = f"about {facts['speedup']:.1f} times as fast, measured when it was made"
    return f"8-bit arithmetic: {gain}, for {price} of quality."


def broken_models(models: Iterable[tuple[str, str]]) -> str:
    """Models that cannot be chosen, as (title, reason): grayed out below those that can."""
    items = "".join(
        f'<li aria-disabled="true"><b>{escape(title)}</b> cannot be used now. {escape(reason)}</li>'
        for title, reason in models
    )
    return f'<ul class="broken" aria-label="Models that cannot be used">{items}</ul>' if items else ""


def result_caption(report: Mapping[str, Any]) -> str:
    """What came out, in one line: "1280 × 960 · JPEG · 3.2 s on the CPU"."""
    size = report["output"]
    device = "the GPU" if report["device"] == "cuda" else "the CPU"
    seconds = sum(report["seconds"].values())
    return f"{size['width']} × {size['height']} · {str(size['format']).upper()} · {seconds:.1f} s on {device}"


def report_table(report: Mapping[str, Any]) -> str:
    """The report as a table for people, warnings first."""
    source, result = report["input"], report["output"]
    stages = {"decode": "reading", "observe": "measuring the blur", "restore": "restoring", "encode": "writing"}
    times = ", ".join(f"{stages.get(name, name)} {seconds:.2f} s" for name, seconds in report["seconds"].items())
    rows = [
        ("Model", f"{report['model']} ({report['checkpoint']})"),
        ("Ran on", f"{report['device']}, {report['precision']}, {report['backend']}"),
        ("Input", _size(source)),
        ("Output", _size(result)),
        ("Parts", str(report["tiles"])),
        ("Time", times),
    ]
    body = "".join(f"<tr><th scope='row'>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in rows)
    return f'{_notes(report["warnings"])}<table class="report">{body}</table>'


def _size(size: Mapping[str, Any]) -> str:
    bits = f", {size['bits']} bits per channel" if size.get("bits") else ""
    return f"{size['width']} × {size['height']}, {str(size['format']).upper()}{bits}"


def _notes(warnings: Iterable[str]) -> str:
    items = "".join(f"<li>{escape(warning)}</li>" for warning in warnings)
    return f'<ul class="notes">{items}</ul>' if items else ""


HEADER = """<header class="masthead">
<h1>Photo Restoration</h1>
<p>Deblur, clean, enlarge and repair the faces of a photo. Everything is computed here; nothing is sent elsewhere.</p>
</header>"""

EMPTY_RESULT = """<div class="empty">
<svg viewBox="0 0 64 48" aria-hidden="true"><rect x="3" y="3" width="58" height="42" rx="6"/><path d="M32 3v42"/>
<path d="m9 38 9-12 7 8"/><circle cx="46" cy="17" r="5"/></svg>
<p>The result appears here, beside the original.</p>
</div>"""

FOOTER = '<p class="colophon">Photos are kept for an hour or so, for the download, and then deleted.</p>'
