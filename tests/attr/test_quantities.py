"""One number per example: what each quantity returns, and that all keep the contract."""

import pickle
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from captum_influence import ClassScore, Function, Loss, PredictedClass, Quantity, Unit
from captum_influence.reports.asked import Asked, code_of
from captum_influence.testing import check_quantity

LABELS = torch.tensor([3, 1, 0, 9])
NUMBERS = torch.arange(4.0).double()
CHANNELS = torch.sin(torch.arange(4 * 3 * 2 * 2, dtype=torch.float64)).reshape(4, 3, 2, 2)
SCORES = torch.cos(torch.arange(40, dtype=torch.float64)).reshape(4, 10)


def _margin(output: Tensor) -> Tensor:
    best = output.topk(2, dim=1).values
    return best[:, 0] - best[:, 1]


def _from_dict(output: dict[str, Tensor]) -> Tensor:
    return output["scores"][:, 2] * output["scale"]


class Margin(Quantity):
    """A user's own."""

    def __call__(self, output: Any) -> Tensor:
        return _margin(output)


EXAMPLES = {
    "one class": (ClassScore(3), None),
    "a class from the end": (ClassScore(-1), None),
    "a one-element tensor": (ClassScore(torch.tensor([2])), None),
    "no target": (ClassScore(), CHANNELS[:, 0, 0, :1]),
    "a class each, list": (ClassScore(LABELS.tolist()), None),
    "a class each, tensor": (ClassScore(LABELS), None),
    "an entry": (ClassScore((2, 1, 0)), CHANNELS),
    "an entry each": (ClassScore([(2, 1, 0), (0, 0, 0), (1, 1, 1), (2, 0, 1)]), CHANNELS),
    "a column of single-entry maps": (ClassScore(1), CHANNELS[:, :, :1, :1]),
    "predicted class": (PredictedClass(), None),
    "a channel": (Unit(2), CHANNELS),
    "a channel's mean": (Unit(2, "mean"), CHANNELS),
    "a channel's maximum": (Unit(2, "max"), CHANNELS),
    "one unit": (Unit((2, 0, 1)), CHANNELS),
    "a block of units": (Unit((slice(1, 3), 0)), CHANNELS),
    "cross entropy": (Loss(nn.CrossEntropyLoss(reduction="none"), LABELS), None),
    "squared error": (Loss(nn.MSELoss(reduction="none"), SCORES), None),
    "a function": (Function(_margin), None),
    "a function of a dict": (
        Function(_from_dict),
        {"scores": SCORES, "scale": CHANNELS[:, 0, 0, 0]},
    ),
    "a user's own": (Margin(), None),
    "a comparison": (ClassScore(3) - ClassScore(5), None),
    "predicted against each label": (PredictedClass() - ClassScore(LABELS), None),
    "a mean of three": ((ClassScore(1) + ClassScore(5) + ClassScore(7)) / 3, None),
    "nested sums": (2 * (ClassScore(1) - 0.5 * (PredictedClass() + Margin())), None),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_contract(name: str) -> None:
    check_quantity(*EXAMPLES[name])


def _asking(model: Any, output: Any, *, quantity: Quantity) -> Asked:
    return Asked.of(_asking, locals())


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_printed_code_builds_the_same_again(name: str) -> None:
    quantity, output = EXAMPLES[name]
    asked = _asking(None, None, quantity=quantity)
    # What Python can't write is called by a name; here, a class without fields, and a module.
    own = Margin() if "Margin" in repr(quantity) else quantity
    known: dict[str, Any] = {"quantity": own, "loss_fn": getattr(quantity, "loss_fn", None)}
    known |= asked.tensors
    exec("\n".join(asked.imports), known)
    again = eval(asked.keywords["quantity"], known)
    assert type(again) is type(quantity)
    assert again.examples == quantity.examples
    output = SCORES if output is None else output
    values = [one.resolve(output).rows(torch.arange(4))(output) for one in (again, quantity)]
    assert torch.equal(*values)


@pytest.mark.parametrize(
    ("quantity", "code"),
    [
        (ClassScore(3) - 2 * ClassScore(5), "ClassScore(3) - 2 * ClassScore(5)"),
        (-ClassScore(3) / 3, "-0.3333333333333333 * ClassScore(3)"),
        (ClassScore(3) * 1, "1 * ClassScore(3)"),
        (-ClassScore(3), "-ClassScore(3)"),
    ],
)
def test_sums_are_printed_as_they_are_written(quantity: Quantity, code: str) -> None:
    assert code_of(quantity) == code
    assert [weight for weight, _ in eval(code).terms] == [weight for weight, _ in quantity.terms]


def test_targets_handed_out_to_rows_are_printed_as_targets() -> None:
    for quantity in (ClassScore(LABELS), ClassScore([(2,), (1,), (0,), (1,)])):
        for rows in (torch.tensor([3, 3, 0]), torch.tensor([2])):
            part = quantity.rows(rows)
            again = eval(code_of(part), {"ClassScore": ClassScore, "torch": torch})
            assert torch.equal(again(SCORES[rows]), part(SCORES[rows]))


def test_values() -> None:
    rows = torch.arange(4)
    assert torch.equal(ClassScore(3)(SCORES), SCORES[:, 3])
    assert torch.equal(ClassScore(LABELS).rows(rows)(SCORES), SCORES[rows, LABELS])
    assert torch.equal(ClassScore((2, 1, 0))(CHANNELS), CHANNELS[:, 2, 1, 0])
    assert torch.allclose(Unit(2)(CHANNELS), CHANNELS[:, 2].sum(dim=(1, 2)))
    assert torch.allclose(Unit(2, "mean")(CHANNELS), CHANNELS[:, 2].mean(dim=(1, 2)))
    assert torch.equal(Unit(2, "max")(CHANNELS), CHANNELS[:, 2].amax(dim=(1, 2)))
    squared = Loss(nn.MSELoss(reduction="none"), torch.zeros(4, 10).double())
    assert torch.allclose(squared(SCORES), (SCORES**2).sum(dim=1))
    column = Loss(nn.MSELoss(reduction="none"), NUMBERS[:, None])
    assert torch.equal(column(SCORES[:, :1]), (SCORES[:, 0] - NUMBERS) ** 2)


def test_the_comparative_quantity_is_the_difference() -> None:
    comparison = ClassScore(3) - ClassScore(5)
    assert torch.equal(comparison(SCORES), SCORES[:, 3] - SCORES[:, 5])


def test_predicted_class_stays_what_it_was_for_the_reference() -> None:
    fixed = PredictedClass().resolve(SCORES)
    assert torch.equal(fixed.rows(torch.arange(4))(-SCORES), -SCORES.amax(dim=1))
    assert not fixed.needs_reference
    assert (PredictedClass() - ClassScore(1)).needs_reference
    assert not (ClassScore(0) - ClassScore(1)).needs_reference


def test_repeated_and_reordered_rows() -> None:
    rows = torch.tensor([3, 3, 0])
    assert torch.equal(ClassScore(LABELS).rows(rows)(SCORES[rows]), SCORES[rows, LABELS[rows]])


def test_ensure_takes_targets_and_functions() -> None:
    assert torch.equal(Quantity.ensure(7)(SCORES), SCORES[:, 7])
    assert torch.equal(Quantity.ensure(_margin)(SCORES), _margin(SCORES))
    quantity = ClassScore(1)
    assert Quantity.ensure(quantity) is quantity


def test_sums_pickle() -> None:
    copy = pickle.loads(pickle.dumps(ClassScore(1) - 2 * ClassScore(LABELS)))
    assert torch.equal(copy(SCORES), SCORES[:, 1] - 2 * SCORES[torch.arange(4), LABELS])


@pytest.mark.parametrize(
    ("quantity", "output", "message"),
    [
        (ClassScore(10), SCORES, r"target 10 is out of range for outputs of shape \(10,\)"),
        (PredictedClass(), SCORES[:, 0], r"quantity=Function\(lambda output: output\)"),
        (ClassScore(-11), SCORES, "out of range"),
        (ClassScore([0, 1, 2, 10]), SCORES, "out of range"),
        (ClassScore(), SCORES, r"without a target.*one number per example.*\(4, 10\).*target="),
        (ClassScore(1), CHANNELS, r"needs a target of 3 indices.*got 1"),
        (ClassScore((1, 2)), SCORES, r"needs a target of 1 indices.*got 2"),
        (ClassScore([1, 2]), SCORES, "one target per example, got 2 for 4"),
        (PredictedClass(), CHANNELS, r"PredictedClass expects .*\(examples, classes\)"),
        (Unit(3), CHANNELS, r"unit 3 is not in a layer whose units have shape \(3, 2, 2\)"),
        (Unit((0, 0, 0, 0)), CHANNELS, "is not in a layer"),
        (Loss(nn.CrossEntropyLoss(), LABELS), SCORES, 'one per example.*reduction="none"'),
        (ClassScore([0, 1]) - ClassScore(LABELS), SCORES, r"one target per example|differ"),
        (
            Loss(nn.CrossEntropyLoss(reduction="none"), LABELS + 9),
            SCORES,
            "expected labels from 0 to 9",
        ),
        (
            Loss(lambda output, y: output.gather(1, y[:, None]), LABELS + 9),
            SCORES,
            "expected labels that the loss has an output for",
        ),
        (Loss(nn.MSELoss(reduction="none"), NUMBERS), SCORES[:, :1], "are broadcast"),
        (
            Loss(lambda output, y: (output - y) ** 2, NUMBERS),
            SCORES[:, :1],
            r"\(4, 1\) and labels of shape \(4,\), which are broadcast .* shape \(4, 4\)",
        ),
        (
            Loss(lambda output, y: ((output - y) ** 2).mean(1), NUMBERS),
            SCORES[:, :1],
            "not to depend on the others",
        ),
        (
            Loss(lambda output, y: (output - output.mean(0)).square().sum(1), LABELS),
            SCORES,
            "not to depend on the others",
        ),
    ],
)
def test_a_bad_value_says_what_was_expected(quantity: Any, output: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        quantity.resolve(output)(output)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("cat", "a target is an int.*got str"),
        (1.5, "a target is an int.*got float"),
        ([0, "cat"], "got str"),
        (torch.tensor([0.5, 1.5]), "must hold integers.*float32"),
        (torch.zeros(2, 2, dtype=torch.long), r"at most one dimension.*\(2, 2\)"),
    ],
)
def test_a_bad_target_is_refused(target: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        ClassScore(target)(SCORES)


def test_targets_of_unequal_length_are_refused() -> None:
    with pytest.raises(ValueError, match="of equal length"):
        ClassScore([(0, 1), (1,)])


def test_scores_are_found_in_structures_where_it_is_clear_which_are_meant() -> None:
    assert ClassScore(1)({"logits": SCORES}).tolist() == SCORES[:, 1].tolist()
    with pytest.raises(TypeError, match=r"ClassScore reads one tensor.*output='a'.*Cut\(model"):
        ClassScore(1)({"a": SCORES, "b": -SCORES})


@pytest.mark.parametrize("other", [3, SCORES, "q"])
def test_quantities_add_to_quantities_only(other: Any) -> None:
    with pytest.raises(TypeError, match="adds to a quantity"):
        ClassScore(1) + other
    with pytest.raises(TypeError, match="adds to a quantity"):
        ClassScore(1) - other


def test_quantities_scale_by_numbers_only() -> None:
    with pytest.raises(TypeError, match="scaled by a number, got ClassScore"):
        ClassScore(1) * ClassScore(2)


def test_terms_for_unequal_numbers_of_examples_are_refused() -> None:
    with pytest.raises(ValueError, match="expected one"):
        _ = (ClassScore([0, 1]) - ClassScore(LABELS)).examples


def test_unknown_reductions_and_labels_are_refused() -> None:
    with pytest.raises(ValueError, match='reduce="sum", "mean" or "max", got \'median\''):
        Unit(0, "median")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="labels as a tensor"):
        Loss(nn.MSELoss(), 3)  # type: ignore[arg-type]
