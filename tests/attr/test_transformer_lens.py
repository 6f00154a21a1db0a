"""Node attribution patching is that of TransformerLens, by its own hooks and its own cache.

It pins other packages, so it is no part of the extras: the test runs where it is installed.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import pytest
import torch
from torch import Tensor

from captum_influence.attr.distributions import Point
from captum_influence.attr.influence import DistributionalInfluence
from captum_influence.attr.inputs import Inputs
from captum_influence.attr.quantities import Function
from captum_influence.network.torchvision_operators import declare_operators

declare_operators()  # a torchvision without its own doesn't import, nor the library then
lens = pytest.importorskip("transformer_lens", reason="transformer_lens is not installed")

if int(version("transformer_lens").partition(".")[0]) > 3:
    pytest.skip("HookedTransformer is gone from 4.0 on", allow_module_level=True)

CLEAN, OTHER = torch.tensor([[3, 1, 4, 1, 5]]), torch.tensor([[3, 9, 4, 9, 5]])
NODES = [f"blocks.{b}.{name}" for b in (0, 1) for name in ("attn.hook_z", "mlp.hook_post")]


def _score(logits: Tensor) -> Tensor:
    return logits[:, -1, 7] - logits[:, -1, 2]


@pytest.fixture(scope="module")
def model() -> Any:
    torch.manual_seed(0)
    sizes = {"n_layers": 2, "d_model": 16, "n_ctx": 8, "d_head": 4, "n_heads": 4, "d_mlp": 32}
    config = lens.HookedTransformerConfig(**sizes, d_vocab=12, act_fn="gelu", device="cpu")
    found = lens.HookedTransformer(config).eval()
    for parameter in found.parameters():  # untrained weights are nearly linear
        parameter.data = 3 * parameter.data + 0.1
    return found


def _theirs(model: Any, clean: Tensor, other: Tensor) -> dict[str, Tensor]:
    """Return (clean - corrupted) times the slope at the clean prompt, by the library's hooks."""
    slopes: dict[str, Tensor] = {}
    _, here = model.run_with_cache(clean)
    _, there = model.run_with_cache(other)

    def keep(slope: Tensor, hook: Any) -> None:
        slopes[hook.name] = slope

    with model.hooks(bwd_hooks=[(name, keep) for name in NODES]):
        _score(model(clean)).sum().backward()
    return {name: ((here[name] - there[name]) * slopes[name]).detach() for name in NODES}


@pytest.mark.parametrize("turned", [False, True])
def test_nodes_are_patched_as_there(model: Any, turned: bool) -> None:
    clean, other = (OTHER, CLEAN) if turned else (CLEAN, OTHER)
    patching = DistributionalInfluence(
        model,
        NODES,
        distribution=Point(),
        quantity=Function(_score),
        multiply_by_inputs=True,
        reference=Inputs(other),
    )
    theirs = _theirs(model, clean, other)
    for name, ours in zip(NODES, patching.attribute(clean), strict=True):
        assert float(theirs[name].abs().max()) > 1e-3
        torch.testing.assert_close(ours, theirs[name], rtol=1e-5, atol=1e-5)
