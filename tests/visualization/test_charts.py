import numpy as np
import pytest
import torch

from captum_influence import visualization
from captum_influence.visualization import charts

NAN = float("nan")


def drawn(figure) -> bool:
    return visualization.png(figure, dpi=40).startswith(b"\x89PNG")


@pytest.mark.parametrize("ks", [(1,), (1, 2, 3), (5, 7, 120)])
def test_curves_for_few_and_many_units(ks: tuple[int, ...]) -> None:
    values = {name: [0.5] * len(ks) for name in ("influence", "random", *map(str, range(9)))}
    figure = charts.curve_panels(ks, {"recall": values, "f1": values}, {"f1": 0.9}, title="$ _ ^")
    assert len(figure.axes) == 2
    assert drawn(figure)


def test_random_rankings_are_grey_and_all_lines_are_told_apart() -> None:
    values = {name: [0.1, 0.2] for name in ("a", "b", "c", "random")}
    lines = charts.curve_panels((1, 2), {"f1": values}, {}).axes[0].get_lines()
    assert len({(line.get_color(), line.get_marker()) for line in lines}) == 4
    assert {line.get_label(): line.get_color() for line in lines}["random"] == "#8a8f98"


def test_nothing_to_compare() -> None:
    assert drawn(charts.curve_panels((1,), {}, {}))


@pytest.mark.parametrize("picture", [None, torch.rand(3, 1, 1), torch.full((3, 4, 4), NAN)])
@pytest.mark.parametrize(
    ("names", "values", "margins", "controls"),
    [
        ((), (), (1.0,), ()),
        (("channel 1",), (2.0,), (1.0, -1.0), (0.5, 0.4)),
        (("channel 1", "channel 2"), (NAN, -1.0), (1.0, NAN, 0.0), (NAN,)),
    ],
)
def test_flips_of_all_sizes(picture, names, values, margins, controls) -> None:
    flip = charts.Flip(names, values, margins, np.asarray(controls), "score(a) − score(b)")
    figure = charts.flip_figure(picture, flip, title="a title")
    assert len(figure.axes) == (2 if picture is None else 3)
    assert drawn(figure)
    assert drawn(charts.margin_figure(flip))


def test_a_flip_says_what_its_bars_measure_and_where_its_margin_goes() -> None:
    controls = np.asarray([0.5, 0.25])
    flip = charts.Flip(("a",), (2.0,), (1.0, -1.0), controls, "q", measure="influence")
    bars, margins = charts.flip_figure(None, flip).axes
    assert bars.get_xlabel() == "influence"
    random, own, zero = margins.lines
    assert sorted(random.get_ydata().tolist()) == [0.25, 0.5]
    assert list(own.get_ydata()) == [1.0, -1.0]
    assert set(zero.get_ydata()) == {0}


@pytest.mark.parametrize("history", [(), (1.0,), (1.0, NAN, 3.0)])
def test_prototypes_of_any_history(history) -> None:
    assert drawn(charts.prototype_figure(torch.rand(3, 5, 5), history))
