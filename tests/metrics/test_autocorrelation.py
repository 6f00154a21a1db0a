import math

import pytest
import torch

from captum_influence.metrics import shattering

START, END = torch.zeros(1, 3).double(), torch.ones(1, 3).double()


def test_a_slow_replica():
    rows = torch.rand(2, 3).double(), torch.rand(2, 3).double()
    found = shattering(lambda x: (5 * x).sin() * x, *rows, points=11, lags=4, internal_batch_size=4)
    for example in range(2):
        maps = []
        for step in range(11):
            x = rows[0][example] + (rows[1][example] - rows[0][example]) * step / 10
            maps.append([math.sin(5 * float(v)) * float(v) for v in x])
        mean = [sum(m[i] for m in maps) / 11 for i in range(3)]
        for lag in range(5):
            above = sum(
                (maps[t][i] - mean[i]) * (maps[t + lag][i] - mean[i])
                for t in range(11 - lag)
                for i in range(3)
            )
            below = sum((maps[t][i] - mean[i]) ** 2 for t in range(11) for i in range(3))
            assert found.values[example, lag] == pytest.approx(above / below)
    assert found.distance.tolist() == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])


def test_a_straight_line_in_closed_form():
    n, lag = 41, 3
    found = shattering(lambda x: 2 * x, START, END, points=n, lags=lag).values[0]
    numbers = [t - (n - 1) / 2 for t in range(n)]
    expected = sum(a * b for a, b in zip(numbers, numbers[lag:], strict=False))
    assert found[lag] == pytest.approx(expected / ((n**3 - n) / 12))


def test_noise_has_none_and_a_constant_no_number():
    generator = torch.Generator().manual_seed(0)
    noise = shattering(
        lambda x: torch.randn(len(x), 500, generator=generator), START, END, points=64, lags=8
    )
    assert noise.values[0, 0] == 1
    assert (noise.values[0, 1:].abs() < 0.05).all()
    assert shattering(lambda x: 0 * x + 1, START, END).values.isnan().all()


def test_gradients_of_deep_networks_shatter_and_those_of_shallow_ones_do_not():
    def gradient(depth):
        torch.manual_seed(0)
        layers = []
        for i in range(depth):
            layers += [torch.nn.Linear(20 if i == 0 else 60, 60), torch.nn.ReLU()]
            torch.nn.init.kaiming_normal_(layers[-2].weight)
        model = torch.nn.Sequential(*layers, torch.nn.Linear(60, 1))

        def slope(x):
            leaf = x.clone().requires_grad_()
            return torch.autograd.grad(model(leaf).sum(), leaf)[0]

        return slope

    ends = torch.randn(2, 4, 20, generator=torch.Generator().manual_seed(1))
    shallow, deep = (shattering(gradient(d), *ends, lags=4).values[:, 4].mean() for d in (1, 16))
    assert shallow > deep + 0.3


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="one shape"):
        shattering(lambda x: x, START, END[:, :2])
    with pytest.raises(ValueError, match="more points than lags"):
        shattering(lambda x: x, START, END, points=4, lags=4)
