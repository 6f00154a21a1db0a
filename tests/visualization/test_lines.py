"""Every result as a real pandas table, where pandas is there."""

import pytest
import torch
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
    stability,
    unit_orderings,
    unit_selectivity,
)

pandas = pytest.importorskip("pandas")
WIRED = handwired_networks()["shortcut_unit"]
UNITS = (WIRED.model, "units", WIRED.inputs, 0)
IMAGES = torch.rand(2, 1, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
MAPS = IMAGES[:, 0] - 0.5
NETWORK = nn.Sequential(nn.Flatten(), nn.Linear(16, 2)).double()


def gradient(model, inputs):
    inputs = inputs.clone().requires_grad_()
    return torch.autograd.grad(model(inputs)[:, 0].sum(), inputs)[0]


RESULTS = {
    "UnitEffects": (lambda: ablate_units(*UNITS), 3 * 3),
    "AblationCurve": (lambda: ablation_curve(*UNITS, WIRED.contribution), 3 * 4),
    "Orderings of units": (lambda: unit_orderings(*UNITS, WIRED.contribution), 3),
    "Orderings of pixels": (lambda: pixel_orderings(NETWORK, IMAGES, MAPS, 0), 2),
    "PixelFlipping": (lambda: flip_pixels(NETWORK, IMAGES, MAPS, 0, steps=4), 3 * 2 * 2 * 5),
    "Localization": (lambda: localize(MAPS, MAPS > 0), 2),
    "Selectivity": (lambda: unit_selectivity(*UNITS[:2], IMAGES, IMAGES), 3),
    "Randomization": (lambda: randomize(NETWORK, IMAGES, gradient), 2 * 2),
    "Stability": (lambda: stability(lambda seed: MAPS + seed), 2),
    "Agreement": (lambda: agreement({"a": MAPS, "b": -MAPS, "c": MAPS}), 3),
}


@pytest.mark.parametrize("name", RESULTS)
def test_results_become_tables_and_figures(name):
    make, rows = RESULTS[name]
    found = make()
    frame = found.to_frame()
    assert isinstance(frame, pandas.DataFrame)
    assert len(frame) == rows
    assert all(isinstance(column, str) for column in frame)
    axes = found.plot().axes
    assert len(axes) == 1
    assert axes[0].get_xlabel() or axes[0].get_title() or axes[0].get_yticklabels()


def test_a_table_holds_the_numbers_of_the_result():
    effects = ablate_units(*UNITS)
    frame = effects.to_frame()
    back = torch.tensor(frame["effect"].to_numpy()).reshape(3, 3)
    torch.testing.assert_close(back, WIRED.contribution)
    assert frame["unit"].tolist() == [0, 1, 2] * 3
    assert frame["example"].tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
