"""A folded network says the same, also about its units, and keeps every name."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from captum_influence import ClassScore, Cut, DistributionalInfluence, LinearPath
from captum_influence.network import fold_batchnorm


def _lively(model: nn.Module) -> nn.Module:
    """Return the network in float64 and eval mode with BatchNorms that do something."""
    generator = torch.Generator().manual_seed(0)
    for module in model.double().modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.running_mean.normal_(generator=generator)
            module.running_var.uniform_(0.2, 3, generator=generator)
            if module.affine:
                with torch.no_grad():
                    module.weight.normal_(generator=generator)
                    module.bias.normal_(generator=generator)
    return model.eval()


def _draw(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6)
        self.relu = nn.ReLU(inplace=True)
        self.conv2, self.bn2 = nn.Conv2d(6, 6, 3, padding=1, groups=2), nn.BatchNorm2d(6)
        self.down = nn.Sequential(nn.Conv2d(3, 6, 1), nn.BatchNorm2d(6, affine=False))
        self.head, self.norm = nn.Linear(6, 4), nn.BatchNorm1d(4)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)) + self.down(x))
        return self.norm(self.head(y.mean(dim=(2, 3))))


NETWORKS = {
    "residual": (Residual, (3, 8, 8)),
    "1d": (lambda: nn.Sequential(nn.Conv1d(2, 4, 3), nn.BatchNorm1d(4)), (2, 9)),
    "3d": (lambda: nn.Sequential(nn.Conv3d(2, 4, 2), nn.BatchNorm3d(4)), (2, 3, 3, 3)),
    "transposed": (
        lambda: nn.Sequential(nn.ConvTranspose2d(2, 4, 3), nn.BatchNorm2d(4)),
        (2, 5, 5),
    ),
    "transposed groups": (
        lambda: nn.Sequential(nn.ConvTranspose2d(4, 6, 3, groups=2), nn.BatchNorm2d(6)),
        (4, 5, 5),
    ),
    "reflecting": (
        lambda: nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect"), nn.BatchNorm2d(4)
        ),
        (3, 5, 5),
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_outputs_are_the_same_and_no_norm_is_left(name: str) -> None:
    build, shape = NETWORKS[name]
    model, x = _lively(build()), _draw(4, *shape)
    folded = fold_batchnorm(model)
    assert not any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in folded.modules())
    assert torch.allclose(folded(x), model(x), rtol=1e-12, atol=1e-12)


def test_influences_behind_the_folded_layers_are_the_same() -> None:
    model, x = _lively(Residual()), _draw(2, 3, 8, 8)
    cuts = ["bn1", "bn2", "down.1", "down", "norm", Cut("relu", call=1)]
    settings: Any = {"quantity": ClassScore(1), "distribution": LinearPath(0.3, n=5)}
    found = DistributionalInfluence(fold_batchnorm(model), cuts, **settings).attribute(x)
    expected = DistributionalInfluence(model, cuts, **settings).attribute(x)
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-10, atol=1e-12)


def test_at_a_folded_layer_the_influence_is_that_of_the_norm() -> None:
    model, x = _lively(Residual()), _draw(2, 3, 8, 8)
    found = DistributionalInfluence(fold_batchnorm(model), "conv1").attribute(x, target=0)
    expected = DistributionalInfluence(model, "bn1").attribute(x, target=0)
    assert torch.allclose(found, expected, rtol=1e-10, atol=1e-12)


def test_names_stay_and_the_original_is_untouched() -> None:
    model = _lively(Residual())
    before = copy.deepcopy(model.state_dict())
    model.conv1.weight.requires_grad_(False)
    folded = fold_batchnorm(model)
    assert [name for name, _ in folded.named_modules()] == [n for n, _ in model.named_modules()]
    assert type(folded) is Residual
    assert not any(module.training for module in folded.modules())
    assert not folded.conv1.weight.requires_grad
    assert folded.conv2.weight.requires_grad
    assert isinstance(model.bn1, nn.BatchNorm2d)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    ours = {parameter.data_ptr() for parameter in folded.parameters()}
    assert ours.isdisjoint(parameter.data_ptr() for parameter in model.parameters())


class Shared(nn.Module):
    """A convolution whose result two others read, one that runs twice, and one on its own."""

    def __init__(self) -> None:
        super().__init__()
        self.both, self.twice = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)
        self.norm1, self.norm2, self.norm3 = (nn.BatchNorm2d(3) for _ in range(3))
        self.first = nn.BatchNorm2d(3)

    def forward(self, x: Tensor) -> Tensor:
        y = self.both(self.first(x))
        y = self.norm1(y) + y
        return self.norm3(self.twice(self.norm2(self.twice(y))))


class Peeking(nn.Module):
    """Reads the weight that a folding would change."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x)) + self.conv.weight.sum()


def _hooked() -> nn.Module:
    model = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3))
    model[0].register_forward_hook(lambda module, args, output: output + 1)
    return model


def _computed() -> nn.Module:
    conv = parametrizations.weight_norm(nn.Conv2d(3, 3, 1))
    return nn.Sequential(conv, nn.BatchNorm2d(3))


UNFOLDABLE = {
    "shared": (Shared, 4),
    "peeking": (Peeking, 1),
    "hooked": (_hooked, 1),
    "computed weights": (_computed, 1),
}


@pytest.mark.parametrize("name", UNFOLDABLE)
def test_what_cannot_be_folded_stays(name: str) -> None:
    build, norms = UNFOLDABLE[name]
    model, x = _lively(build()), _draw(2, 3, 4, 4)
    folded = fold_batchnorm(model)
    left = [m for m in folded.modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(left) == norms
    assert torch.equal(folded(x), model(x))


def test_a_module_with_two_names_is_replaced_under_both() -> None:
    model = _lively(Residual())
    model.alias = model.bn1
    folded = fold_batchnorm(model)
    assert folded.alias is folded.bn1
    assert isinstance(folded.alias, nn.Identity)


def test_half_precision_keeps_its_dtype() -> None:
    model = _lively(Residual()).to(torch.bfloat16)
    folded = fold_batchnorm(model)
    assert {p.dtype for p in folded.parameters()} == {torch.bfloat16}


def test_train_mode_is_refused() -> None:
    model = _lively(Residual())
    model.bn2.train()
    with pytest.raises(RuntimeError, match=r"eval mode.*bn2 is in train mode.*model\.eval\(\)"):
        fold_batchnorm(model)


def test_what_cannot_be_traced_is_refused() -> None:
    class Deciding(Residual):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x if x.sum() > 0 else -x)

    with pytest.raises(ValueError, match=r"torch\.fx can trace, but Deciding can't be"):
        fold_batchnorm(_lively(Deciding()))


@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning")
def test_a_compiled_network_comes_back_plain() -> None:
    model = _lively(Residual())
    folded = fold_batchnorm(torch.compile(model))
    assert type(folded) is Residual
    assert isinstance(folded.bn1, nn.Identity)


class Branching(nn.Module):
    """A network that torch.fx can't follow; what the second BatchNorm reads has another reader."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3)
        self.norm, self.other = nn.BatchNorm2d(4), nn.BatchNorm2d(4)
        for norm in (self.norm, self.other):
            norm.running_mean.uniform_(-0.5, 0.5)
            norm.running_var.uniform_(0.5, 2.0)

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[0] == 0 or bool(x.isnan().any()):
            return x
        h = self.norm(self.first(x)).relu()
        z = self.second(h)
        return self.other(z) + z.mean()


def test_where_fx_can_not_follow_a_pass_shows_what_is_folded() -> None:
    network, x = Branching().double().eval(), torch.rand(2, 3, 8, 8).double()
    with pytest.raises(ValueError, match="can't be"):
        fold_batchnorm(network)
    folded = fold_batchnorm(network, x)
    assert isinstance(folded.norm, nn.Identity)
    assert isinstance(folded.other, nn.BatchNorm2d)
    torch.testing.assert_close(folded(x), network(x))
