"""The two published DeblurGAN-v2 backbones, cut from timm's networks, and how the published keys map onto them.

timm (and torchvision behind it) is imported when a backbone is built, never before: the defaults do not need it.
"""

from __future__ import annotations

import re

from torch import Tensor, nn
from torch.nn import functional as F


class MobileNetV2Features(nn.Module):
    """timm's `mobilenetv2_100` up to the second 160-channel block: maps of 16, 24, 32, 64 and 160 channels.

    Args:
        inputs: channels of the picture.
    """

    def __init__(self, inputs: int = 3) -> None:
        super().__init__()
        from timm import create_model

        whole = create_model("mobilenetv2_100", pretrained=False, num_classes=0, in_chans=inputs)
        *blocks, last = list(whole.blocks)[:6]  # type: ignore[arg-type]
        self.conv_stem, self.bn1, self.blocks = (
            whole.conv_stem,
            whole.bn1,
            nn.Sequential(*blocks, nn.Sequential(*list(last)[:2])),
        )

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(B, inputs, H, W) -> maps at strides 2, 4, 8, 16 and 32."""
        maps = [self.blocks[0](self.bn1(self.conv_stem(x)))]  # type: ignore[operator]
        for index in (1, 2, 3):
            maps.append(self.blocks[index](maps[-1]))
        return (*maps, self.blocks[5](self.blocks[4](maps[-1])))


class InceptionResNetV2Features(nn.Module):
    """timm's `inception_resnet_v2` up to `mixed_7a`: maps of 32, 64, 192, 1088 and 2080 channels.

    Its convolutions are not padded, so the maps are; reflection commutes with the 1x1 laterals that follow.
    """

    _USED = (
        "conv2d_1a", "conv2d_2a", "conv2d_2b", "maxpool_3a", "conv2d_3b", "conv2d_4a", "maxpool_5a",
        "mixed_5b", "repeat", "mixed_6a", "repeat_1", "mixed_7a",
    )  # fmt: skip
    _LEVELS = (_USED[:1], _USED[1:4], _USED[4:7], _USED[7:10], _USED[10:])
    _PADDINGS = ((0, 1, 0, 1), (1, 1, 1, 1), (1, 2, 1, 2), (1, 1, 1, 1), (1, 1, 1, 1))

    def __init__(self) -> None:
        super().__init__()
        from timm import create_model

        whole = create_model("inception_resnet_v2", pretrained=False, num_classes=0)
        for name in self._USED:
            self.add_module(name, whole.get_submodule(name))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W), sides multiples of 32 and at least 128 -> maps at strides 2, 4, 8, 16 and 32."""
        maps = []
        for names, padding in zip(self._LEVELS, self._PADDINGS, strict=True):
            for name in names:
                x = self.get_submodule(name)(x)
            maps.append(F.pad(x, padding, "reflect"))
        return tuple(maps)


_MOBILE_FIRST = {"0": "conv_dw", "1": "bn1", "3": "conv_pw", "4": "bn2"}  # the block without expansion
_MOBILE_REST = {"0": "conv_pw", "1": "bn1", "3": "conv_dw", "4": "bn2", "6": "conv_pwl", "7": "bn3"}
_MOBILE_STAGES = (1, 2, 3, 4, 3, 2)  # blocks of each timm stage that are used
_UNUSED = re.compile(r"fpn\.(enc\d\.|features\.1[678]\.|inception\.(repeat_2|block8|conv2d_7b|last_linear)\.)")


def official_key_map(published: dict[str, Tensor]) -> dict[str, Tensor]:
    """The published `{"model": state}` of DeblurGAN-v2, written from DataParallel -> this project's keys.

    Aliases (`fpn.enc*`) and layers the network never runs are dropped by name; everything else must find its place,
    which the strict load that follows checks.

    Raises:
        KeyError: the file has no "model" entry.
        ValueError: a key does not start with "module.".
    """
    state: dict[str, Tensor] = published["model"]  # type: ignore[assignment]
    own: dict[str, Tensor] = {}
    for key, value in state.items():
        if not key.startswith("module."):
            raise ValueError(f"the key {key} does not start with 'module.'")
        name = key.removeprefix("module.")
        if not _UNUSED.match(name):
            own[_own_name(name)] = value
    return own


def _own_name(name: str) -> str:
    if name.startswith("fpn.inception."):
        return name.replace("fpn.inception.", "fpn.encoder.", 1)
    found = re.match(r"fpn\.features\.(\d+)\.(?:conv\.)?(\d)\.(.+)", name)
    if not found:
        return name
    index, part, rest = int(found[1]), found[2], found[3]
    if index == 0:
        return f"fpn.encoder.{'conv_stem' if part == '0' else 'bn1'}.{rest}"
    stage, block = 0, index - 1
    while block >= _MOBILE_STAGES[stage]:
        block -= _MOBILE_STAGES[stage]
        stage += 1
    layer = (_MOBILE_FIRST if index == 1 else _MOBILE_REST)[part]
    return f"fpn.encoder.blocks.{stage}.{block}.{layer}.{rest}"
