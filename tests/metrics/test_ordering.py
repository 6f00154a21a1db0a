import numpy as np
import pytest
import torch
from torch import nn

from captum_influence.demo import handwired_networks
from captum_influence.metrics import pixel_orderings, unit_orderings

NETWORKS = handwired_networks()
SCORES = ("n_ord", "s_ord", "tpn", "tps")


class Weighted(nn.Module):
    """Class 0 scores the weighted sum of the pixels, class 1 the opposite."""

    def __init__(self, weights):
        super().__init__()
        self.weights = nn.Parameter(weights)

    def forward(self, images):
        score = (images * self.weights).sum((1, 2, 3))
        return torch.stack([score, -score], 1)


def scores(found, example=0):
    return [getattr(found, name)[example].item() for name in SCORES]


def of_units(name, attributions, **settings):
    wired = NETWORKS[name]
    return unit_orderings(wired.model, wired.inputs, "units", 0, attributions, **settings)


def test_a_linear_network_is_proportional_to_contributions():
    weights = torch.tensor([[[4.0, 3.0], [2.0, 1.0]]], dtype=torch.float64)
    inputs = torch.ones(1, 1, 2, 2, dtype=torch.float64)
    found = pixel_orderings(Weighted(weights), inputs, weights, 0, replace=0.0, steps=None)
    left, held = [1, 0.6, 0.3, 0.1, 0], [0, 0.4, 0.7, 0.9, 1]
    assert scores(found) == pytest.approx([np.mean(left), np.mean(held), 0, 0], abs=1e-12)
    assert found.span.tolist() == [10]
    assert found.removed["strongest first"][0].tolist() == pytest.approx(left)
    assert found.kept["weakest first"][0].tolist() == pytest.approx([0, 0.1, 0.3, 0.6, 1])


@pytest.mark.parametrize("count", [1, 4, 9])
def test_equal_features_have_one_half_whatever_their_number(count):
    weights = torch.ones(1, 1, count, dtype=torch.float64)
    images = weights[None]
    found = pixel_orderings(Weighted(weights), images, weights, 0, replace=0.0, steps=50)
    assert scores(found) == pytest.approx([0.5, 0.5, 0, 0], abs=1e-12)


def test_redundant_units_are_sufficient_and_not_necessary():
    found = of_units("redundant_units", torch.ones(2))  # x = 2: q = min(z1 + z2, 1)
    assert scores(found) == pytest.approx([2 / 3, 2 / 3, 0, 0], abs=1e-12)


def test_a_gate_and_its_signal_are_necessary_and_not_sufficient():
    found = of_units("gated_unit", torch.ones(2))  # q = z1 z2
    assert scores(found) == pytest.approx([1 / 3, 1 / 3, 0, 0], abs=1e-12)


def test_the_right_order_out_of_proportion_shows_in_the_area_between_the_curves():
    exact = of_units("saturated_unit", NETWORKS["saturated_unit"].contribution)
    active = of_units("saturated_unit", NETWORKS["saturated_unit"].inputs)  # the activations
    # x = (4, 1): contributions (1, .5). By activation the shares are (.8, .2), so that the curves
    # go through (.8, 1/3) and (.2, 2/3) and are 1/6 apart between .2 and .8.
    assert scores(exact) == pytest.approx([4 / 9, 5 / 9, 0, 0], abs=1e-12)
    assert scores(active) == pytest.approx([4 / 9, 5 / 9, 2 / 15, 2 / 15], abs=1e-12)


def test_cancelling_units_fall_below_the_empty_input_and_are_clipped():
    found = of_units("cancelling_units", NETWORKS["cancelling_units"].contribution)
    # x = (2, 1): contributions (6, -6, 1), q = 1: v = 1, -5, -6 without, and 0, 6, 7 of them alone
    assert found.removed["strongest first"][0].tolist() == pytest.approx([1, -5, -6])
    assert found.kept["strongest first"][0].tolist() == pytest.approx([0, 6, 7])
    assert scores(found) == pytest.approx([1 / 3, 2 / 3, 0, 0], abs=1e-12)


def by_loop(answer, features, empty, attributions):
    """The four scores of one example, from the paper's words, one feature after the other."""
    positive = [int(j) for j in np.argsort(-attributions, kind="stable") if attributions[j] > 0]
    whole, none = answer(features), answer(empty)
    total = attributions[positive].sum()
    lines = {}
    for name, order in (("down", positive), ("up", positive[::-1])):
        share, left, held = [], [], []
        for m in range(len(order) + 1):
            without, alone = features.copy(), empty.copy()
            without[order[:m]], alone[order[:m]] = empty[order[:m]], features[order[:m]]
            share.append(attributions[order[:m]].sum() / total)
            left.append((answer(without) - none) / (whole - none))
            held.append((answer(alone) - none) / (whole - none))
        lines[name] = share, left, held
    fine = np.linspace(0, 1, 200_001)
    areas = [
        np.abs(
            np.interp(fine, lines["down"][0], lines["down"][i])
            - np.interp(fine, lines["up"][0], lines["up"][i])
        ).mean()
        for i in (1, 2)
    ]
    clipped = np.clip(lines["down"][1], 0, None), np.clip(lines["down"][2], 0, 1)
    return [clipped[0].mean(), clipped[1].mean(), *areas]


@pytest.mark.parametrize("rows", [1, 7, 64])
def test_scores_of_random_networks_equal_a_slow_loop(rows):
    generator = torch.Generator().manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 8), nn.Tanh(), nn.Linear(8, 2)).double()
    for parameter in model.parameters():
        parameter.data.normal_(generator=generator)
    inputs = torch.rand(6, 1, 3, 4, generator=generator, dtype=torch.float64)
    maps = torch.randn(6, 3, 4, generator=generator, dtype=torch.float64)
    fill = torch.full((1, 3, 4), 0.3, dtype=torch.float64)
    found = pixel_orderings(
        model, inputs, maps, 0, replace=fill, steps=None, internal_batch_size=rows
    )
    judged = 0
    for example in range(6):

        def answer(pixels):
            return model(torch.tensor(pixels).reshape(1, 1, 3, 4))[0, 0].item()

        features = inputs[example].flatten().numpy()
        if answer(features) <= answer(np.full(12, 0.3)):
            assert np.isnan(scores(found, example)).all()
            continue
        judged += 1
        expected = by_loop(answer, features, np.full(12, 0.3), maps[example].flatten().numpy())
        assert scores(found, example) == pytest.approx(expected, abs=1e-4)
    assert judged >= 2


def test_few_steps_are_spread_evenly_over_the_positive_features():
    weights = torch.arange(1.0, 9.0, dtype=torch.float64).reshape(1, 2, 4) - 2
    inputs = torch.ones(1, 1, 2, 4, dtype=torch.float64)
    found = pixel_orderings(Weighted(weights), inputs, weights, 0, replace=0.0, steps=3)
    assert found.counts.tolist() == [[0, 2, 4, 6]]
    assert found.shares["strongest first"][0].tolist() == pytest.approx([0, 11 / 21, 18 / 21, 1])


def test_squares_go_as_one():
    weights = torch.rand(1, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    inputs = torch.ones(1, 1, 4, 4, dtype=torch.float64)
    found = pixel_orderings(Weighted(weights), inputs, weights, 0, replace=0.0, steps=None, patch=2)
    assert found.counts.tolist() == [[0, 1, 2, 3, 4]]
    sums = nn.functional.avg_pool2d(weights, 2, divisor_override=1).flatten().sort().values
    held = torch.cat([torch.zeros(1, dtype=torch.float64), sums.flip(0).cumsum(0)]) / sums.sum()
    torch.testing.assert_close(found.kept["strongest first"][0], held)


def test_examples_with_different_numbers_of_features_go_together():
    wired = NETWORKS["linear_units"]
    values = torch.tensor([[2.0, 1.0, 3.0, 4.0], [1.0, -1.0, -1.0, -1.0]])
    together = unit_orderings(wired.model, wired.inputs, "units", 0, values)
    for example in range(2):
        inputs = wired.inputs[example : example + 1]
        alone = unit_orderings(wired.model, inputs, "units", 0, values[example])
        assert scores(together, example) == pytest.approx(scores(alone), nan_ok=True)


def test_nothing_to_explain_is_nan():
    wired = NETWORKS["linear_units"]
    opposite = unit_orderings(wired.model, wired.inputs[:1], "units", 1, torch.ones(4))
    assert np.isnan(scores(opposite)).all()  # class 1 scores less than an empty layer's 0
    negative = unit_orderings(wired.model, wired.inputs[:1], "units", 0, -torch.ones(4))
    assert np.isnan(scores(negative)).all()


def test_the_figure_has_a_line_for_each_order():
    found = of_units("saturated_unit", NETWORKS["saturated_unit"].inputs)
    labels = [line.get_label() for line in found.plot().axes[0].lines]
    orders = ("strongest first", "weakest first")
    assert labels == [f"{what}, {order}" for what in ("without", "alone") for order in orders]


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="expected attributions of shape"):
        of_units("linear_units", torch.ones(3))
    with pytest.raises(ValueError, match="positive number of steps, got 0"):
        of_units("linear_units", torch.ones(4), steps=0)
    model, images = Weighted(torch.ones(1, 2, 2)), torch.ones(1, 1, 2, 2)
    with pytest.raises(ValueError, match="positive numbers; got steps=0, patch=1"):
        pixel_orderings(model, images, images[:, 0], 0, steps=0)
