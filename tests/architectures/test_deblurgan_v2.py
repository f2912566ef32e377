"""DeblurGAN-v2: the published key layout, the two norm modes, the padding, and that frozen norms fold."""

import gzip
from pathlib import Path

import pytest
import torch
from torch import nn

from restoration.architectures.deblurgan_v2 import DeblurGANv2, published_mobilenet
from restoration.architectures.norms import Norm, with_statistics
from restoration.architectures.resnet import ResNetFeatures
from restoration.architectures.timm_encoders import official_key_map
from restoration.errors import WeightsError
from restoration.registry import MODELS
from restoration.weights import load_strictly, read_published
from tests.architectures.test_resnet import randomise_norms

KEYS = Path(__file__).parent / "published_keys"


def published_state(name: str) -> dict[str, torch.Tensor]:
    """Random tensors under the keys, shapes and types of the published file."""
    generator = torch.Generator().manual_seed(0)
    state = {}
    lines = gzip.decompress((KEYS / f"deblurgan_v2_{name}.txt.gz").read_bytes()).decode().splitlines()
    for line in lines:
        key, shape, dtype = line.split("\t")
        sizes = [int(n) for n in shape.strip("(),").split(",") if n.strip()]
        whole = dtype == "torch.int64"
        state[key] = torch.zeros(sizes, dtype=torch.int64) if whole else torch.rand(sizes, generator=generator)
    return state


def small(statistics: str, padding: str = "replicate") -> DeblurGANv2:
    shape = (8, (16, 16, 24, 24), (1, 1, 1, 1))
    return DeblurGANv2(
        lambda: ResNetFeatures(*shape), (16, 16, 16, 24, 24), fpn_width=16, head_width=8,
        statistics=statistics, padding=padding,  # type: ignore[arg-type]
    )  # fmt: skip


@pytest.mark.parametrize("name", ["mobilenet", "inception"])
def test_a_checkpoint_in_the_published_layout_loads_strictly(name: str, tmp_path: Path) -> None:
    card = MODELS[f"deblurgan-v2-{name}"]
    checkpoint = card.checkpoints[0]
    state = published_state(name)
    if name == "mobilenet":
        path = tmp_path / checkpoint.filename
        torch.save({"model": state}, path, _use_new_zipfile_serialization=False)
        with pytest.raises(WeightsError, match="its hash is"):
            read_published(path, checkpoint)
    own = official_key_map({"model": state})  # type: ignore[dict-item]
    network = card.build()
    load_strictly(network, own, card.name)
    assert torch.equal(network.state_dict()["final.weight"], state["module.final.weight"])
    own["fpn.surprise"] = torch.zeros(1)
    del own["final.bias"]
    with pytest.raises(WeightsError, match=r"missing final\.bias; unknown fpn\.surprise"):
        load_strictly(network, own, card.name)


def test_the_published_encoder_blocks_land_in_their_place() -> None:
    state = published_state("mobilenet")
    own = official_key_map({"model": state})  # type: ignore[dict-item]
    pairs = {
        "fpn.features.0.0.weight": "fpn.encoder.conv_stem.weight",
        "fpn.features.1.conv.3.weight": "fpn.encoder.blocks.0.0.conv_pw.weight",
        "fpn.features.4.conv.0.weight": "fpn.encoder.blocks.2.0.conv_pw.weight",
        "fpn.features.10.conv.6.weight": "fpn.encoder.blocks.3.3.conv_pwl.weight",
        "fpn.features.15.conv.7.running_var": "fpn.encoder.blocks.5.1.bn3.running_var",
    }
    for published, ours in pairs.items():
        assert own[ours] is state[f"module.{published}"]


def test_image_statistics_are_what_training_mode_does_on_one_picture() -> None:
    torch.manual_seed(0)
    shape = (8, (16, 16, 24, 24), (1, 1, 1, 1))
    theirs = ResNetFeatures(*shape)
    randomise_norms(theirs)
    ours = with_statistics(ResNetFeatures(*shape), "image")
    ours.load_state_dict(theirs.state_dict())
    x = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        expected = theirs.train()(x)
        for a, b in zip(ours.eval()(x), expected, strict=True):
            assert torch.allclose(a, b, atol=2e-5)


@pytest.mark.parametrize("statistics", ["image", "frozen"])
def test_no_statistic_is_written_in_training(statistics: str) -> None:
    network = small(statistics).train()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    network(torch.rand(2, 3, 64, 64)).mean().backward()
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())


def test_image_statistics_do_not_mix_the_pictures_of_a_batch() -> None:
    torch.manual_seed(0)
    network = small("image")
    x = torch.rand(2, 3, 256, 256)  # the deepest map must hold enough pixels for stable statistics
    with torch.no_grad():
        assert torch.allclose(network(x)[1:], network(x[1:]), atol=1e-4)


def test_frozen_norms_fold_into_their_convolutions() -> None:
    torch.manual_seed(0)
    conv, norm = nn.Conv2d(8, 8, 3, padding=1), Norm(8, "frozen")
    randomise_norms(norm)
    plain = nn.BatchNorm2d(8)
    plain.load_state_dict(norm.state_dict())
    folded = nn.utils.fuse_conv_bn_eval(conv.eval(), plain.eval())
    x = torch.rand(1, 8, 9, 9)
    with torch.no_grad():
        assert torch.allclose(folded(x), norm(conv(x)), atol=1e-5)


def test_the_published_padding_always_adds_a_gray_block() -> None:
    network = small("frozen", "gray")
    assert network._padded(torch.ones(1, 3, 64, 33)).shape == (1, 3, 96, 64)
    assert network._padded(torch.ones(1, 3, 64, 33))[..., 64:, :].abs().max() == 0
    edge = small("frozen")._padded(torch.ones(1, 3, 64, 33))
    assert edge.shape == (1, 3, 64, 64)
    assert edge.min() == 1


def test_the_published_light_network_has_the_published_parts() -> None:
    network = published_mobilenet()
    assert network.final.in_channels == 32
    assert network.fpn.lateral0.weight.shape == (64, 16, 1, 1)
    assert all(norm.statistics == "image" for norm in network.modules() if isinstance(norm, Norm))
