"""What the heads of torch's own attention give can be read, and replaced, and changes no bit."""

import attending
import torch

from captum_influence.attr.distributions import Point
from captum_influence.attr.influence import DistributionalInfluence
from captum_influence.attr.quantities import Function
from captum_influence.network.anatomy.anatomy import Anatomy
from captum_influence.network.interventions import intervene


def test_heads_inside_torchs_own_attention() -> None:
    model, x = attending.encoder(), torch.randn(2, 5, attending.WIDTH, dtype=torch.float64)
    before = model(x)
    attention = Anatomy.of(model, x).attentions[1]
    assert (attention.name, attention.heads, attention.size) == ("layers.1.self_attn", 4, 2)
    first = Function(lambda out: out[:, 0, 3])
    measure = DistributionalInfluence(model, attention.cut, distribution=Point(), quantity=first)
    found = measure.attribute(x)
    # By finite differences: each feature of each head moved by hand, at one position.
    step = 1e-6
    for position, feature in ((0, 0), (4, 7)):
        moved = torch.zeros(5, attending.WIDTH, dtype=torch.float64)
        moved[position, feature] = step
        with intervene(model, attention.cut, lambda z, moved=moved: z + moved):
            slope = (model(x) - before)[:, 0, 3] / step
        torch.testing.assert_close(found[:, position, feature], slope, rtol=0, atol=1e-7)
    assert torch.equal(model(x), before)
    assert "forward" not in model.layers[1].self_attn.__dict__


def test_an_intervention_changes_no_bit_unless_it_is_asked_to() -> None:
    model, x = attending.encoder(), torch.randn(2, 5, attending.WIDTH, dtype=torch.float64)
    with intervene(model, Anatomy.of(model, x).attentions[0].cut, lambda z: z):
        inside = model(x)
    assert torch.equal(inside, model(x))
