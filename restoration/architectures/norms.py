"""Batch norms in two modes behind one flag, and how a backbone gets them.

"image": the statistics of the picture at hand, as DeblurGAN-v2 was published (a tile would be normalised differently
from its neighbour). "frozen": stored statistics, so that every norm is an affine map that folds into its convolution;
what this project trains uses it, and lets the statistics settle first (`settle`).
"""

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

Statistics = Literal["image", "frozen"]


class Norm(nn.BatchNorm2d):
    """Batch or instance norm of the published networks, with fixed behaviour in training and evaluation.

    Keys are BatchNorm2d's. "image" normalises each picture by its own biased variance, which is what the published
    networks do when run in training mode on one picture. No running statistic is written, but by "frozen" norms in
    training mode while `settling`: then they are ordinary batch norms.
    """

    def __init__(
        self,
        channels: int,
        statistics: Statistics,
        *,
        affine: bool = True,
        eps: float = 1e-5,
        after: nn.Module | None = None,
    ) -> None:
        super().__init__(channels, eps=eps, affine=affine)
        self.statistics = statistics
        self.settling = False
        self.after = after or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """(B, C, H, W) -> the same shape."""
        if self.statistics == "image":
            return self.after(F.instance_norm(x, weight=self.weight, bias=self.bias, eps=self.eps))
        mean, variance, by_batch = self.running_mean, self.running_var, self.settling and self.training
        return self.after(F.batch_norm(x, mean, variance, self.weight, self.bias, by_batch, 0.1, self.eps))


def settle(network: nn.Module, settling: bool) -> None:
    """Lets the frozen norms of a network in training follow the batches (True), or holds them as they are (False)."""
    for module in network.modules():
        if isinstance(module, Norm) and module.statistics == "frozen":
            module.settling = settling


def with_statistics(network: nn.Module, statistics: Statistics) -> nn.Module:
    """Replaces every BatchNorm2d of a backbone by a `Norm` with the same weights and keys; returns the backbone.

    timm's norms carry the activation that follows them; it is kept behind the new norm.
    """
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.BatchNorm2d) and not isinstance(child, Norm):
                after = getattr(child, "act", None)
                norm = Norm(child.num_features, statistics, affine=child.affine, eps=child.eps, after=after)
                norm.load_state_dict(child.state_dict())
                setattr(module, name, norm)
    return network
