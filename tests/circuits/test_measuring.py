"""Scores of edges are exact where the network is linear, and slopes of what patching does."""

import attending
import torch
from torch import Tensor, nn

from captum_influence.attr.distributions import Point
from captum_influence.attr.inputs import Inputs
from captum_influence.attr.paths import LinearPath
from captum_influence.attr.quantities import Function
from captum_influence.attr.run import Run
from captum_influence.circuits.measuring import Measuring
from captum_influence.circuits.pairs import Pairs
from captum_influence.network.anatomy.split import Split

CLEAN = torch.tensor([[3, 1, 4, 1, 5], [2, 7, 1, 8, 2]])
OTHER = torch.tensor([[3, 9, 4, 9, 5], [2, 7, 0, 8, 6]])
LAST = Function(lambda scores: scores[:, -1, 7])


def measuring(model: nn.Module, rows: int | None = None) -> Measuring:
    return Measuring(
        Split.of(model, CLEAN), Pairs(CLEAN, OTHER), LAST, Run(internal_batch_size=rows)
    )


def exact(asked: Measuring) -> Tensor:
    """Return what the quantity loses as one edge carries the corrupted input, for every edge."""
    before = asked.split.before
    places = before.nonzero().tolist()
    circuits = []
    for reader, writer in places:
        circuits.append(before.clone())
        circuits[-1][reader, writer] = False
    found = asked.answers(circuits)
    effects = torch.zeros(before.shape, dtype=torch.float64)
    for (reader, writer), kept in zip(places, found.kept, strict=True):
        effects[reader, writer] = (found.clean - kept).mean()
    return effects


def test_an_edge_into_the_logits_of_a_network_without_a_last_norm_is_exact() -> None:
    asked = measuring(attending.reader())
    scores, effects = asked.edges(Point()), exact(asked)
    torch.testing.assert_close(scores[-1], effects[-1], rtol=0, atol=1e-12)
    lost = asked.answers([asked.split.before])
    change = lost.clean.mean() - lost.corrupted.mean()
    torch.testing.assert_close(scores[-1].sum(), change, rtol=0, atol=1e-12)


def test_estimates_go_with_effects_better_along_the_path() -> None:
    asked = measuring(attending.reader())
    before, effects = asked.split.before, exact(asked)
    agreement = []
    for over in (Point(), LinearPath(Inputs(OTHER), 5, rule="riemann_right")):
        scores = asked.edges(over)
        assert not bool(scores[~before].any())
        pair = torch.stack([scores[before], effects[before]])
        agreement.append(float(torch.corrcoef(pair)[0, 1]))
    assert agreement[1] > max(agreement[0], 0.95)


def test_a_few_pairs_at_a_time_are_all_of_them() -> None:
    model = attending.reader()
    whole, parts = measuring(model), measuring(model, rows=1)
    over = LinearPath(Inputs(OTHER), 3, rule="riemann_right")
    torch.testing.assert_close(whole.edges(over), parts.edges(over))
    circuits = [whole.split.before, torch.zeros_like(whole.split.before)]
    torch.testing.assert_close(whole.answers(circuits).kept, parts.answers(circuits).kept)


def test_all_edges_are_the_network_and_none_is_the_corrupted_input() -> None:
    model = attending.reader()
    asked = measuring(model)
    found = asked.answers([asked.split.before, torch.zeros_like(asked.split.before)])
    torch.testing.assert_close(found.clean, model(CLEAN)[:, -1, 7].detach())
    torch.testing.assert_close(found.corrupted, model(OTHER)[:, -1, 7].detach())
    torch.testing.assert_close(found.kept, torch.stack([found.clean, found.corrupted]))
    expected = torch.tensor([1.0, 0.0], dtype=torch.float64)
    torch.testing.assert_close(found.faithfulness, expected)
