"""ResNet-D trunks (He et al. 2015 and 2018) with timm's key names, for serving without timm.

timm imports torchvision, which costs seconds at start; the networks served here need only this small part
of it. `tests/architectures/test_resnet.py` shares weights with `timm.models.resnet.ResNet` and compares outputs.
"""

from torch import Tensor, nn

Channels = tuple[int, int, int, int]


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with norms, and a shortcut (He et al. 2015, figure 5 left)."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.act = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample: nn.Sequential | None = None
        if stride != 1 or inputs != width:
            pool = nn.AvgPool2d(2, 2, ceil_mode=True, count_include_pad=False) if stride == 2 else nn.Identity()
            self.downsample = nn.Sequential(pool, nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, width, H / stride, W / stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        return self.act(self.bn2(self.conv2(self.act(self.bn1(self.conv1(x))))) + shortcut)


def stem(width: int, inputs: int = 3) -> nn.Sequential:
    """ResNet-D's deep stem: three 3x3 convolutions, the first of stride 2; inputs -> 2 * width channels."""
    return nn.Sequential(
        nn.Conv2d(inputs, width, 3, 2, 1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
        nn.Conv2d(width, width, 3, 1, 1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
        nn.Conv2d(width, 2 * width, 3, 1, 1, bias=False),
    )


def strided_pool(width: int) -> nn.Sequential:
    """A 3x3 convolution of stride 2 in place of the max-pool: a restorer needs what a maximum forgets."""
    return nn.Sequential(nn.Conv2d(width, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True))


def stages(stem_width: int, channels: Channels, depths: tuple[int, int, int, int]) -> list[nn.Sequential]:
    """The four stages: the first keeps the size, the others halve it."""
    made: list[nn.Sequential] = []
    inputs = 2 * stem_width
    for index, (width, depth) in enumerate(zip(channels, depths, strict=True)):
        blocks = [BasicBlock(inputs, width, 1 if index == 0 else 2)]
        blocks += [BasicBlock(width, width, 1) for _ in range(depth - 1)]
        made.append(nn.Sequential(*blocks))
        inputs = width
    return made


class ResNetFeatures(nn.Module):
    """The trunk as a feature pyramid: maps at strides 2, 4, 8, 16 and 32.

    Equal to timm's `ResNet(BasicBlock, depths, channels=channels, stem_type="deep", stem_width=stem_width,
    avg_down=True, replace_stem_pool=...)` up to its pooling, with the same keys.
    """

    def __init__(
        self,
        stem_width: int,
        channels: Channels,
        depths: tuple[int, int, int, int],
        *,
        replace_stem_pool: bool = False,
        inputs: int = 3,
    ) -> None:
        super().__init__()
        self.conv1 = stem(stem_width, inputs)
        self.bn1 = nn.BatchNorm2d(2 * stem_width)
        self.act1 = nn.ReLU(inplace=True)
        self.maxpool = strided_pool(2 * stem_width) if replace_stem_pool else nn.MaxPool2d(3, 2, 1)
        self.layer1, self.layer2, self.layer3, self.layer4 = stages(stem_width, channels, depths)
        self.channels: tuple[int, ...] = (2 * stem_width, *channels)

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, inputs, H, W) -> five maps, finest first."""
        maps = [self.act1(self.bn1(self.conv1(x)))]
        maps.append(self.layer1(self.maxpool(maps[-1])))
        for stage in (self.layer2, self.layer3, self.layer4):
            maps.append(stage(maps[-1]))
        return maps


def timm_resnet(
    stem_width: int, channels: Channels, depths: tuple[int, int, int, int], *, replace_stem_pool: bool = False
) -> nn.Module:
    """The same trunk made by timm (imports timm and torchvision): what trainings with fastai start from."""
    from timm.models.resnet import BasicBlock as TimmBlock
    from timm.models.resnet import ResNet

    return ResNet(
        TimmBlock,  # type: ignore[arg-type]
        list(depths),  # type: ignore[arg-type]
        channels=channels,
        stem_type="deep",
        stem_width=stem_width,
        avg_down=True,
        replace_stem_pool=replace_stem_pool,
        num_classes=0,
    )
