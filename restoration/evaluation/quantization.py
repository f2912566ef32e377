"""The fast precision of a model: its convolutions in int8, kept only where the held-out pictures hardly lose.

NNCF calibrates on photographs that the caller degraded; the result is measured as it would be served, through an
engine, against the usual precision, and written beside the weights with what it loses. For developers: NNCF is no part
of an installation.
"""

from __future__ import annotations

import datetime
import hashlib
import logging
import shutil
import tempfile
from collections.abc import Callable, Iterable
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from restoration.card import ModelCard
from restoration.errors import DataError, OptionError, WeightsError
from restoration.evaluation.certify import SETS, certificate_text, score_row, write_whole
from restoration.evaluation.evaluate import Measured
from restoration.evaluation.protocols import Picture
from restoration.images.document import ImageDocument
from restoration.inference.fast import INT8, MOST_LOSS_DB, fast_filename
from restoration.weights import WeightStore

if TYPE_CHECKING:
    from restoration.inference.engine import Engine

LEAST_SPEEDUP = 1.2  # below, waiting for another precision to be loaded is not worth it
_EVERY_BLURRED = 9  # pairs of a picture and a kernel: every 9th meets all pictures but two and all eight kernels
_SPEED_SIDE, _SPEED_RUNS = 192, 7
_CONVOLUTIONS = {"Convolution", "ConvolutionBackpropData", "GroupConvolution"}
_NO_ARITHMETIC = {"Constant", "Parameter", "Result", "Convert", "ShapeOf"}

MakeEngine = Callable[[WeightStore], "Engine"]
OnPair = Callable[[Measured], None] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantized:
    """What came out.

    adopted: the graph was written, with its facts in the certificate.
    reason: why not; "" when it was.
    facts: what stands, or would stand, under "fast" in the certificate.
    """

    model: str
    adopted: bool
    reason: str
    facts: dict[str, Any]


def quantize(
    card: ModelCard,
    data: Path,
    pictures: Iterable[Picture],
    *,
    calibrated_on: str,
    make_engine: MakeEngine,
    store: WeightStore,
    on_pair: OnPair = None,
) -> Quantized:
    """Makes, measures and, if it is good enough, writes the int8 graph of a card.

    Args:
        data: holds `eval/` and `kernels/`.
        pictures: what to calibrate on, as the network will get them: degraded, uint8 (H, W, 3), never from `eval/`.
        calibrated_on: what those are, for the certificate.
        make_engine: an engine over a store, on the CPU.
        store: the folder of the weights, which gets the graph.

    Raises:
        OptionError: NNCF or OpenVINO is not installed.
        DataError: no picture, or the evaluation pictures cannot be used.
        WeightsError: the weights or their certificate are missing, or the network cannot be quantized.
    """
    certificate = store.certificate(card)
    if certificate is None:
        raise WeightsError(f"The weights of '{card.name}' have no certificate: certify them first.")
    pictures = list(pictures)
    if not pictures:
        raise DataError("There is no picture to calibrate on.")
    content = int8_file(card, store, pictures)
    facts = {
        "precision": INT8,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "made_from": certificate["sha256"],
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "calibrated_on": calibrated_on,
    }
    with _trial(card, store, certificate, facts, content) as trial:
        engine = make_engine(trial)
        facts["speedup"] = _speedup(engine, card, pictures[0])
        facts["scores"] = [_loss(engine, card, name, data, on_pair) for name in SETS[card.task]]
    facts["loss_db"] = max(row["loss_db"] for row in facts["scores"])
    reason = _objection(facts)
    if not reason:
        write_whole(store.folder / fast_filename(card.name), content)
        write_whole(store.folder / f"{card.name}.json", certificate_text({**certificate, "fast": facts}))
    return Quantized(model=card.name, adopted=not reason, reason=reason, facts=facts)


def int8_file(card: ModelCard, store: WeightStore, pictures: Iterable[Picture]) -> bytes:
    """The graph with int8 convolutions, packed; the first, the last, and all that is no convolution, stay as they are.

    Sums, shuffles and the like carry the picture itself: in int8 they cost more than 0.2 dB and save next to nothing.

    Raises:
        OptionError: NNCF or OpenVINO is not installed.
        WeightsError: the weights are missing, or OpenVINO cannot run the network.
    """
    from restoration.inference.backends.backend import BackendFailed
    from restoration.inference.backends.conversion import convert
    from restoration.inference.backends.packed_graph import pack
    from restoration.inference.backends.parts import parts_of
    from restoration.inference.networks import Networks

    nncf = _import_nncf()
    network = Networks(store).get(card, "cpu").network
    parts = parts_of(card, network)
    if parts is None:
        raise WeightsError(f"Only torch can run '{card.name}': it cannot be quantized.")
    inputs = [_body_input(card, network, parts.prepare, picture) for picture in pictures]
    try:
        graph = convert(parts.body, channels=parts.channels, side=card.size.fixed)
        return pack(_with_int8(nncf, graph, inputs))
    except BackendFailed as error:
        raise WeightsError(f"{error}: '{card.name}' cannot be quantized.") from error


def _import_nncf() -> Any:
    from restoration.inference.backends.conversion import import_openvino, import_unreported

    try:
        import_openvino()
        nncf = import_unreported("nncf")
    except Exception as error:
        raise OptionError("Quantizing needs OpenVINO and NNCF: pip install -r requirements-dev.txt") from error
    nncf.set_log_level(logging.ERROR)
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)  # about CUDA, which is not used
    return nncf


def _body_input(card: ModelCard, network: Any, prepare: Callable[..., Any], picture: Picture) -> NDArray[np.float32]:
    """(1, H, W, channels), as the converted graph takes a picture."""
    from restoration.inference.backends.conversion import MIDDLE
    from restoration.inference.device import observe_picture

    pixels = np.ascontiguousarray(picture).astype(np.float32) / np.float32(255)
    context = None
    if card.observes:
        *_, context = observe_picture(network, pixels, "cpu")
    return (prepare(pixels, context, None) - MIDDLE)[None]


def _is_last(convolution: Any) -> bool:
    """Whether no other convolution comes behind it."""
    seen, waiting = set(), [convolution]
    while waiting:
        for output in waiting.pop().outputs():
            for op in (target.get_node() for target in output.get_target_inputs()):
                if op.get_type_name() in _CONVOLUTIONS:
                    return False
                if op.get_friendly_name() not in seen:
                    seen.add(op.get_friendly_name())
                    waiting.append(op)
    return True


def _with_int8(nncf: Any, graph: Any, inputs: list[NDArray[np.float32]]) -> Any:
    from nncf.quantization.advanced_parameters import AdvancedQuantizationParameters
    from nncf.quantization.range_estimator import RangeEstimatorParametersSet

    operations = graph.get_ordered_ops()
    convolutions = [op for op in operations if op.get_type_name() in _CONVOLUTIONS]
    kept = {op.get_friendly_name() for op in (convolutions[0], *filter(_is_last, convolutions))}
    others = {op.get_type_name() for op in operations} - _CONVOLUTIONS - _NO_ARITHMETIC
    with redirect_stdout(StringIO()):  # its progress bars
        return nncf.quantize(
            graph,
            nncf.Dataset(inputs),
            subset_size=len(inputs),
            preset=nncf.QuantizationPreset.MIXED,
            ignored_scope=nncf.IgnoredScope(names=sorted(kept), types=sorted(others)),
            advanced_parameters=AdvancedQuantizationParameters(
                activations_range_estimator_params=RangeEstimatorParametersSet.MINMAX  # nothing seen is clipped
            ),
        )


@contextmanager
def _trial(card: ModelCard, store: WeightStore, certificate: dict[str, Any], facts: dict[str, Any], content: bytes):
    """A store in which the graph is taken for good, so that an engine serves it."""
    if card.bundled is None:
        raise WeightsError(f"The model '{card.name}' has no bundled weights.")
    with tempfile.TemporaryDirectory() as folder:
        trial = WeightStore(Path(folder))
        shutil.copy(store.folder / card.bundled.filename, trial.folder)
        (trial.folder / fast_filename(card.name)).write_bytes(content)
        certain = {**certificate, "fast": {**facts, "loss_db": 0.0}}
        (trial.folder / f"{card.name}.json").write_bytes(certificate_text(certain))
        yield trial


def _speedup(engine: Engine, card: ModelCard, picture: Picture) -> float:
    """How many times as fast as the usual precision; both run in turn, medians.

    Raises:
        WeightsError: the engine does not run the graph; the sentence says why.
    """
    from restoration.inference.engine import finish

    side = card.size.fixed or _SPEED_SIDE
    tiled = np.tile(picture, (-(-side // picture.shape[0]), -(-side // picture.shape[1]), 1))
    document = ImageDocument(color=np.ascontiguousarray(tiled[:side, :side]))
    ratios = []
    for _ in range(_SPEED_RUNS):
        usual, fast = (finish(engine.stream(document, card, precision=wish)).report for wish in ("auto", "fast"))
        if fast.precision != INT8:
            raise WeightsError(" ".join((f"The int8 graph of '{card.name}' cannot be used.", *fast.warnings)))
        ratios.append(usual.seconds["restore"] / fast.seconds["restore"])
    return round(median(ratios), 2)


def _loss(engine: Engine, card: ModelCard, name: str, data: Path, on_pair: OnPair) -> dict[str, Any]:
    """Both precisions on one evaluation set; PSNR and its loss in dB."""
    every = _EVERY_BLURRED if card.task == "deblur" else 1
    usual, fast = (
        score_row(card, name, data, engine=engine, every=every, precision=wish, on_pair=on_pair)
        for wish in ("auto", "fast")
    )
    return {
        **{key: fast[key] for key in ("set", "pictures", "psnr", "ssim", "protocol")},
        "usual_psnr": usual["psnr"],
        "usual_ssim": usual["ssim"],
        "loss_db": round(usual["psnr"] - fast["psnr"], 4),
    }


def _objection(facts: dict[str, Any]) -> str:
    """Why a graph is not worth having; "" when it is."""
    if not facts["loss_db"] < MOST_LOSS_DB:
        return f"it loses {facts['loss_db']:.3f} dB; less than {MOST_LOSS_DB} dB is allowed"
    if facts["speedup"] < LEAST_SPEEDUP:
        return f"it is only {facts['speedup']:.2f} times as fast; {LEAST_SPEEDUP} times is the least"
    return ""
