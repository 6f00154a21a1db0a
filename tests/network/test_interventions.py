import pytest
import torch
from torch import nn

from captum_influence import Cut
from captum_influence.network import intervene


def network() -> nn.Sequential:
    torch.manual_seed(0)
    layers = [nn.Linear(3, 4), nn.ReLU(inplace=True), nn.Linear(4, 2)]
    return nn.Sequential(*layers).double().eval()


X = torch.tensor([[1.0, -2.0, 0.5], [0.3, 0.1, -1.0]], dtype=torch.float64)


def hooks(model: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


def test_the_network_goes_on_with_what_it_is_given() -> None:
    model = network()
    with intervene(model, "1", lambda z: 2 * z), torch.no_grad():
        changed = model(X)
    assert torch.equal(changed, model[2](2 * model[0](X).relu()))
    assert hooks(model) == 0


def test_the_input_side_can_be_changed() -> None:
    model = network()
    with intervene(model, Cut("2", "input"), torch.zeros_like):
        assert torch.equal(model(X), model[2].bias.expand(2, 2))


def test_gradients_flow_through_the_change() -> None:
    model, x = network(), X.clone().requires_grad_()
    with intervene(model, "1", lambda z: 3 * z):
        (through,) = torch.autograd.grad(model(x).sum(), x)
    (plain,) = torch.autograd.grad(model(x).sum(), x)
    assert torch.allclose(through, 3 * plain, atol=1e-12)


def test_every_pass_is_changed_also_of_a_part_alone_and_after_an_error() -> None:
    model = network()
    with intervene(model, "0", torch.zeros_like):
        for _ in range(2):
            assert not model[0](X).any()
        with pytest.raises(RuntimeError):
            model(X[:, :2])
        assert not model[0](X).any()
        assert torch.equal(model(X), model[2].bias.expand(2, 2))
    assert model[0](X).any()


def test_hooks_are_gone_after_an_error_within_the_block() -> None:
    model = network()
    with pytest.raises(KeyError), intervene(model, "1", torch.zeros_like):
        raise KeyError
    assert hooks(model) == 0


class Reused(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.twice, self.idle = nn.Identity(), nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * self.twice(2 * self.twice(x))


def test_one_of_several_calls_is_meant() -> None:
    model = Reused()
    for call, expected in ((0, 8.0), (1, 6.0)):
        with intervene(model, Cut("twice", call=call), lambda z: z + 1):
            assert [float(model(torch.ones(1, 1))) for _ in range(2)] == [expected] * 2


@pytest.mark.parametrize(
    ("layer", "change", "error", "message"),
    [
        ("twice", torch.zeros_like, RuntimeError, "ran 2 times .* say which call"),
        ("idle", torch.zeros_like, RuntimeError, "never ran"),
        (Cut("twice", call=0), lambda z: z[:, :0], ValueError, r"shape \(1, 1\) .* got \(1, 0\)"),
    ],
)
def test_what_cannot_be_meant_is_said(layer, change, error, message) -> None:
    model = Reused()
    with intervene(model, layer, change), pytest.raises(error, match=message):
        model(torch.ones(1, 1))
    with pytest.raises(ValueError, match="no layer named 'x'"), intervene(model, "x", change):
        pass


def test_several_tensors_need_a_choice() -> None:
    model = nn.Sequential(nn.LSTM(2, 3, batch_first=True))
    x = torch.rand(1, 4, 2)
    with intervene(model, Cut("0", select=0), torch.zeros_like):
        assert not model(x)[0].any()
        assert model(x)[1][0].any()
