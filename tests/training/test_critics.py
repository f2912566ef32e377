"""Critics: what they see, and what the two sides of the game pay."""

import pytest
import torch
from torch.nn import functional as F

from restoration.training.critics import (
    DoubleScaleCritic,
    Opinion,
    PatchCritic,
    critic_loss,
    feature_matching,
    restorer_loss,
)


def opinions(*scores: torch.Tensor) -> list[Opinion]:
    return [Opinion(score, [score, 2 * score]) for score in scores]


def test_a_patch_critic_sees_70_pixels() -> None:
    critic = PatchCritic(8, norm="batch").eval()
    picture = torch.rand(1, 3, 256, 256, requires_grad=True)
    (opinion,) = critic(picture, picture)
    assert opinion.score.shape == (1, 1, 30, 30)
    opinion.score[0, 0, 15, 15].backward()
    assert picture.grad is not None
    rows = picture.grad.abs().sum((0, 1, 3)).nonzero()
    assert int(rows.max() - rows.min()) + 1 == 70


def test_a_conditional_critic_looks_at_the_input_too() -> None:
    torch.manual_seed(0)
    picture, one, other = torch.rand(3, 1, 3, 64, 64)
    for conditional in (True, False):
        critic = PatchCritic(8, halvings=2, conditional=conditional).eval()
        (a,), (b,) = critic(picture, one), critic(picture, other)
        assert torch.equal(a.score, b.score) is not conditional


def test_the_double_scale_critic_judges_patches_and_the_full_picture() -> None:
    critic = DoubleScaleCritic(8)
    picture = torch.rand(2, 3, 128, 128, requires_grad=True)
    patches, full = critic(picture, picture)
    assert patches.score.shape == (2, 1, 14, 14)
    assert full.score.shape == (2, 1, 1, 1)
    full.score[0].sum().backward()
    assert picture.grad is not None
    assert (picture.grad[0].abs().sum(0) > 0).float().mean() > 0.99
    assert not picture.grad[1].any()  # one picture's opinion is its own


def test_losses_of_the_plain_game_are_cross_entropies() -> None:
    torch.manual_seed(0)
    real, fake = torch.randn(2, 4, 1, 5, 5)
    ones, zeros = torch.ones_like(real), torch.zeros_like(real)
    entropy = F.binary_cross_entropy_with_logits
    expected = (entropy(real, ones) + entropy(fake, zeros)) / 2
    assert torch.allclose(critic_loss("gan", opinions(real), opinions(fake)), expected)
    assert torch.allclose(restorer_loss("gan", opinions(real), opinions(fake)), entropy(fake, ones))


def test_losses_of_the_relativistic_game_are_mirrored() -> None:
    real, fake = torch.full((2, 1, 3, 3), 0.75), torch.full((2, 1, 3, 3), -0.25)  # real is above fake by 1
    assert float(critic_loss("ragan-ls", opinions(real), opinions(fake))) == pytest.approx(0)
    assert float(restorer_loss("ragan-ls", opinions(real), opinions(fake))) == pytest.approx(4)
    assert float(restorer_loss("ragan-ls", opinions(fake), opinions(real))) == pytest.approx(0)
    one = critic_loss("ragan-ls", opinions(real), opinions(fake))
    other = critic_loss("ragan-ls", opinions(fake), opinions(real))
    both = critic_loss("ragan-ls", opinions(real, fake), opinions(fake, real))
    assert torch.allclose(both, (one + other) / 2)


def test_relativistic_means_are_the_other_sides() -> None:
    torch.manual_seed(0)
    real, fake = torch.randn(2, 4, 1, 5, 5)
    expected = ((real - fake.mean() - 1) ** 2).mean() / 2 + ((fake - real.mean() + 1) ** 2).mean() / 2
    assert torch.allclose(critic_loss("ragan-ls", opinions(real), opinions(fake)), expected)


def test_feature_matching_pulls_the_made_side_alone() -> None:
    real = torch.zeros(1, 1, 2, 2, requires_grad=True)
    fake = torch.ones(1, 1, 2, 2, requires_grad=True)
    loss = feature_matching(opinions(real), opinions(fake))
    assert float(loss.detach()) == pytest.approx(1.5)  # layers at distance 1 and 2
    loss.backward()
    assert real.grad is None
    assert fake.grad is not None


def test_a_critic_learns_to_tell_two_kinds_of_pictures_apart() -> None:
    torch.manual_seed(0)
    critic = DoubleScaleCritic(8, full_halvings=3)
    optimiser = torch.optim.Adam(critic.parameters(), 2e-3)
    for _ in range(12):
        real, fake = torch.rand(4, 3, 48, 48), 0.5 + 0.1 * torch.rand(4, 3, 48, 48)
        loss = critic_loss("ragan-ls", critic(real, real), critic(fake, fake))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert float(loss.detach()) < 0.3  # 1 where it sees no difference
