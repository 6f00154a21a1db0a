"""Fitted directions, beside planted parts and the singular value decomposition."""

import sys

import pytest
import torch
from torch import Tensor, nn

from captum_influence import ClassScore, Cut, Dictionary, Run
from captum_influence.demo import PhraseTokenizer, load_phrase_network

pytest.importorskip("sklearn.decomposition")

PARTS = torch.tensor([[2.0, 0.0, 1.0, 0.0], [0.0, 3.0, 0.0, 1.0]]).double()


class Planted(nn.Module):
    """A layer whose activations are made of two parts that add up, and a head that adds these."""

    def __init__(self) -> None:
        super().__init__()
        self.mix, self.layer, self.head = nn.Conv2d(2, 4, 1, bias=False), nn.ReLU(), nn.Linear(4, 1)
        self.double()
        with torch.no_grad():
            self.mix.weight.copy_(PARTS.T[:, :, None, None])
            self.head.weight.copy_(torch.tensor([[1.0, -1.0, 1.0, -1.0]]))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layer(self.mix(x)).mean((2, 3)))


@pytest.fixture
def images() -> Tensor:
    drawn = torch.rand(12, 2, 5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return drawn * (drawn > 0.4)  # each part is by itself somewhere, so they can be told apart


def test_planted_parts_are_found(images) -> None:
    found = Dictionary.fit(Planted(), "layer", images.split(4), 2)
    unit = PARTS / PARTS.norm(dim=1, keepdim=True)
    alike = found.directions.vectors @ unit.T
    torch.testing.assert_close(alike.max(dim=1).values, torch.ones(2).double(), rtol=0, atol=1e-3)
    assert found.directions.nonnegative
    assert found.channel(4) == 1
    assert "2 concepts, a non-negative factorisation" in found.about
    assert "300 places of 12 inputs" in found.about
    assert "hold over 99\u00a0% of the squares" in found.about


def test_principal_axes_are_those_of_the_decomposition(images) -> None:
    found = Dictionary.fit(Planted(), "mix", [images], 1, method="pca").directions
    rows = Planted().mix(images).movedim(1, -1).reshape(-1, 4).detach()
    axes = torch.linalg.svd(rows - rows.mean(0), full_matrices=False).Vh
    torch.testing.assert_close(found.offset, rows.mean(0))
    torch.testing.assert_close((found.vectors @ axes[0]).abs(), torch.ones(1).double())


def test_with_a_quantity_only_what_raises_it_is_factorised(images) -> None:
    """The head takes channels 1 and 3 off, so that the second part raises nothing."""
    found = Dictionary.fit(Planted(), "layer", [images], 1, quantity=ClassScore(0))
    expected = torch.tensor([[2.0, 0.0, 1.0, 0.0]]).double() / 5**0.5
    torch.testing.assert_close(found.directions.vectors, expected, rtol=0, atol=1e-6)
    assert "what raises score(class 0)" in found.about


def test_the_sample_is_the_same_in_batches_of_any_size(images) -> None:
    one, other = (
        Dictionary.fit(Planted(), "layer", images.split(size), 2, samples=40) for size in (3, 12)
    )
    assert torch.equal(one.directions.vectors, other.directions.vectors)
    assert "40 places" in one.about
    drawn = Dictionary.fit(Planted(), "layer", [images], 2, samples=40, run=Run(seed=1))
    assert not torch.equal(one.directions.vectors, drawn.directions.vectors)


def test_a_layer_says_where_its_channels_are() -> None:
    network = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    assert Dictionary.fit(network, "1", [torch.rand(5, 6, 7, 3)], 2).axis == 3


@pytest.mark.parametrize(
    ("layer", "given", "said"),
    [
        ("mix", {"k": 2}, 'method="pca"'),
        ("layer", {"k": 5}, "k of at most 4"),
        ("layer", {"k": 0}, "positive"),
        ("layer", {"k": 4}, "lower k"),
        ("layer", {"k": 2, "method": "svd"}, 'method="nmf"'),
        ("layer", {"k": 2, "method": "pca", "quantity": ClassScore(0)}, "leave one out"),
        (Cut("layer", basis=Dictionary.of(PARTS)), {"k": 2}, "leave basis= out"),
    ],
)
def test_what_cannot_be_fitted_is_refused_with_a_cure(images, layer, given, said) -> None:
    network, inputs = Planted(), images
    if layer == "mix":
        inputs = -images
    if given["k"] == 4:
        inputs = images * 0
    with pytest.raises(ValueError, match=said):
        Dictionary.fit(network, layer, [inputs], **given)


def test_without_scikit_learn_it_says_what_to_install(images, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.decomposition", None)
    with pytest.raises(ImportError, match=r"captum_influence\[concepts\]"):
        Dictionary.fit(Planted(), "layer", [images], 2)


def test_prompts_are_sampled_at_their_tokens() -> None:
    tokenizer, network = PhraseTokenizer(), load_phrase_network()
    texts = ["Anna Ben Clara Anna", "Mary John Mary", "Ida Ben David Clara Ida"]
    longest = max(len(text.split()) for text in texts) + 1
    rows = [tokenizer(text)["input_ids"] for text in texts]
    ids = torch.tensor([row + [9] * (longest - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
    padded = [{"input_ids": ids, "attention_mask": mask}]
    alone = [torch.tensor([row]) for row in rows]
    layer = "blocks.1.mlp.1"
    found = [Dictionary.fit(network, layer, data, 2, method="pca") for data in (padded, alone)]
    for dictionary in found:
        assert f"at {mask.sum()} places of 3 inputs" in dictionary.about
    tokens = torch.rand(4, 3, 64)
    torch.testing.assert_close(*(one.encode(tokens).abs() for one in found), rtol=0, atol=1e-4)
