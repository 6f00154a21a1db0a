"""Every metric's result keeps the contract of a finding, and says no more than was measured."""

import io
import math

import pytest
import torch
from matplotlib.colors import to_hex
from torch import nn

from captum_influence.demo import handwired_networks
from captum_influence.metrics import (
    ablate_units,
    ablation_curve,
    agreement,
    flip_pixels,
    localize,
    pixel_orderings,
    randomize,
    shattering,
    stability,
    unit_orderings,
    unit_selectivity,
)
from captum_influence.metrics.result import standard_error
from captum_influence.testing import check_finding
from captum_influence.visualization.style import DARK, LIGHT

WIRED = handwired_networks()["shortcut_unit"]
UNITS = (WIRED.model, WIRED.inputs, "units", 0)
ONWARD = {"model": WIRED.model, "inputs": WIRED.inputs}
IMAGES = torch.rand(2, 1, 6, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
MAPS = IMAGES[:, 0] - 0.5
NETWORK = nn.Sequential(nn.Flatten(), nn.Linear(36, 2)).double()
PICTURES = {"model": NETWORK, "inputs": IMAGES}
START, END = torch.zeros(1, 3), torch.ones(1, 3)


def gradient(model, inputs):
    inputs = inputs.clone().requires_grad_()
    return torch.autograd.grad(model(inputs)[:, 0].sum(), inputs)[0]


def shaken(seed):
    return MAPS + torch.sin(seed * MAPS)


def bent(x):
    return (5 * x).sin() * x


THREE = {"a": MAPS, "b": -MAPS, "c": MAPS**3}

# what makes it, what its printed call names, its columns, its rows
RESULTS = {
    "UnitEffects": (lambda: ablate_units(*UNITS), ONWARD, "example unit effect", 3 * 3),
    "AblationCurve": (
        lambda: ablation_curve(*UNITS, WIRED.contribution, mode="insert", replace="mean", steps=2),
        ONWARD,
        "example units score",
        3 * 3,
    ),
    "Orderings of units": (
        lambda: unit_orderings(*UNITS, WIRED.contribution),
        ONWARD,
        "n_ord s_ord tpn tps span",
        3,
    ),
    "Orderings of pixels": (
        lambda: pixel_orderings(NETWORK, IMAGES, MAPS, 0, replace=0.5),
        PICTURES,
        "n_ord s_ord tpn tps span",
        2,
    ),
    "PixelFlipping": (
        lambda: flip_pixels(NETWORK, IMAGES, MAPS, [0, 1], steps=4, seed=3),
        PICTURES,
        "example fill order share score",
        3 * 2 * 2 * 5,
    ),
    "Localization": (
        lambda: localize(MAPS, MAPS > 0),
        {"maps": MAPS, "masks": MAPS > 0},
        "pointing mass rank area",
        2,
    ),
    "Selectivity": (
        lambda: unit_selectivity(WIRED.model, WIRED.inputs[:2], "units", WIRED.inputs[2:]),
        {"model": WIRED.model, "present": WIRED.inputs[:2]},
        "unit auc shift",
        3,
    ),
    "Randomization": (
        lambda: randomize(NETWORK, IMAGES, gradient, seed=2),
        PICTURES,
        "randomized down to,example,similarity",
        2 * 2,
    ),
    "Stability": (
        lambda: stability(shaken, repeats=3),
        {"explain": shaken},
        "similarity deviation",
        2,
    ),
    "Agreement": (lambda: agreement(THREE), {"maps": THREE}, "first second spearman overlap", 3),
    "Autocorrelation": (
        lambda: shattering(bent, START, END, points=9, lags=2),
        {"explain": bent, "start": START},
        "example distance autocorrelation",
        3,
    ),
}


@pytest.mark.parametrize("name", RESULTS)
def test_contract(name):
    make, namespace, columns, rows = RESULTS[name]
    found = make()
    check_finding(found, namespace)
    known = columns.split(",") if "," in columns else columns.split()
    assert list(found.columns()) == known
    assert {len(column) for column in found.columns().values()} == {rows}


@pytest.mark.parametrize("name", RESULTS)
def test_the_figure_draws_on_light_and_on_dark_paper(name):
    found = RESULTS[name][0]()
    for theme in (LIGHT, DARK):
        figure = found.figure(theme)
        (axes,) = figure.axes
        assert axes.get_xlabel() or axes.get_title() or axes.get_yticklabels()
        figure.savefig(io.BytesIO(), dpi=20)
        assert to_hex(figure.get_facecolor()) == theme.paper


def test_a_table_holds_the_numbers_of_the_result():
    pytest.importorskip("pandas")
    frame = ablate_units(*UNITS).to_frame()
    back = torch.tensor(frame["effect"].to_numpy()).reshape(3, 3)
    torch.testing.assert_close(back, WIRED.contribution)
    assert frame["unit"].tolist() == [0, 1, 2] * 3
    assert frame["example"].tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]


def test_the_standard_error_of_a_mean():
    assert standard_error(torch.tensor([1.0, 3.0])) == pytest.approx(1.0)  # deviation √2, over √2
    assert math.isnan(standard_error(torch.tensor([1.0])))


HEADLINES = {
    # contributions of the rail's unit: 3, 3 and 0; of three inputs
    "effects": (
        lambda: ablate_units(*UNITS),
        ["channel 1", "score(class 0)", "2.00 ± 1.00", "3 examples"],
    ),
    "one example": (
        lambda: ablate_units(WIRED.model, WIRED.inputs[:1], "units", 0),
        ["3.00 lower", "1 example."],
    ),
    "nothing raises": (
        lambda: ablate_units(WIRED.model, WIRED.inputs[2:], "units", 0),
        ["None of the 3 channels of units is seen to raise score(class 0)", "1 example."],
    ),
    "nothing for certain": (  # of its own mean, a unit that acts linearly is worth nothing
        lambda: ablate_units(*UNITS, replace="mean"),
        ["None of the 3 channels of units is seen to raise score(class 0)", " ± "],
    ),
    "in none": (
        lambda: unit_orderings(*UNITS, -torch.ones(3)),
        ["In none of 3 examples", "score(class 0)"],
    ),
    "removed": (
        lambda: ablation_curve(*UNITS, torch.tensor([3.0, 2.0, 1.0])),
        ["removed in this order", "with none 0"],
    ),
    "put back": (
        lambda: ablation_curve(*UNITS, torch.tensor([3.0, 2.0, 1.0]), mode="insert"),
        ["put back in this order", "with none 0"],
    ),
    "constant along": (
        lambda: shattering(torch.ones_like, START, END),
        ["doesn't change along 1 path"],
    ),
    "all alike": (
        lambda: stability(lambda seed: MAPS, repeats=2),
        ["2 repeats", "1.00", "0\u00a0%"],
    ),
    "constant": (lambda: stability(lambda seed: 0 * MAPS, repeats=2), ["constant"]),
    "constant explanation": (
        lambda: randomize(NETWORK, IMAGES, lambda model, inputs: 0 * inputs),
        ["constant: there is nothing to compare"],
    ),
    "two methods": (
        lambda: agreement({"a": MAPS, "b": -MAPS}),
        ["a and b agree most", "−1.00", "random maps 11\u00a0%"],
    ),
    "three methods": (lambda: agreement(THREE), ["a and c agree most", "agree least, by −1.00"]),
    "one method": (lambda: agreement({"a": MAPS}), ["1 method", "no two"]),
    "no relevance": (lambda: localize(-MAPS.abs(), MAPS > 0), ["– of the positive relevance"]),
}


@pytest.mark.parametrize("name", HEADLINES)
def test_headlines_say_what_was_measured(name):
    make, parts = HEADLINES[name]
    words = make().headline
    assert all(part in words for part in parts), words
