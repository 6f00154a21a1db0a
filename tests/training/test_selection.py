"""Which layers' gradients are taken, and that each parameter is taken once."""

from __future__ import annotations

import pytest
from torch import nn

from captum_influence.training.gradients import LayerGradient
from captum_influence.training.selection import treatable_layers
from captum_influence.training.shared import SharedGradient


class WithMore(nn.Linear):
    """A layer with a parameter beyond torch's."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        self.scale = nn.Parameter(self.weight.detach().clone())


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (nn.Bilinear(2, 2, 2), "Bilinear"),
        (nn.ConvTranspose2d(2, 2, 2), "ConvTranspose2d"),
        (nn.BatchNorm2d(2, track_running_stats=False), "running statistics"),
        (nn.Embedding(4, 2, max_norm=1.0), "max_norm"),
        (nn.Embedding(4, 2, scale_grad_by_freq=True), "scale_grad_by_freq"),
        (nn.MultiheadAttention(4, 2), "MultiheadAttention"),
        (nn.utils.parametrizations.weight_norm(nn.Linear(2, 2)), "than a weight and a bias"),
        (WithMore(2, 2), "than a weight and a bias"),
    ],
)
def test_untreatable_layers_are_named_and_can_be_skipped(layer: nn.Module, reason: str) -> None:
    model = nn.Sequential(nn.Linear(2, 2), layer)
    with pytest.raises(ValueError, match=rf"(?s)'1'.*{reason}.*skip_unsupported"):
        treatable_layers(model, None, skip_unsupported=False)
    kept, skipped = treatable_layers(model, None, skip_unsupported=True)
    assert [k.name for k in kept] == ["0"]
    assert "1" in skipped


def test_selection_of_layers() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2)))
    model[0].requires_grad_(False)

    def names(layers: object) -> list[str]:
        kept, _ = treatable_layers(model, layers, skip_unsupported=False)
        return [layer.name for layer in kept]

    assert names(None) == ["1.0", "1.1"]
    assert names(["1"]) == ["1.0", "1.1"]
    assert names([model[0], "1.1"]) == ["0", "1.1"]
    with pytest.raises(ValueError, match="expected a layer of the model"):
        names(["2"])
    with pytest.raises(TypeError, match="list of names"):
        names("1.0")
    model.requires_grad_(False)
    with pytest.raises(ValueError, match="at least one layer"):
        names(None)


def _tied(bias: bool = True) -> nn.Sequential:
    model = nn.Sequential(nn.Embedding(6, 4), nn.Linear(4, 4), nn.Linear(4, 6, bias=bias))
    model[2].weight = model[0].weight
    return model


def _parameters(layers: tuple[LayerGradient, ...]) -> dict[str, list[str]]:
    return {layer.name: list(layer.parameters) for layer in layers}


def test_a_shared_parameter_belongs_to_the_first_layer_that_is_asked_for() -> None:
    layers, skipped = treatable_layers(_tied(), None, skip_unsupported=False)
    assert _parameters(layers) == {"0": ["weight"], "1": ["weight", "bias"], "2": ["bias"]}
    assert skipped == {}
    (alone,), _ = treatable_layers(_tied(), ["2"], skip_unsupported=False)
    assert isinstance(alone, SharedGradient)
    assert _parameters((alone,)) == {"2": ["weight", "bias"]}
    assert [use.name for use in alone.uses] == ["2", "0"]
    assert alone.size == 6 * 4 + 6


def test_a_layer_whose_parameters_are_all_another_s_is_left_out() -> None:
    layers, skipped = treatable_layers(_tied(bias=False), None, skip_unsupported=False)
    assert [layer.name for layer in layers] == ["0", "1"]
    assert skipped == {"2": "its parameters are those of '0'"}


def test_a_parameter_shared_with_what_cannot_be_treated_is_refused() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Bilinear(2, 2, 2))
    model[1].bias = model[0].bias
    with pytest.raises(ValueError, match=r"'0' shares a parameter with '1': no per-example"):
        treatable_layers(model, ["0"], skip_unsupported=False)
