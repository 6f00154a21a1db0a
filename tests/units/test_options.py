"""Keywords that all verbs share: collected into values, refused where they are not understood."""

import pytest
import torch
from torch import nn

from captum_influence import Cut
from captum_influence.attr.run import Run
from captum_influence.reports.shown import Shown
from captum_influence.units.options import Chosen, Options, check_options, collected
from captum_influence.units.units_of import UnitsOf


def test_flat_keywords_become_fields() -> None:
    chosen = Chosen.of(
        "verb", "relu", {"axis": 3, "by": "influence", "seed": 4, "percentile": 90.0, "heads": 2}
    )
    assert (chosen.units.axis, chosen.units.heads, chosen.units.layer) == (3, 2, "relu")
    assert chosen.by == "influence"
    assert (chosen.run.seed, chosen.shown.percentile) == (4, 90.0)


def test_what_is_not_said_has_its_default() -> None:
    chosen = Chosen.of("verb", Cut("relu", "input"), {})
    assert chosen.units.cut.side == "input"
    assert (chosen.by, chosen.units.axis, chosen.run, chosen.shown.focus) == (
        "contribution",
        "channel",
        Run(),
        "quantity",
    )
    assert Chosen.of("verb", "relu", {}, by="influence").by == "influence"


def test_values_may_be_given_whole() -> None:
    units, shown, run = UnitsOf("relu", "neuron"), Shown(smoothing=0), Run(seed=2)
    chosen = Chosen.of("verb", units, {"shown": shown, "run": run})
    assert chosen.units is units
    assert chosen.shown is shown
    assert chosen.run is run


@pytest.mark.parametrize(
    ("layer", "options", "error", "message"),
    [
        ("relu", {"axes": 1}, TypeError, r"verb\(\) takes no keyword 'axes': did you mean axis="),
        ("relu", {"zzz": 1}, TypeError, "'zzz', but axis, heads, aggregate, by, "),
        (UnitsOf("relu"), {"axis": 1}, TypeError, "and axis beside it: say it in one of the two"),
        ("relu", {"shown": Shown(), "focus": "unit"}, TypeError, "and focus beside it"),
        ("relu", {"run": Shown()}, TypeError, "expected run as a Run, got Shown"),
        ("relu", {"by": "size"}, ValueError, "got 'size'"),
        ("relu", {"seed": 0.5}, TypeError, "seed as a whole number"),
    ],
)
def test_what_is_not_understood_is_refused(layer, options, error, message) -> None:
    with pytest.raises(error, match=message):
        Chosen.of("verb", layer, options)


class Further(Options, total=False):
    """What a verb takes beside the rest."""

    controls: int


def test_a_verb_may_have_further_ones() -> None:
    options: Further = {"controls": 3, "seed": 1}
    assert Chosen.of("verb", "relu", options, known=Further).run.seed == 1
    with pytest.raises(TypeError, match="'control': did you mean controls="):
        check_options("verb", {"control": 3}, Further)
    with pytest.raises(TypeError, match="'controls'"):
        check_options("verb", options)


def test_a_verb_without_a_layer_collects_what_it_takes() -> None:
    assert collected("verb", "run", Run, {"seed": 3, "class_names": None}) == Run(seed=3)
    assert collected("verb", "run", Run, {"run": None}) == Run()


def test_layers_that_are_none_are_refused() -> None:
    with pytest.raises(
        TypeError, match=r"a torch.nn.Module or its dotted name as a layer, got int"
    ):
        Chosen.of("verb", 3, {})  # type: ignore[arg-type]
    module = nn.ReLU()
    assert Chosen.of("verb", module, {}).units.cut.module is module
    assert torch.is_grad_enabled()
