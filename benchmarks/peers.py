"""Reference implementations, written in the plain way of the field, to be raced against: uint8 picture in, uint8 out.

    eager         fp32, NCHW, the whole picture at once, as most repositories' test scripts do
    predict.py    DeblurGAN-v2's script: statistics of the picture at hand, numpy before and after, padded to 32
    super-image   that package's README: as eager, but autograd keeps every map
    cv2.dnn       exported as ONNX, read and run by OpenCV in fp32; needs OpenCV and, for the export, onnx

Each runs a network of its own with the weights of the one it races; `difference` compares the two in fp32.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Collection
from functools import partial
from importlib.util import find_spec
from io import BytesIO
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from benchmarks.subjects import PUBLISHED, as_tensor
from restoration.architectures.deblurgan_v2 import DeblurGANv2
from restoration.architectures.norms import Norm
from restoration.card import ModelCard

Picture = NDArray[np.uint8]
Peer = Callable[[Picture], Picture]
LARGEST_DIFFERENCE = 1e-3
_FOR_OPENCV = "edsr-baseline-x2"
_NEEDED = {"cv2.dnn": ("cv2", "onnx")}


def peer_names(card: ModelCard) -> tuple[str, ...]:
    """The peers of a card; none for a network that measures blur first, which none of them does."""
    if card.observes:
        return ()
    published = ("predict.py",) if card.name == PUBLISHED else ()
    edsr = ("super-image",) if card.family.startswith("edsr") else ()
    return ("eager", *published, *edsr, *(("cv2.dnn",) if card.name == _FOR_OPENCV else ()))


def cannot_run(name: str) -> str | None:
    """Why a peer cannot run here, if so."""
    missing = [module for module in _NEEDED.get(name, ()) if find_spec(module) is None]
    return f"{' and '.join(missing)} is not installed" if missing else None


def peers_of(card: ModelCard, network: nn.Module, wanted: Collection[str]) -> dict[str, Peer]:
    """The wanted peers of a card that can run here, by name.

    Args:
        network: as the card's store loads it; it is copied.
        wanted: some of `peer_names`.
    """
    make: dict[str, Callable[[], Peer]] = {
        "eager": lambda: partial(eager, copy.deepcopy(network)),
        "predict.py": lambda: partial(predict, training_statistics(network)),
        "super-image": lambda: partial(super_image, copy.deepcopy(network).requires_grad_(True)),
        "cv2.dnn": lambda: partial(opencv, onnx_of(network)),
    }
    return {name: make[name]() for name in peer_names(card) if name in wanted and cannot_run(name) is None}


def eager(network: nn.Module, pixels: Picture) -> Picture:
    """fp32, NCHW, whole, under no_grad."""
    with torch.no_grad():
        return _rounded(network(as_tensor(pixels))[0].permute(1, 2, 0).numpy())


def predict(network: nn.Module, pixels: Picture) -> Picture:
    """numpy normalises and pads (always by a block, gray), the network takes the picture's own statistics."""
    height, width = pixels.shape[:2]
    normalised = pixels.astype(np.float32) / np.float32(255)
    bottom, right = (side // 32 * 32 + 32 - side for side in (height, width))
    padded = np.pad(normalised, ((0, bottom), (0, right), (0, 0)), mode="constant", constant_values=0.5)
    x = torch.from_numpy(np.ascontiguousarray(np.expand_dims(np.transpose(padded, (2, 0, 1)), 0)))
    with torch.no_grad():
        answer = network(x)[0].numpy()
    return _rounded(np.transpose(answer, (1, 2, 0)))[:height, :width]


def super_image(network: nn.Module, pixels: Picture) -> Picture:
    """numpy to NCHW, autograd on."""
    x = np.expand_dims(pixels.astype(np.float32).transpose(2, 0, 1), 0) / np.float32(255)
    answer = network(torch.as_tensor(np.ascontiguousarray(x)))
    return _rounded(answer[0].detach().numpy().transpose(1, 2, 0))


def onnx_of(network: nn.Module) -> Any:
    """The network as ONNX with free sides, in OpenCV's hands, with as many threads as torch has."""
    import cv2

    graph: Any = BytesIO()  # the annotations of torch know no files
    free = {"x": {2: "height", 3: "width"}, "y": {2: "height", 3: "width"}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the newer exporter needs a compiler of its own
        torch.onnx.export(
            network, (torch.rand(1, 3, 64, 64),), graph, dynamo=False, input_names=["x"], output_names=["y"],
            dynamic_axes=free,
        )  # fmt: skip
    cv2.setNumThreads(torch.get_num_threads())
    return cv2.dnn.readNetFromONNX(np.frombuffer(graph.getvalue(), np.uint8))


def opencv(network: Any, pixels: Picture) -> Picture:
    """numpy to NCHW, OpenCV's own backend."""
    import cv2

    network.setInput(cv2.dnn.blobFromImage(pixels, 1 / 255))
    return _rounded(network.forward()[0].transpose(1, 2, 0))


def training_statistics(network: nn.Module) -> nn.Module:
    """A copy that normalises by the statistics of the picture at hand, and leaves padding to its caller."""
    own = copy.deepcopy(network)
    assert isinstance(own, DeblurGANv2)
    own.padding = "replicate"  # nothing is left to pad
    for module in own.modules():
        if isinstance(module, Norm):
            module.statistics = "image"
    return own


def difference(peer: Peer, network: nn.Module, pixels: Picture) -> float:
    """The greatest difference between a peer and the network in fp32, in units of white, beyond the peer's rounding."""
    with torch.no_grad():
        expected = np.clip(network(as_tensor(pixels))[0].permute(1, 2, 0).numpy(), 0, 1)
    answer = peer(pixels).astype(np.float32) / 255
    return float(max(0.0, np.abs(answer - expected).max() - 0.5 / 255))


def _rounded(values: NDArray[np.float32]) -> Picture:
    return (np.clip(values, 0, 1) * 255 + 0.5).astype(np.uint8)
