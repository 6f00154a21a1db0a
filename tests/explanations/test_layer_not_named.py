"""Verbs that are asked without a layer take the last with places, and say so."""

import pytest

from captum_influence import Finding, compare, counterfactual, essence, pair
from captum_influence.demo import CLASSES, SceneDataset, load_demo_network

NETWORK = load_demo_network()
SCENES = [SceneDataset(48, seed=5).stacked()]
WIDTH = NETWORK.get_submodule("conv5").out_channels
MISTAKE = SceneDataset(424, seed=1_000_003)[423][0]


def _asked(verb: str, layer: str | None) -> Finding:
    if verb == "counterfactual":
        true = CLASSES.index("fish")
        return counterfactual(NETWORK, MISTAKE, layer, true=true, interpret=False, controls=2)
    if verb == "compare":
        return compare(NETWORK, MISTAKE, layer, 0, ["Saliency"])
    if verb == "essence":
        return essence(NETWORK, SCENES, layer, 0, top=1, examples=1)
    return pair(NETWORK, SCENES, layer, 0, 1, top=1, examples=1)


@pytest.mark.parametrize("verb", ["counterfactual", "compare", "essence", "pair"])
def test_it_is_chosen_and_said(verb) -> None:
    found, named = _asked(verb, None), _asked(verb, "relu5")
    told = " No layer was named: relu5 is the last with several places for each channel"
    if verb in ("counterfactual", "compare"):
        told += f", and has {WIDTH} channels along dimension 1 of (examples, {WIDTH}, 8, 8)"
    assert found.layer == "relu5"
    assert found.headline == f"{named.headline}{told}."


def test_a_loader_that_can_be_read_once_wants_a_name() -> None:
    with pytest.raises(TypeError, match="which can be read only once: make it a list"):
        essence(NETWORK, iter(SCENES), None, 0)
