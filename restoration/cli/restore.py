"""`restore`: photographs in, better photographs out."""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from restoration.cli.engines import DEVICES, EngineMaker
from restoration.errors import ImageFileError, OptionError, RestorationError, WeightsError
from restoration.images.names import printable
from restoration.inference.fast import PRECISIONS
from restoration.tasks import TASKS

if TYPE_CHECKING:
    from restoration.cli.outputs import Destination, Source
    from restoration.images.document import ImageDocument
    from restoration.inference.engine import Engine
    from restoration.inference.report import Restoration
    from restoration.pipelines.request import Request

_FORMATS = ("same", "png", "jpeg", "webp", "tiff")
_LONG_SECONDS = 60


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command to the parser."""
    parser = commands.add_parser("restore", help="restore photographs", description="Restores photographs.")
    parser.add_argument("inputs", nargs="+", type=Path, metavar="IN", help="photographs, or folders of photographs")
    parser.add_argument(
        "-o", "--out", required=True, type=Path, metavar="OUT",
        help="folder for the results, or a file name for one photograph; a result of an earlier run is replaced, an "
        "input never; results of equal name get -2, -3 and so on",
    )  # fmt: skip
    parser.add_argument("--task", required=True, choices=tuple(TASKS), help="what to do")
    parser.add_argument("--model", metavar="M", help="a model or a family of models (see the command models)")
    parser.add_argument("--scale", type=int, metavar="N", help="how many times larger, for enlarge")
    parser.add_argument("--strength", type=float, default=1.0, metavar="S", help="0 (nothing) to 1 (all), default 1")
    parser.add_argument(
        "--precision", choices=PRECISIONS, default="auto",
        help="auto: bf16 where verified; fast: int8 where the model has it and the CPU computes; default auto",
    )  # fmt: skip
    parser.add_argument("--device", choices=DEVICES, default="auto", help="where to compute, default auto")
    parser.add_argument("--format", choices=_FORMATS, help="default: the ending of OUT, or same")
    parser.add_argument(
        "--quality",
        type=int,
        metavar="Q",
        help="of JPEG, WebP and AVIF, 1 to 100; default 92, for a JPEG no less than the input seems to have, and for a"
        " WebP that came without loss none",
    )
    parser.add_argument("--json", action="store_true", help="print a JSON list of reports")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace, make_engine: EngineMaker) -> int:
    """Restores every input; one line per file that fails, and the others are still done.

    Returns: 0, or 1 when a file failed.

    Raises:
        OptionError: the options contradict each other or name something that does not exist.
        WeightsError: the model has no usable weights.
    """
    from restoration.cli.outputs import Destination, find_sources
    from restoration.pipelines.request import Request

    if args.quality is not None and not 1 <= args.quality <= 100:
        raise OptionError(f"The quality is 1 to 100, not {args.quality}.")
    request = Request(
        task=args.task, model=args.model, scale=args.scale, strength=args.strength, precision=args.precision
    )
    sources = find_sources(args.inputs)
    destination = Destination(args.out, args.inputs, sources, args.format)
    engine = make_engine(args.device)
    request.card(engine.models, engine.store)  # a wrong model is said once, not once per file
    destination.prepare()
    order = _Order(engine, request, destination, args.quality)
    rows = []
    for number, source in enumerate(sources, 1):
        row = _attempt(order, source, f"{number}/{len(sources)} {printable(source.path.name)}")
        rows.append(row)
        if not args.json:
            _tell(row)
    if args.json:
        print(json.dumps(rows, indent=2))  # escaped: a name need not be text
    return int(any("error" in row for row in rows))


@dataclass(frozen=True, slots=True)
class _Order:
    """What is the same for every file of one call."""

    engine: Engine
    request: Request
    destination: Destination
    quality: int | None


def _attempt(order: _Order, source: Source, label: str) -> dict[str, Any]:
    """One row of the JSON list: the report with both paths, or the input's path and the error."""
    try:
        if source.problem:
            raise ImageFileError(source.problem)
        return _restore(order, source.path, label)
    except WeightsError:
        raise  # not about this file: the others would fail the same way
    except RestorationError as error:
        print(f"restoration: {printable(str(source.path))}: {error}", file=sys.stderr)
        return {"input_path": str(source.path), "error": str(error)}


def _restore(order: _Order, path: Path, label: str) -> dict[str, Any]:
    from restoration.images.reading import read_image
    from restoration.images.writing import result_name
    from restoration.pipelines.written import as_written

    began = time.perf_counter()
    document = read_image(path, limits=order.engine.limits)
    decoded = time.perf_counter()
    restoration = _watch(order, document, label)
    restored = time.perf_counter()
    image, report = restoration.image, restoration.report
    stem = result_name(image.origin.name, TASKS[order.request.task].suffix, round(image.width / document.width))
    written = order.destination.write(image, stem, order.quality)
    seconds = {"decode": decoded - began, **report.seconds, "encode": time.perf_counter() - restored}
    report = as_written(replace(report, seconds=seconds), image, order.destination.format)
    return {"input_path": str(path), "output_path": str(written), **report.as_json()}


def _watch(order: _Order, document: ImageDocument, label: str) -> Restoration:
    """Runs the job under a progress bar on stderr (only when that is a terminal)."""
    from tqdm import tqdm

    from restoration.inference.report import Progress
    from restoration.pipelines.restore import stream

    with tqdm(desc=label, disable=None, leave=False, file=sys.stderr, unit="tile", total=1) as bar:
        told = False
        for event in stream(order.engine, document, order.request, reuse=True):
            if not isinstance(event, Progress):
                return event
            bar.total = max(1, event.total)
            bar.update(event.done - bar.n)
            if not told and (event.predicted_seconds or 0) > _LONG_SECONDS:
                told = True
                minutes = math.ceil((event.predicted_seconds or 0) / 60)
                bar.write(f"restoration: {label} will take about {minutes} min; Ctrl+C stops.", file=sys.stderr)
    raise RuntimeError("the pipeline ended without a result")


def _tell(row: dict[str, Any]) -> None:
    if "error" in row:
        return  # said on stderr
    print(f"{printable(row['input_path'])} -> {printable(row['output_path'])} ({sum(row['seconds'].values()):.1f} s)")
    for warning in row["warnings"]:
        print(f"  {warning}")
