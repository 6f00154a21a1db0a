import pytest
import torch
from torch import nn

from captum_influence import DistributionalInfluence, Noise, Point
from captum_influence.metrics import agreement, randomize, stability


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))


def gradient(model, inputs):
    inputs = inputs.clone().requires_grad_()
    return torch.autograd.grad(model(inputs)[:, 0].sum(), inputs)[0]


def test_randomizing_goes_down_from_the_output_and_leaves_the_model():
    model = network().eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    inputs = torch.rand(4, 6)
    found = randomize(model, inputs, gradient)
    assert found.layers == ("4", "2", "0")
    assert torch.allclose(found.similarity[0], torch.ones(4, dtype=torch.float64))
    assert found.similarity[-1].abs().mean() < 0.9
    assert all(torch.equal(v, before[n]) for n, v in model.state_dict().items())


def test_what_looks_at_the_picture_only_is_seen_not_to_react():
    found = randomize(network(), torch.rand(4, 6), lambda model, inputs: inputs)
    torch.testing.assert_close(found.similarity, torch.ones(4, 4, dtype=torch.float64))


def test_randomizing_keeps_each_tensors_values():
    seen = []

    def watch(model, inputs):
        seen.append(torch.cat([p.detach().flatten() for p in model.parameters()]).sort().values)
        return inputs

    randomize(network(), torch.rand(2, 6), watch)
    assert all(torch.equal(values, seen[0]) for values in seen)
    with pytest.raises(ValueError, match="without"):
        randomize(nn.ReLU(), torch.rand(2, 6), watch)


def test_stability_in_closed_form():
    answers = [torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[3.0, 2.0, 1.0]])]
    found = stability(lambda seed: answers[seed], repeats=2)
    assert found.similarity.tolist() == [[-1.0]]
    assert found.deviation.item() == pytest.approx((2 / 3) ** 0.5 / 2)  # mean 2, spread 1, 0, 1
    with pytest.raises(ValueError, match="two repeats"):
        stability(lambda seed: answers[0], repeats=1)


def test_more_samples_are_more_stable_and_no_sampling_is_perfectly_so():
    model, inputs = network().double(), torch.rand(3, 6, dtype=torch.float64)

    def noisy(points):
        def explain(seed):
            noise = Noise(0.5, points, seed)
            return DistributionalInfluence(model, "0", distribution=noise).attribute(
                inputs, target=0
            )

        return stability(explain, repeats=3).deviation.mean()

    assert noisy(64) < noisy(4)
    point = DistributionalInfluence(model, "0", distribution=Point())
    assert (stability(lambda seed: point.attribute(inputs, target=0)).deviation == 0).all()


def test_agreement_in_closed_form():
    a = torch.arange(10.0)[None]
    found = agreement({"a": a, "twice": 2 * a, "against": -a}, top=0.3)
    assert found.spearman.tolist()[0] == pytest.approx([1, 1, -1])
    assert found.overlap.tolist()[0] == pytest.approx([1, 1, 0])
    assert found.chance == 0.3
    assert found.columns()["first"] == ["a", "a", "twice"]
    with pytest.raises(ValueError, match="one shape"):
        agreement({"a": a, "b": a[:, :4]})
