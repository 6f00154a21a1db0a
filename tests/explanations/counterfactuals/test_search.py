"""Which units have to go: by hand, by trying all sets, by a loop written out."""

from itertools import combinations

import pytest
import torch
from torch import Tensor, nn
from voting import ALL_ON, voters

from captum_influence import Cut, counterfactual


def test_no_smaller_set_exists_where_contributions_add_up() -> None:
    """Of two classes whose scores are sums over units: as few as an exhaustive search finds."""
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        head = nn.Linear(7, 2, bias=False, dtype=torch.float64).requires_grad_(False)
        head.weight.copy_(torch.randn(2, 7, generator=generator, dtype=torch.float64))
        model = nn.Sequential(nn.ReLU(), head)
        x = torch.rand(1, 7, generator=generator, dtype=torch.float64)
        said = int(model(x).argmax())
        found = counterfactual(model, x, "0", true=1 - said, controls=0)
        sizes = [
            size
            for size in range(1, 8)
            for units in combinations(range(7), size)
            if int(model(x.index_fill(1, torch.tensor(units), 0)).argmax()) != said
        ]
        # Where it takes all but nothing to say, class 0 wins the tie.
        assert found.flipped == bool(sizes)
        assert not sizes or len(found.units) == min(sizes)


def test_a_superfluous_unit_is_left_out_again() -> None:
    """The third class has to lose too, by a unit that contributes little to the comparison."""
    weights = [[3.0, 1.2, 0.0], [0.0, 1.0, 2.0], [0.0, 3.5, 0.0]]
    head = nn.Linear(3, 3, bias=False, dtype=torch.float64)
    head.weight = nn.Parameter(torch.tensor(weights, dtype=torch.float64))
    model = nn.Sequential(nn.ReLU(), head)
    x = torch.ones(1, 3, dtype=torch.float64)  # scores 4.2, 3, 3.5
    found = counterfactual(model, x, "0", true=1, controls=0)
    # Without unit 0: 1.2, 3, 3.5; without 0 and 1: 0, 2, 0; without 1 alone: 3, 2, 0.
    assert {unit.index for unit in found.units} == {(0,), (1,)}
    assert found.flipped


def test_a_third_class_and_no_flip_are_called_so() -> None:
    head = nn.Linear(2, 3, bias=False, dtype=torch.float64)
    head.weight = nn.Parameter(torch.tensor([[3.0, 1.0], [0.0, 0.0], [2.0, 0.5]]).double())
    model = nn.Sequential(nn.ReLU(), head)
    x = torch.ones(1, 2, dtype=torch.float64)
    stays = counterfactual(model, x, "0", true=1, max_units=1, controls=4)
    assert (stays.outcome, stays.answer, len(stays.units)) == ("none", "class 0", 1)
    assert "still says class 0" in stays.headline
    head.weight.data[2, 1] = 2.0  # scores 4, 0, 4: tie to class 0
    head.weight.data[0, 1] = 1.5
    third = counterfactual(model, x, "0", true=1, max_units=1, controls=0)
    assert (third.outcome, third.answer) == ("other", "class 2")


def test_portions_change_nothing() -> None:
    whole = counterfactual(voters(), ALL_ON, "0", true=1)
    parts = counterfactual(voters(), ALL_ON, "0", true=1, internal_batch_size=1)
    assert parts.controls == whole.controls
    assert parts.margins == whole.margins


def masks(z: Tensor, along: int) -> Tensor:
    """Return a mask (units, ...) of activations (1, ...) for each place along a dimension."""
    places = torch.arange(z.shape[along]).reshape([-1] + [1] * (z.ndim - along - 1))
    return torch.stack([(places == one).expand(z.shape[1:]) for one in range(z.shape[along])])


def searched_by_hand(
    tail: nn.Module, z: Tensor, units: Tensor, goal: "Wanting", instead: Tensor, by="contribution"
) -> tuple[list[int], list[int]]:
    """Return which units the greedy search takes, and which are left after pruning.

    The network is cut in two: ``tail`` is what comes after the activations ``z``.
    """
    taken: list[int] = []
    while len(taken) < 16 and not goal.met(tail(without(z, units, taken, instead))[0]):
        here = without(z, units, taken, instead).requires_grad_()
        (slope,) = torch.autograd.grad(goal.against(tail(here)[0]), here)
        does = slope * (here - instead) if by == "contribution" else slope
        worth = torch.stack([does.detach()[0][unit].sum() for unit in units])
        worth[taken] = -torch.inf
        if float(worth.max()) <= 0:
            break
        taken.append(int(worth.argmax()))
    kept = list(taken)
    while goal.met(tail(without(z, units, kept, instead))[0]) and len(kept) > 1:
        fewer = [[u for u in kept if u != one] for one in kept]
        spare = [goal.spare(tail(without(z, units, some, instead))[0]) for some in fewer]
        if max(spare) <= 0:
            break
        kept = fewer[spare.index(max(spare))]
    return taken, kept


def without(z: Tensor, units: Tensor, gone: list[int], instead: Tensor) -> Tensor:
    left = z.clone()
    for unit in gone:
        left[0][units[unit]] = instead.expand_as(z)[0][units[unit]]
    return left


class Wanting:
    """A class that is wanted; None: any but the one that is said."""

    def __init__(self, said: int, wanted: int | None) -> None:
        self.said, self.wanted = said, wanted

    def spare(self, scores: Tensor) -> float:
        own = self.said if self.wanted is None else self.wanted
        rest = torch.cat([scores[:own], scores[own + 1 :]])
        lead = float((scores[own] - rest.max()).detach())
        return -lead if self.wanted is None else lead

    def met(self, scores: Tensor) -> bool:
        return self.spare(scores) > 0

    def against(self, scores: Tensor) -> Tensor:
        chances = scores if abs(float(scores.detach().sum()) - 1) < 1e-9 else scores.softmax(0)
        if self.wanted is None:
            return (chances[self.said] / (1 - chances[self.said])).log()
        return -chances[self.wanted].log()


def eyed(seed: int, softmax: bool = False) -> tuple[nn.Sequential, Tensor]:
    torch.manual_seed(seed)
    tail = [nn.Conv2d(9, 6, 2), nn.Tanh(), nn.Flatten(), nn.Linear(24, 5)]
    last = [nn.Softmax(dim=1)] if softmax else []
    model = nn.Sequential(nn.Conv2d(3, 9, 3), nn.ReLU(), *tail, *last).double()
    return model, 2 * torch.randn(8, 3, 5, 5).double()


@pytest.mark.parametrize("until", ["right", "changed"])
@pytest.mark.parametrize("replace", ["zero", "mean"])
@pytest.mark.parametrize("seed", range(4))
def test_the_search_is_that_of_a_loop_written_out(until: str, replace: str, seed: int) -> None:
    model, inputs = eyed(seed)
    x, others = inputs[:1], inputs[1:]
    loader = [(others, torch.zeros(7, dtype=torch.long))]
    said, true = model(x)[0].argsort(descending=True)[:2].tolist()
    mean = model[:2](others).detach().mean(0)
    instead = mean if replace == "mean" else torch.zeros(()).double()
    goal, z = Wanting(said, true if until == "right" else None), model[:2](x).detach()
    taken, kept = searched_by_hand(model[2:], z, masks(z, 1), goal, instead)
    asked = {"until": until, "replace": replace, "loader": loader, "controls": 2}
    found = counterfactual(model, x, "1", true=true, **asked)
    assert found.tried == len(taken)
    assert [unit.index[0] for unit in found.units] == kept
    assert found.reached == goal.met(model[2:](without(z, masks(z, 1), kept, instead))[0])
    whole = counterfactual(model, x[0], "1", true=true, internal_batch_size=1, **asked)
    assert whole.units == found.units


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("layer", "at", "options", "along"),
    [
        (Cut("1", "input"), 1, {}, 1),
        (Cut("2", "input"), 2, {}, 1),
        ("3", 4, {"axis": 2}, 2),
        ("5", 6, {"axis": "neuron"}, 1),
        ("1", 2, {"by": "influence"}, 1),
    ],
    ids=["before the ReLU", "what a module reads", "rows", "after flattening", "by influence"],
)
def test_other_places_and_units_are_searched_alike(
    seed: int, layer: Cut | str, at: int, options: dict, along: int
) -> None:
    model, inputs = eyed(seed + 20, softmax=True)  # that answers with probabilities already
    x, zero = inputs[:1], torch.zeros(()).double()
    said, _, true = model(x)[0].argsort(descending=True)[:3].tolist()
    z, goal = model[:at](x).detach(), Wanting(said, true)
    by = options.get("by", "contribution")
    taken, kept = searched_by_hand(model[at:], z, masks(z, along), goal, zero, by)
    found = counterfactual(model, x, layer, true=true, controls=0, **options)
    assert found.tried == len(taken)
    assert [unit.index[0] for unit in found.units] == kept
    assert found.flipped == goal.met(model[at:](without(z, masks(z, along), kept, zero))[0])


def test_positions_are_removed_with_all_of_their_channels() -> None:
    model, inputs = eyed(30)
    x, zero = inputs[:1], torch.zeros(()).double()
    said, true = model(x)[0].argsort(descending=True)[:2].tolist()
    z, goal = model[:2](x).detach(), Wanting(said, true)
    grid = torch.eye(9).bool().reshape(9, 1, 3, 3).expand(9, 9, 3, 3)
    _, kept = searched_by_hand(model[2:], z, grid, goal, zero)
    found = counterfactual(model, x, "1", true=true, axis="position", controls=0)
    assert [3 * unit.index[0] + unit.index[1] for unit in found.units] == kept


@pytest.mark.parametrize("seed", range(4))
def test_wrong_classes_are_searched_for_in_the_same_way(seed: int) -> None:
    model, inputs = eyed(seed + 10)
    x, zero = inputs[:1], torch.zeros(()).double()
    order = model(x)[0].argsort(descending=True).tolist()
    found = counterfactual(model, x, "1", true=order[2], controls=0)
    by_which = {one.which: one for one in found.wrong}
    assert by_which["above"].name == f"class {order[1]}"
    assert by_which["below"].name == f"class {order[3]}"
    assert by_which["random"].name == f"class {order[4]}"  # the only one left
    z = model[:2](x).detach()
    units = masks(z, 1)
    for one in found.wrong:
        goal = Wanting(order[0], int(one.name.split()[1]))
        taken, kept = searched_by_hand(model[2:], z, units, goal, zero)
        assert (one.tried, one.units) == (len(taken), len(kept))
        assert one.reached == goal.met(model[2:](without(z, units, kept, zero))[0])
        assert one.rank == order.index(goal.wanted) + 1
