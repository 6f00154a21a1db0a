"""Zennit as the one who hands relevance down: residual networks, and functions in the forward."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from captum_influence.attr.quantities import Quantity
from captum_influence.methods.lrp.captum_backend import Propagated, Propagation, Unsuited
from captum_influence.methods.lrp.modules import Staged, unruled
from captum_influence.methods.lrp.rules import (
    AlphaBeta,
    Bounded,
    Composite,
    Epsilon,
    Gamma,
    RelevanceRule,
)
from captum_influence.network.cuts import Cut
from captum_influence.network.folding import fold_batchnorm
from captum_influence.network.reading import gradients
from captum_influence.network.torchvision_operators import declare_operators
from captum_influence.network.tracing import Watch, out_of_place

__all__ = ["ByZennit", "imported"]

_STABILIZER = 1e-9  # Captum's
_WEIGHTED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


@dataclass(frozen=True, eq=False)
class ByZennit(Propagation):
    """Zennit's rules: also through sums of branches, and activations and means by functions.

    On the copy, such functions run as modules, which get the rules that zennit gives to its own
    ``Sum``, activations and poolings; BatchNorms are folded into the layers before them. Whether
    the copy still answers as the network does is checked.

    Attributes:
        composite: one of zennit's, with its canonizers, in place of ours; None: the rules of
            :class:`Composite`, as zennit has them.

    Example:
        >>> ByZennit()
        ByZennit(composite=None)
    """

    composite: Any = None

    def propagated(
        self,
        model: nn.Module,
        inputs: Tensor,
        target: Any,
        composite: Composite | None,
        layers: Sequence[Cut],
    ) -> Propagated:
        if composite is not None and self.composite is not None:
            raise ValueError("expected a composite of ours or one of zennit's, got both")
        copied = out_of_place(model)
        found = unruled(copied, inputs)
        if found:
            raise Unsuited("; ".join(found))
        zennit = imported()
        staged = Staged(_folded(copied), zennit.layer.Sum)
        with torch.no_grad():
            plain = copied(inputs)
            staged(inputs)  # makes the modules that stand for functions
        chosen = self.composite or _composed(zennit, staged, inputs, composite or Composite())
        with chosen.context(staged), torch.enable_grad(), ExitStack() as stack:
            kept = [stack.enter_context(gradients(staged, _inside(cut))) for cut in layers]
            leaf = inputs.clone().requires_grad_()
            answer = staged(leaf)
            _check_same(answer, plain)
            score = Quantity.ensure(target)(answer)
            (values,) = torch.autograd.grad(score, leaf, score.detach())
            rules = _named(chosen, staged)
        biased = next((n for n, _ in staged.network.named_parameters() if n.endswith("bias")), None)
        return Propagated(
            map=values.detach(),
            output=score.detach(),
            rules=rules,
            layers=tuple(k[0] for k in kept),
            biased=biased,
        )

    def kept(self) -> ByZennit:
        """Return it without a composite of zennit's, whose rules the result names."""
        return ByZennit()


def imported() -> Any:
    """Return zennit.

    Raises:
        ImportError: if it, or the torchvision that it needs, can't be imported.
    """
    declare_operators()  # zennit imports torchvision
    try:
        import zennit.composites
        import zennit.layer
        import zennit.rules
    except (ImportError, RuntimeError) as error:  # torchvision raises one if it misses its binary
        raise ImportError(
            f"zennit can't be imported ({error}): pip install 'captum-influence[lrp]'"
        ) from error
    return zennit


def _folded(copied: nn.Module) -> nn.Module:
    try:
        return fold_batchnorm(copied)
    except (ValueError, RuntimeError):  # torch.fx can't follow it: relevance passes BatchNorms by
        return copied


def _inside(cut: Cut) -> Cut:
    name = f"network.{cut.module}" if cut.module else "network"
    return Cut(name, cut.side, call=cut.call, select=cut.select)


def _composed(zennit: Any, staged: Staged, inputs: Tensor, composite: Composite) -> Any:
    """Return our composite as one of zennit's."""
    watch = Watch(into_foreign=True)
    with torch.no_grad(), watch.on(staged.network), watch:
        staged(inputs)
    modules = {f"network.{n}": staged.network.get_submodule(n) for n in watch.calls}
    weighted = [n for n, m in modules.items() if isinstance(m, _WEIGHTED)]
    named = [
        ((n,), _rule(zennit.rules, composite.rule_for(modules[n], first=n == weighted[0])))
        for n in weighted
    ]
    rest = zennit.composites.layer_map_base(_STABILIZER)
    return zennit.composites.NameLayerMapComposite(named, rest)


def _rule(rules: Any, rule: RelevanceRule) -> Any:
    """Return one of our rules as one of zennit's."""
    made: Mapping[type[RelevanceRule], Callable[[Any], Any]] = {
        Epsilon: lambda r: rules.Epsilon(r.epsilon),
        Gamma: lambda r: rules.Gamma(r.gamma, _STABILIZER),
        AlphaBeta: lambda r: rules.ZPlus(_STABILIZER),
        # Without biases, as the rule is written.
        Bounded: lambda r: rules.ZBox(r.low, r.high, _STABILIZER, zero_params=["bias"]),
    }
    if type(rule) not in made:
        raise Unsuited(f"{rule!r} is a rule that zennit doesn't have")
    return made[type(rule)](rule)


def _named(composite: Any, staged: Staged) -> dict[str, str]:
    """Return which layer with weights has which rule."""
    context: dict[str, Any] = {}
    found = {}
    for name, module in staged.named_modules():
        hook = composite.module_map(context, name, module)
        if hook is not None and isinstance(module, _WEIGHTED):
            found[name.removeprefix("network.")] = type(hook).__name__
    return found


def _check_same(answer: Any, plain: Any) -> None:
    if not isinstance(answer, Tensor) or not torch.allclose(answer, plain, rtol=1e-3, atol=1e-5):
        raise Unsuited("run for relevance, the network doesn't answer as it did")
