"""What the network answers with other activations, beside networks run by hand."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from captum_influence import Cut
from captum_influence.network.substitution import class_scores, reruns
from captum_influence.testing.state import unchanged

IMAGES = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0)).double()


def rest(model: nn.Module, activations: torch.Tensor) -> torch.Tensor:
    return model.head(torch.relu(activations).flatten(1)).detach()


def test_each_row_goes_on_with_its_own_activations(model) -> None:
    with unchanged(model), reruns(model, Cut("eyes"), IMAGES) as runs:
        torch.testing.assert_close(runs.scores, model(IMAGES).detach())
        torch.testing.assert_close(runs.activations, model.eyes(IMAGES).detach())
        changed = runs.activations.flip(0) * 2
        torch.testing.assert_close(runs.answer(changed), rest(model, changed))


def test_rows_may_belong_to_any_example() -> None:
    """Beside the cut the example itself goes on: a skip connection tells them apart."""

    class Skip(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(4, 4)

        def forward(self, x):
            return x + self.inner(x)

    torch.manual_seed(0)
    model, rows = Skip(), torch.tensor([2, 0, 2])
    x = torch.rand(3, 4)
    with reruns(model, Cut("inner"), x) as runs:
        changed = torch.rand(3, 4)
        torch.testing.assert_close(runs.answer(changed, rows), x[rows] + changed)


def test_any_output_may_be_rerun_but_only_scores_are_answers() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Unflatten(1, (2, 2)))
    x = torch.rand(2, 4)
    with reruns(model, Cut("0"), x) as runs:
        assert runs.rerun(torch.zeros(2, 4)).shape == (2, 2, 2)
        with pytest.raises(TypeError, match=r"scores \(examples, classes\), got \(2, 2, 2\)"):
            runs.answer(torch.zeros(2, 4))


def test_scores_are_one_per_class() -> None:
    scores = torch.rand(2, 3)
    assert class_scores(scores) is scores
    assert class_scores(SimpleNamespace(logits=scores)) is scores
    assert class_scores({"scores": scores, "loss": torch.tensor(0.5)}) is scores
    for other, words in (
        (torch.rand(2, 1), r"got \(2, 1\): turn what it returns into scores with output="),
        ({"a": 1}, "returned a dict with {'a': 'int'}"),
        ({"a": scores, "b": -scores}, "say which is meant with output='a'"),
    ):
        with pytest.raises(TypeError, match=words):
            class_scores(other)
