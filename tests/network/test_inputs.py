"""The network inside its wrappers, and one input with or without the batch dimension."""

import pytest
import torch
from torch import Tensor, nn

from captum_influence.network.inputs import (
    behind_embedding,
    examples_of,
    network_of,
    one_input,
    takes_prompts,
    taking_prompts,
)
from captum_influence.testing.state import preserved, unchanged


def test_the_network_is_found_inside_its_wrappers(model) -> None:
    compiled = torch.compile(model, backend="eager")
    for wrapped in (model, nn.DataParallel(model), compiled, nn.DataParallel(compiled)):
        assert network_of(wrapped) is model


@pytest.mark.parametrize("value", [lambda x: x, "resnet18", None])
def test_what_is_no_network_is_refused(value) -> None:
    with pytest.raises(TypeError, match=f"a torch.nn.Module, got {type(value).__name__}"):
        network_of(value)


def test_a_picture_may_lack_the_batch_dimension(model, image) -> None:
    assert torch.equal(one_input(model, image), image[None])
    assert torch.equal(one_input(model, image[None]), image[None])


def test_examples_come_first_also_of_one_picture(model, image) -> None:
    assert torch.equal(examples_of(model, image), image[None])
    assert torch.equal(examples_of(model, image[None]), image[None])
    series = nn.Sequential(nn.Linear(4, 3), nn.Flatten(), nn.Linear(15, 2))
    batch = torch.rand(6, 5, 4)
    assert torch.equal(examples_of(series, batch), batch)


def test_one_picture_of_one_colour_is_no_batch_of_series() -> None:
    tokens = nn.Sequential(nn.Conv2d(1, 4, 2, 2), nn.Flatten(2), nn.Flatten(), nn.Linear(64, 3))
    picture = torch.rand(1, 8, 8)
    assert torch.equal(examples_of(tokens, picture), picture[None])


def test_a_row_of_features_may_lack_it(model) -> None:
    row = torch.rand(5)
    assert torch.equal(one_input(model, row), row[None])
    assert torch.equal(one_input(model, row[None]), row[None])


def test_the_network_tells_a_grey_picture_from_a_series() -> None:
    both = torch.rand(1, 6, 8)
    pictures = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten())
    series = nn.Sequential(nn.Conv1d(6, 2, 3), nn.Flatten(), nn.Linear(12, 2))
    assert one_input(pictures, both).shape == (1, 1, 6, 8)
    assert one_input(series, both).shape == (1, 6, 8)


class Words(nn.Module):
    """Takes any number of dimensions, but is made for (examples, words, features)."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(8, 2)

    def forward(self, words: Tensor) -> Tensor:
        return self.head(words).mean(dim=1)


def test_where_it_takes_both_it_is_what_gives_one_row_of_scores() -> None:
    both = torch.rand(1, 6, 8)
    assert one_input(Words(), both).shape == (1, 6, 8)
    pooled = nn.Sequential(nn.Conv2d(1, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    assert one_input(pooled, both).shape == (1, 1, 6, 8)  # takes (1, 6, 8) for a picture, too


def test_what_the_network_does_not_take_either_way_stays_as_it_is() -> None:
    assert one_input(nn.Conv1d(5, 2, 3), torch.rand(1, 6, 8)).shape == (1, 6, 8)


class Counting(nn.Module):
    """Counts in a buffer how often it ran, and drops at random: neither may be seen."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        x.add_(1.0)
        return self.head(x).mean(dim=tuple(range(1, x.ndim - 1)))


def test_asking_the_network_leaves_it_and_the_input_as_they_were() -> None:
    model, series = Counting(), torch.rand(1, 6, 8)
    before = series.clone()
    with unchanged(model), preserved(check="one_input"):
        one_input(model, series)
    assert torch.equal(series, before)


def test_it_has_no_history(model, image) -> None:
    given = (image * 1).requires_grad_()
    assert not one_input(model, given * 2).requires_grad


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (torch.zeros(3, 8, 8).byte(), TypeError, "torch.uint8: preprocess it first"),
        (torch.zeros(3, 8, 8).numpy(), TypeError, r"torch.from_numpy\(array\).float\(\)"),
        (torch.zeros(8, 8), ValueError, r"got \(8, 8\): image\[None\] is a picture of one channel"),
        ([1.0, 2.0], TypeError, "got list"),
        (torch.zeros(2, 3, 8, 8), ValueError, r"a batch of 2: pass image\[i\]"),
        (torch.zeros(2, 5), ValueError, r"an image of shape .*, got \(2, 5\)"),
        (torch.zeros(3, 0, 8), ValueError, r"got \(3, 0, 8\)"),
        (torch.zeros(()), ValueError, r"got \(\)"),
        (torch.full((3, 8, 8), torch.inf), ValueError, "NaN or infinite pixels"),
    ],
)
def test_what_is_not_one_input_is_refused(model, value, error, message) -> None:
    with pytest.raises(error, match=message):
        one_input(model, value)


def test_behind_its_embedding_a_network_says_the_same() -> None:
    embedding = nn.Embedding(5, 4)
    network = nn.Sequential(embedding, nn.Flatten(), nn.Linear(12, 2))
    ids = torch.tensor([[1, 2, 3]])
    behind = behind_embedding(network, "0", ids)
    with preserved(network):
        embedded = embedding(ids).expand(2, -1, -1)
        torch.testing.assert_close(behind(embedded), network(ids).expand(2, -1))
    assert [name for name, _ in behind.named_modules()][1:] == ["0", "1", "2"]
    assert network[0] is embedding


class Scorer(nn.Module):
    """Scores tokens at each position, by those that its mask leaves."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.kinds = nn.Embedding(9, 4), nn.Embedding(2, 4)

    def forward(self, ids: Tensor, attention_mask: Tensor, kinds: Tensor) -> dict[str, Tensor]:
        hidden = self.words(ids) + self.kinds(kinds)
        return {"logits": hidden * attention_mask[..., None]}


def test_prompts_go_in_as_one_tensor() -> None:
    network = Scorer()
    ids, kinds = torch.tensor([[3, 1, 4], [1, 5, 2]]), torch.tensor([[0, 0, 1], [0, 1, 1]])
    packed = torch.stack([ids, kinds], dim=1)
    whole = network(ids, torch.ones_like(ids), kinds)["logits"]
    taking = taking_prompts(network, ["ids", "kinds"], masked=True)
    assert torch.equal(taking(packed)["logits"], whole)
    last = taking_prompts(network, ["ids", "kinds"], masked=True, last=True)
    assert torch.equal(last(packed), whole[:, -1])
    assert takes_prompts(last)
    assert not takes_prompts(network)
    assert type(last).__name__ == "Scorer"
    assert last.get_submodule("words") is network.words
