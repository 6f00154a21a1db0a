"""What label errors say: ranks by hand, the headline, the table."""

import pytest
import torch

from captum_influence import LabelErrors
from captum_influence.reports.asked import Asked
from captum_influence.training import find_label_errors


def _errors() -> LabelErrors:
    return LabelErrors(
        asked=Asked.of(find_label_errors, {"influence": None, "layer": None, "neighbours": 2,
                                           "class_names": None, "show_progress": False}),
        labels=torch.tensor([0, 1, 1, 0]),
        suggested=torch.tensor([0, 0, 1, 1]),
        loss=torch.tensor([0.1, 3.0, 0.2, 2.0]),
        disagreement=torch.tensor([0.0, 1.0, 0.5, 0.5]),
        self_influence=torch.tensor([0.0, 0.3, 0.1, 0.2]),
        class_names={0: "cat", 1: "dog"},
    )  # fmt: skip


def test_the_score_is_the_mean_of_two_ranks() -> None:
    # By loss: 0, 3, 1, 2 of 3; by disagreement: 0, 3, and twice 1.5 of 3.
    wanted = torch.tensor([0, 6, 2.5, 3.5]) / 6
    torch.testing.assert_close(_errors().score, wanted)
    assert _errors().ranking.tolist() == [1, 3, 2, 0]


def test_the_headline_names_the_first() -> None:
    assert _errors().headline.replace("\N{NO-BREAK SPACE}", " ") == (
        "Of 4 training examples, the label of number 1, dog, looks most like an error: the loss "
        "on it is 3.00, and 100 % of its neighbours have another label, most often cat."
    )


def test_the_table_begins_with_the_most_suspicious() -> None:
    pytest.importorskip("pandas")
    table = _errors().to_frame()
    assert table.example.tolist() == [1, 3, 2, 0]
    assert table.label.tolist() == ["dog", "cat", "dog", "cat"]
    assert table.suggested.tolist() == ["cat", "dog", "dog", "cat"]
    assert _errors().to_dict()["suspicious"][0]["label"] == "dog"
