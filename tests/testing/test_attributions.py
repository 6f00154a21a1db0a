"""The check passes attributions that keep their promises, and says what a broken one breaks."""

from typing import Any

import pytest
import torch
from captum.attr import InternalInfluence, LayerGradientXActivation
from torch import Tensor, nn

from captum_influence import DistributionalInfluence, Noise, Point
from captum_influence.testing import check_attribution, linear_model


@pytest.mark.parametrize(
    "factory",
    [
        DistributionalInfluence,
        lambda m, z: DistributionalInfluence(m, z, distribution=Noise(0.1, n=3)),
        lambda m, z: DistributionalInfluence(m, z, distribution=Point(), multiply_by_inputs=True),
        lambda m, z: LayerGradientXActivation(m, m.get_submodule(z)),
    ],
)
def test_attributions_that_keep_their_promises(factory: Any) -> None:
    if factory is DistributionalInfluence:
        factory = lambda m, z: DistributionalInfluence(m, z)  # noqa: E731
    check_attribution(factory)


class Broken(DistributionalInfluence):
    """Does something wrong on the side."""

    def __init__(self, wrong: Any, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.wrong = wrong

    def attribute(self, inputs: Any, **arguments: Any) -> Any:  # type: ignore[override]
        found = super().attribute(inputs, **arguments)
        changed = self.wrong(self, inputs, found, arguments)
        return found if changed is None else changed


def _leaves_a_hook(self: Any, *_: Any) -> None:
    self.forward_func.register_forward_hook(lambda *_: None)


def _trains(self: Any, *_: Any) -> None:
    self.forward_func[0].train()


def _freezes(self: Any, *_: Any) -> None:
    self.forward_func[0].weight.requires_grad_(False)


def _accumulates(self: Any, inputs: Any, *_: Any) -> None:
    self.forward_func(*inputs).sum().backward()


def _shifts(self: Any, inputs: Any, *_: Any) -> None:
    inputs[0].add_(1)


def _draws(*_: Any) -> None:
    torch.rand(1)


def _scales(self: Any, inputs: Any, found: Tensor, *_: Any) -> Tensor:
    return 2 * found


BROKEN_ATTRIBUTIONS = {
    "hooks": (_leaves_a_hook, "left hooks of the network changed"),
    "mode": (_trains, r"left the mode \(train or eval\) of the network changed"),
    "requires_grad": (_freezes, "left requires_grad of the network changed"),
    "gradients": (_accumulates, "left the gradients of the network changed"),
    "inputs": (_shifts, "changed a tensor that it was given, in place"),
    "random state": (_draws, "moved the global random state"),
    "shape": (lambda s, i, found, _: found[:, :2], r"attributions have shapes \[\(5, 2\)\]"),
    "NaN": (lambda s, i, found, _: found * torch.nan, "hold NaN"),
    "scale": (_scales, r"on a linear network \(linear agreement\), it returns something else"),
}


@pytest.mark.parametrize("name", BROKEN_ATTRIBUTIONS)
def test_a_broken_attribution(name: str) -> None:
    wrong, message = BROKEN_ATTRIBUTIONS[name]
    with pytest.raises(AssertionError, match=message):
        check_attribution(lambda model, layer: Broken(wrong, model, layer))


def test_an_attribution_that_depends_on_the_batching() -> None:
    class Batched(DistributionalInfluence):
        def attribute(self, inputs: Any, *, internal_batch_size: int = 5, **more: Any) -> Any:  # type: ignore[override]
            return super().attribute(inputs, **more) * internal_batch_size

    known = linear_model()
    with pytest.raises(AssertionError, match="with internal_batch_size=1, it returns something"):
        check_attribution(Batched(known.model, "0"), known.inputs, target=1)


def test_captums_own_on_layers_that_run_once() -> None:
    known = linear_model()
    theirs = InternalInfluence(known.model, known.model[0])
    exact = known.on_path(known.inputs, known.inputs, 1)
    assert torch.allclose(theirs.attribute(known.inputs[0], target=1), exact, atol=1e-6)


def test_an_attribution_needs_inputs() -> None:
    with pytest.raises(TypeError, match="needs inputs"):
        check_attribution(DistributionalInfluence(nn.Linear(3, 2), ""))
