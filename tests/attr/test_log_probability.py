"""Log probabilities, and the divergence of an answer from another, by their definitions."""

import pytest
import torch
from tokenised import Words

from captum_influence.attr.distributions import Point
from captum_influence.attr.influence import DistributionalInfluence
from captum_influence.attr.inputs import Inputs
from captum_influence.attr.log_probability import KLDivergence, LogProbability
from captum_influence.attr.paths import LinearPath
from captum_influence.attr.quantities import Quantity
from captum_influence.testing import check_quantity

SCORES = 3 * torch.cos(torch.arange(4 * 5 * 9, dtype=torch.float64)).reshape(4, 5, 9)
OTHERS = torch.sin(torch.arange(4 * 9, dtype=torch.float64)).reshape(4, 9)
MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [1, 1, 1, 1, 0], [1, 0, 0, 0, 0]])
ROWS, LAST = torch.arange(4), torch.tensor([4, 1, 3, 0])

CLASSES: dict[str, Quantity] = {
    "a class": LogProbability(3),
    "a class each": LogProbability([3, 1, 0, 8]),
    "divergence from itself": KLDivergence(),
    "divergence from one for all": KLDivergence(reference=OTHERS[:1]),
    "divergence from one each": KLDivergence(reference=OTHERS),
}
TOKENS: dict[str, Quantity] = {
    "a token": LogProbability(" Mary", at="last", tokenizer=Words()),
    "a token by the mask": LogProbability(3, at="last").seeing({"attention_mask": MASK}),
    "divergence by the mask": KLDivergence(at="last").seeing({"attention_mask": MASK}),
    "divergence at a place": KLDivergence(at=2, reference=OTHERS),
}


@pytest.mark.parametrize("quantity", CLASSES.values(), ids=CLASSES)
def test_contract_of_classes(quantity: Quantity) -> None:
    check_quantity(quantity, SCORES[:, 0])


@pytest.mark.parametrize("quantity", TOKENS.values(), ids=TOKENS)
def test_contract_of_tokens(quantity: Quantity) -> None:
    check_quantity(quantity, SCORES)


def test_log_probabilities() -> None:
    logs = SCORES.log_softmax(-1)
    assert torch.allclose(LogProbability(3)(SCORES[:, 0]), logs[:, 0, 3], atol=1e-15)
    each = LogProbability([3, 1, 0, 8])(SCORES[:, 0])
    assert torch.allclose(each, logs[ROWS, 0, torch.tensor([3, 1, 0, 8])], atol=1e-15)
    assert torch.allclose(TOKENS["a token"](SCORES), logs[:, -1, 2], atol=1e-15)
    assert torch.allclose(TOKENS["a token by the mask"](SCORES), logs[ROWS, LAST, 3], atol=1e-15)
    ready = SCORES[:, 0].softmax(-1)  # of a network that ends in a softmax
    assert torch.allclose(LogProbability(3)(ready), logs[:, 0, 3], atol=1e-12)


def test_divergence_is_that_of_torch() -> None:
    now, wanted = SCORES[:, 2].log_softmax(-1), OTHERS.log_softmax(-1)
    expected = torch.nn.functional.kl_div(now, wanted, reduction="none", log_target=True).sum(1)
    assert torch.allclose(TOKENS["divergence at a place"](SCORES), expected, atol=1e-14)
    resolved = KLDivergence(at=2).resolve(SCORES)
    assert torch.allclose(resolved(SCORES), torch.zeros(4).double(), atol=1e-14)
    assert resolved.examples == 4


def test_divergence_from_the_explained_input_along_a_path() -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 5))
    model, x, start = model.double(), torch.rand(2, 3).double(), torch.rand(2, 3).double()
    divergence = KLDivergence()
    at_itself = DistributionalInfluence(model, "0", distribution=Point(), quantity=divergence)
    assert torch.allclose(at_itself.attribute(x), torch.zeros(2, 4).double(), atol=1e-14)
    path = LinearPath(Inputs(start), n=200)
    along = DistributionalInfluence(
        model, "0", distribution=path, quantity=divergence, multiply_by_inputs=True
    )
    _, delta = along.attribute(x, return_convergence_delta=True)
    assert float(delta.abs().max()) < 1e-12  # the layer is linear in the input
    for row in range(2):
        one = LinearPath(Inputs(start[row : row + 1]), n=200)
        own = DistributionalInfluence(
            model, "0", distribution=one, quantity=divergence, multiply_by_inputs=True
        )
        assert torch.allclose(own.attribute(x[row : row + 1])[0], along.attribute(x)[row])


def test_of_one_class_there_is_nothing_to_say() -> None:
    for quantity in (LogProbability(0), KLDivergence()):
        with pytest.raises(ValueError, match="its probability is 1"):
            quantity(SCORES[:, 0, :1])


@pytest.mark.parametrize("reference", [OTHERS[0], 3.0, SCORES])
def test_a_reference_holds_scores_of_classes(reference: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"reference of shape \(examples, classes\)"):
        KLDivergence(reference=reference)


def test_in_words() -> None:
    assert LogProbability(1).in_words(["cat", "dog"]) == "log p(dog)"
    assert LogProbability(" Mary", at="last").in_words() == "log p(' Mary')"
    assert KLDivergence().in_words() == "KL divergence from its own answer"
    assert KLDivergence(2, OTHERS).in_words() == "KL divergence from another answer at 2"
