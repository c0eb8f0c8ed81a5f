from __future__ import annotations

import numpy as np
import pytest
import torch

from deeprubin_spark.models.adaptation import WIDTHS, DomainJudge, coral, covariance, mmd, ramp, reversed_gradient

DISTANCES = {"coral": coral, "mmd": mmd}


def sample(n: int, seed: int, shift: float = 0.0, scale: float = 1.0) -> torch.Tensor:
    return shift + scale * torch.randn(n, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("name", DISTANCES)
def test_a_distance_is_zero_between_equal_samples_and_grows_with_their_difference(name):
    distance, x = DISTANCES[name], sample(40, 1)
    assert abs(float(distance(x, x.flip(0)))) < 1e-12
    near, far = (float(distance(x, sample(60, 2, scale=scale))) for scale in (1.1, 3.0))
    assert 0.0 < near < far


def test_coral_is_the_formula_by_numpy():
    x, y = sample(30, 3), sample(50, 4, scale=2.0)
    difference = np.cov(x.numpy(), rowvar=False) - np.cov(y.numpy(), rowvar=False)
    assert float(coral(x, y)) == pytest.approx(np.linalg.norm(difference, "fro") ** 2 / (4 * 5**2), rel=1e-12)
    assert not covariance(x[:1]).any()


def test_mmd_is_the_formula_object_by_object():
    x, y = sample(7, 5).numpy(), sample(9, 6, shift=1.0).numpy()
    both = np.concatenate([x, y])
    typical = np.mean([((a - b) ** 2).sum() for a in both for b in both])

    def mean_kernel(first, second):
        return np.mean([np.mean([np.exp(-((a - b) ** 2).sum() / (w * typical)) for w in WIDTHS]) for a in first for b in second])

    expected = mean_kernel(x, x) + mean_kernel(y, y) - 2.0 * mean_kernel(x, y)
    assert float(mmd(torch.from_numpy(x), torch.from_numpy(y))) == pytest.approx(expected, rel=1e-10)


def test_a_shifted_mean_is_seen_by_mmd_and_not_by_coral():
    x = sample(200, 7)
    assert float(coral(x, x + 3.0)) < 1e-12 < 0.1 < float(mmd(x, x + 3.0))


def test_a_reversed_gradient_has_the_other_sign_and_the_value_stays():
    x = torch.tensor([1.0, -2.0], requires_grad=True)
    made = reversed_gradient(x, 0.25)
    assert torch.equal(made, x)
    (made * torch.tensor([4.0, 8.0])).sum().backward()
    torch.testing.assert_close(x.grad, torch.tensor([-1.0, -2.0]))


def test_the_judge_learns_to_tell_domains_apart_while_its_gradient_makes_them_alike():
    torch.manual_seed(0)
    judge, x, y = DomainJudge(5), sample(64, 8).float(), sample(64, 9, shift=2.0).float().requires_grad_()
    optimizer = torch.optim.Adam(judge.parameters(), lr=1e-2)
    first = float(judge(x, y, 1.0).detach())
    for _ in range(100):
        optimizer.zero_grad()
        judge(x, y, 1.0).backward()
        optimizer.step()
    y.grad = None
    judge(x, y, 1.0).backward()
    last = float(judge(x, y, 1.0).detach())
    moved = (y - 5.0 * len(y) * y.grad).detach()
    assert last < 0.3 < first
    assert float(judge(x, moved, 0.0).detach()) > last, "a step along the reversed gradient makes the domains harder to tell apart"


def test_alike_hidden_values_close_a_gap_that_a_moved_feature_made():
    """Feature 0 tells the classes apart but is moved in the target; feature 1 tells them apart less well, and is not moved."""
    generator = torch.Generator().manual_seed(1)
    label = torch.arange(200) % 2
    clean = torch.stack([4.0 * label - 2.0, 2.5 * label - 1.25], dim=1)
    source, target = (clean + torch.randn(200, 2, generator=generator) for _ in range(2))
    target[:, 0] += 6.0
    right = {}
    for weight in (0.0, 3.0):
        torch.manual_seed(2)
        body, head = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
        optimizer = torch.optim.Adam([*body.parameters(), *head.parameters()], lr=0.05)
        for _ in range(150):
            hidden = body(source)
            loss = torch.nn.functional.cross_entropy(head(hidden), label) + weight * mmd(hidden, body(target))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        right[weight] = float((head(body(target)).argmax(dim=1) == label).float().mean())
    assert right[0.0] < 0.65 and right[3.0] > 0.8, right


def test_the_ramp_goes_from_zero_to_one():
    assert ramp(0.0) == 0.0 and ramp(1.0) == pytest.approx(1.0, abs=1e-4) and ramp(0.1) < ramp(0.2)
