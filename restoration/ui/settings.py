"""What the environment says about serving. The mapping is handed in; nothing is read at import."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from limits import RateLimitItem, parse_many

from restoration.errors import OptionError

ANY_PROXY = -1
_SPACE_RATE = "60/minute; 600/hour"
_PREFIX = "RESTORATION_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """How the app is served.

    rate: how many uploads, calls and jobs one visitor may send; empty for as many as they like.
    proxies: how many proxies before the app are trusted to name the visitor; ANY_PROXY takes the last public address.
    frame_ancestors: the sites that may show the app in a frame, as Content-Security-Policy writes them; "" for all.
    job_seconds: no job computes longer.
    stop_seconds: how long a job may go on after the process was told to end.
    keep_seconds: how long photos and results are kept.
    cache_megabytes: how much they may take together before the oldest go.
    """

    rate: tuple[RateLimitItem, ...] = ()
    proxies: int = 0
    frame_ancestors: str = ""
    job_seconds: float = 600
    stop_seconds: float = 20
    keep_seconds: float = 3600
    cache_megabytes: float = 10_000

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Serving:
        """RESTORATION_RATE_LIMIT, _TRUSTED_PROXIES, _FRAME_ANCESTORS, _MAX_JOB_SECONDS, _STOP_SECONDS, _KEEP_SECONDS
        and _CACHE_MEGABYTES where set. On a Space the rate is limited and its proxy trusted by default.

        Raises:
            OptionError: one of them has a value it cannot have.
        """
        default, space = cls(), bool(environ.get("SPACE_ID"))
        return cls(
            rate=_rate(_text(environ, "RATE_LIMIT") or (_SPACE_RATE if space else "off")),
            proxies=_proxies(_text(environ, "TRUSTED_PROXIES") or ("auto" if space else "0")),
            frame_ancestors=_sources(_text(environ, "FRAME_ANCESTORS")),
            job_seconds=_positive(environ, "MAX_JOB_SECONDS", default.job_seconds),
            stop_seconds=_positive(environ, "STOP_SECONDS", default.stop_seconds),
            keep_seconds=_positive(environ, "KEEP_SECONDS", default.keep_seconds),
            cache_megabytes=_positive(environ, "CACHE_MEGABYTES", default.cache_megabytes),
        )


def default_upload_folder() -> Path:
    """The folder of uploads and results where GRADIO_TEMP_DIR names none: not shared with other programs."""
    return Path(tempfile.gettempdir()) / "restoration-photos"


def _text(environ: Mapping[str, str], name: str) -> str:
    return environ.get(_PREFIX + name, "").strip()


def _rate(text: str) -> tuple[RateLimitItem, ...]:
    if text.lower() in ("off", "none", "0"):
        return ()
    try:
        return tuple(parse_many(text))
    except ValueError:
        raise OptionError(
            f'{_PREFIX}RATE_LIMIT must be "off" or rates like "60/minute; 600/hour", not {text!r:.60}.'
        ) from None


def _proxies(text: str) -> int:
    if text.lower() == "auto":
        return ANY_PROXY
    if not (text.isascii() and text.isdigit() and int(text) <= 20):
        raise OptionError(f'{_PREFIX}TRUSTED_PROXIES must be a number from 0 to 20 or "auto", not {text!r:.60}.')
    return int(text)


def _sources(text: str) -> str:
    if any(not 32 < ord(each) < 127 or each in ";," for each in text.replace(" ", "")):
        raise OptionError(
            f"{_PREFIX}FRAME_ANCESTORS must be sources separated by spaces, like \"'self' https://example.org\"."
        )
    return text


def _positive(environ: Mapping[str, str], name: str, default: float) -> float:
    text = _text(environ, name)
    try:
        value = float(text) if text else default
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise OptionError(f"{_PREFIX}{name} must be a positive number, not {text!r:.60}.")
    return value
