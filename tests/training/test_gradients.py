"""Per-example gradients against one backward pass per example."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from captum_influence.network.recording import Recorder
from captum_influence.training.losses import ExampleLoss
from captum_influence.training.selection import treatable_layers

B = 4


def _image(*size: int) -> Tensor:
    return torch.randn(B, *size, dtype=torch.float64)


def _tokens(*size: int) -> Tensor:
    return torch.randint(0, 6, (B, *size))


class Twice(nn.Module):
    """One module called two times, at two sizes."""

    def __init__(self) -> None:
        super().__init__()
        self.shared = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        once = torch.tanh(self.shared(x))
        return torch.tanh(self.shared(once[..., ::2])).flatten(1)


class ByKeyword(nn.Module):
    """A layer that is called by keyword, and followed by an in-place operation."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(5, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(input=x).relu_()


class Conv1D(nn.Module):
    """As in transformers, by whose name it is known: the weight is (in, out)."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.weight, self.bias = (
            nn.Parameter(torch.randn(shape)),
            nn.Parameter(torch.randn(shape[1])),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight + self.bias


class OwnRMSNorm(nn.Module):
    """As transformers has one for each architecture: no subclass of torch's."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(width))

    def forward(self, x: Tensor) -> Tensor:
        return (1 + self.weight) * x / x.square().mean(-1, keepdim=True).sqrt()


EXAMPLES = {
    "Conv1D": (Conv1D(5, 3), _image(7, 5)),
    "an RMSNorm of one's own": (OwnRMSNorm(5), _image(7, 5)),
    "linear": (nn.Linear(5, 3), _image(5)),
    "linear without bias": (nn.Linear(5, 3, bias=False), _image(5)),
    "linear 3-D": (nn.Linear(5, 3), _image(7, 5)),
    "linear 4-D": (nn.Linear(5, 3), _image(2, 3, 5)),
    "conv1d": (nn.Conv1d(3, 4, 3, stride=2), _image(3, 9)),
    "conv1d same, dilated": (nn.Conv1d(3, 4, 4, padding="same", dilation=2), _image(3, 9)),
    "conv2d": (nn.Conv2d(3, 4, 3, padding=1), _image(3, 6, 5)),
    "conv2d valid": (nn.Conv2d(3, 4, (2, 3), padding="valid", bias=False), _image(3, 6, 5)),
    "conv2d same": (nn.Conv2d(3, 4, (2, 3), padding="same"), _image(3, 6, 5)),
    "conv2d stride, dilation": (
        nn.Conv2d(3, 4, 3, stride=(2, 1), dilation=(1, 2), padding=(2, 1)),
        _image(3, 8, 7),
    ),
    "conv2d circular": (nn.Conv2d(3, 4, 3, padding=1, padding_mode="circular"), _image(3, 6, 5)),
    "conv2d reflect": (nn.Conv2d(3, 4, 3, padding=(2, 1), padding_mode="reflect"), _image(3, 6, 5)),
    "conv2d replicate": (nn.Conv2d(3, 4, 3, padding=1, padding_mode="replicate"), _image(3, 6, 5)),
    "conv2d groups": (nn.Conv2d(4, 6, 3, groups=2, padding=1), _image(4, 6, 5)),
    "conv2d depthwise": (nn.Conv2d(4, 8, 3, groups=4, stride=2), _image(4, 7, 7)),
    "conv3d": (nn.Conv3d(2, 3, (2, 3, 2), padding=(0, 1, 1), stride=(1, 2, 1)), _image(2, 4, 5, 4)),
    "embedding": (nn.Embedding(6, 3), _tokens(5)),
    "embedding with padding": (nn.Embedding(6, 3, padding_idx=1), _tokens(5)),
    "embedding 2-D": (nn.Embedding(6, 3), _tokens(5, 2)),
    "layer norm": (nn.LayerNorm(5), _image(7, 5)),
    "layer norm 2-D": (nn.LayerNorm((3, 5)), _image(3, 5)),
    "group norm": (nn.GroupNorm(2, 4), _image(4, 3, 3)),
    "batch norm 1d": (nn.BatchNorm1d(5), _image(5)),
    "batch norm 2d": (nn.BatchNorm2d(3), _image(3, 4, 4)),
    "batch norm 3d": (nn.BatchNorm3d(2), _image(2, 3, 3, 3)),
    "instance norm": (nn.InstanceNorm2d(3, affine=True), _image(3, 4, 4)),
    "rms norm": (nn.RMSNorm(5), _image(7, 5)),
    "rms norm 2-D": (nn.RMSNorm((3, 5)), _image(2, 3, 5)),
    "layer norm, no bias": (nn.LayerNorm(5, bias=False), _image(7, 5)),
    "group norm of features": (nn.GroupNorm(2, 4), _image(4)),
    "batch norm of a series": (nn.BatchNorm1d(5), _image(5, 6)),
    "instance norm of a series": (nn.InstanceNorm1d(3, affine=True), _image(3, 6)),
    "prelu": (nn.PReLU(3), _image(3, 4)),
    "called twice": (Twice(), _image(3, 6, 6)),
    "by keyword, in place": (ByKeyword(), _image(5)),
    "in-place activation": (
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(16, 2)),
        _image(3, 4, 4),
    ),
}


def _ready(module: nn.Module) -> nn.Module:
    """Float64, evaluation mode, and no running statistics or weights of zero and one."""
    module = module.double().eval()
    generator = torch.Generator().manual_seed(0)
    for value in (*module.parameters(), *(b for b in module.buffers() if b.is_floating_point())):
        noise = torch.rand(value.shape, generator=generator, dtype=torch.float64)
        value.data.copy_(0.5 + noise)
    return module


def _by_loop(module: nn.Module, x: Tensor, weights: Tensor) -> dict[str, Tensor]:
    """The definition: one backward pass per example."""
    found: dict[str, list[Tensor]] = {name: [] for name, _ in module.named_parameters()}
    for i in range(len(x)):
        module.zero_grad()
        (module(x[i : i + 1]) * weights[i : i + 1]).sum().backward()
        for name, parameter in module.named_parameters():
            found[name].append(parameter.grad.clone())
    module.zero_grad()
    return {name: torch.stack(parts) for name, parts in found.items()}


@pytest.mark.filterwarnings("ignore:Using padding=.same.")  # torch, on even kernels
@pytest.mark.parametrize("case", EXAMPLES)
def test_equals_a_loop(case: str) -> None:
    module, x = EXAMPLES[case]
    module = _ready(module)
    weights = torch.randn_like(module(x))
    wanted = _by_loop(module, x, weights)
    layers, _ = treatable_layers(module, None, skip_unsupported=False)
    with Recorder(module, {layer.name: layer.module for layer in layers}) as recorder:
        records = recorder.pull_back(recorder.run((x,)), weights, last=True)
    found = {}
    for layer in layers:
        flat = layer.flat(records[layer.name])
        assert flat.shape == (B, layer.size)
        prefix = f"{layer.name}." if layer.name else ""
        found |= {f"{prefix}{name}": value for name, value in layer.unflatten(flat).items()}
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value, rtol=1e-10, atol=1e-10)


@pytest.mark.filterwarnings("ignore:Using padding=.same.")  # torch, on even kernels
@pytest.mark.parametrize("case", [case for case in EXAMPLES if "conv" in case or "linear" in case])
def test_inputs_are_turned_as_by_a_product(case: str) -> None:
    module, x = EXAMPLES[case]
    (layer,), _ = treatable_layers(_ready(module), None, skip_unsupported=False)
    groups, _, width = layer.shape
    directions = torch.randn(groups, width, 5, dtype=torch.float64)
    with Recorder(module, {"": module}) as recorder:
        out = recorder.run((x,))
        record = recorder.pull_back(out, torch.ones_like(out), last=True)[""]
    wanted = layer.inputs(record) @ directions
    torch.testing.assert_close(layer.turned(record, directions), wanted)


def test_chunks_of_a_record_give_the_same_gradients() -> None:
    module, x = EXAMPLES["conv2d groups"]
    (layer,), _ = treatable_layers(module, None, skip_unsupported=False)
    module = _ready(module)
    with Recorder(module, {"": module}) as recorder:
        out = recorder.run((x,))
        record = recorder.pull_back(out, torch.ones_like(out), last=True)[""]
    parts = torch.cat([layer.flat(part) for part in record.split(3)])
    torch.testing.assert_close(parts, layer.flat(record))


@pytest.mark.parametrize(
    "loss",
    [
        nn.CrossEntropyLoss(),
        nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 0.5]), label_smoothing=0.1),
    ],
)
def test_the_gradient_of_a_certain_answer_keeps_its_digits(loss: nn.Module) -> None:
    """p − 1 is −Σ of the other classes' p; in float32 that difference would have no digit left."""
    output = torch.tensor([[30.0, 1.0, 0.0], [0.0, 22.0, -3.0]])
    target = torch.tensor([0, 1])
    found = ExampleLoss(loss).gradient(output, target)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.sum(1), torch.zeros(2), rtol=0, atol=1e-7)
    if loss.weight is None:
        others = output.double().softmax(1)
        others[range(2), target] = 0
        wanted = others - others.sum(1, keepdim=True) * nn.functional.one_hot(target, 3)
        torch.testing.assert_close(found, wanted.float(), rtol=1e-5, atol=0)
    soft = nn.functional.one_hot(target, 3).float()
    torch.testing.assert_close(
        ExampleLoss(loss).gradient(output, soft), found, rtol=1e-5, atol=1e-9
    )
