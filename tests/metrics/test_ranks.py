import pytest
import torch

from captum_influence.metrics import spearman
from captum_influence.metrics.ranks import average_ranks

stats = pytest.importorskip("scipy.stats")


@pytest.mark.parametrize("values", [[3, 1, 2], [1, 1, 2, 2, 2, 0], [5, 5, 5], [-1, 0, -1, 7]])
def test_ranks_equal_scipy(values):
    expected = torch.tensor(stats.rankdata(values))
    assert torch.equal(average_ranks(torch.tensor(values)), expected)


def test_spearman_equals_scipy_with_ties():
    generator = torch.Generator().manual_seed(0)
    first, second = torch.randint(0, 4, (2, 5, 12), generator=generator).unbind(0)
    expected = [stats.spearmanr(a, b).statistic for a, b in zip(first, second, strict=True)]
    assert torch.allclose(spearman(first, second), torch.tensor(expected, dtype=torch.float64))


def test_no_order_is_nan_and_shapes_must_agree():
    assert spearman(torch.ones(4), torch.arange(4.0)).isnan()
    with pytest.raises(ValueError, match=r"one shape \(\.\.\., n\), got \(3,\) and \(4,\)"):
        spearman(torch.ones(3), torch.ones(4))
