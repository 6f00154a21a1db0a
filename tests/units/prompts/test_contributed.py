"""Contributions over a point are one pass; over a path, of which each layer has its own."""

import prompted
import torch
from prompted import CLEAN, CORRUPTED, WordTokenizer
from torch import Tensor

from captum_influence.attr.inputs import Inputs
from captum_influence.attr.next_token import NextToken
from captum_influence.attr.paths import LinearPath
from captum_influence.attr.points import Values
from captum_influence.attr.run import Run
from captum_influence.units.prompts.contributed import contributions, started
from captum_influence.units.prompts.prompt import Prompt
from captum_influence.units.prompts.sites import Sites

MODEL = prompted.reader()


def prompt(against: str | None) -> Prompt:
    return Prompt.of(MODEL, WordTokenizer(), CLEAN, against)


def test_a_path_without_a_baseline_starts_at_the_other_prompt() -> None:
    baseline: Values | Inputs = started(LinearPath(n=3), prompt(CORRUPTED)).baseline
    assert isinstance(baseline, Inputs)
    assert started(LinearPath(n=3), prompt(None)).baseline == 0
    own = LinearPath(torch.ones(1, 11, 8))
    assert started(own, prompt(CORRUPTED)) is own


def test_a_path_at_a_layer_is_a_mean_of_gradients_between_the_two_prompts() -> None:
    asked = prompt(CORRUPTED)
    sites = Sites.of(MODEL, asked.inputs, 11).neurons
    quantity = (NextToken(2) - NextToken(1)).seeing(asked.named)
    over = started(LinearPath(n=4, rule="riemann_right"), asked)
    found = contributions(MODEL, asked, sites, quantity, over, Run())
    name = "blocks.1.down"
    (own, _), (other, _) = (prompted.given_to(MODEL, name, t) for t in (CLEAN, CORRUPTED))
    gradients = []
    for alpha in (0.25, 0.5, 0.75, 1.0):
        z = (other + alpha * (own - other)).requires_grad_()

        def put(module: object, args: object, z: Tensor = z) -> tuple[Tensor]:
            return (z,)

        handle = MODEL.get_submodule(name).register_forward_pre_hook(put)
        scores = prompted.scores(MODEL, CLEAN)[0]
        handle.remove()
        gradients += torch.autograd.grad(scores[2] - scores[1], z)
    expected = torch.stack(gradients).mean(0) * (own - other)
    torch.testing.assert_close(found[1], expected, rtol=1e-12, atol=1e-14)
