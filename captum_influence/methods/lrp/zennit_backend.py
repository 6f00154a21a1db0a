"""Zennit as the one who hands relevance down: residual networks, and functions in the forward."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from captum_influence.attr.calls import Given
from captum_influence.attr.quantities import Quantity
from captum_influence.methods.lrp.captum_backend import (
    Propagated,
    Propagation,
    Unsuited,
    a_bias,
    of_floats,
)
from captum_influence.methods.lrp.copies import readied
from captum_influence.methods.lrp.modules import Staged, unruled
from captum_influence.methods.lrp.rules import (
    AlphaBeta,
    Bounded,
    Composite,
    Epsilon,
    Gamma,
    RelevanceRule,
)
from captum_influence.methods.lrp.terms import leaf_of
from captum_influence.network.cuts import Cut
from captum_influence.network.modes import with_graph, without_graph
from captum_influence.network.reading import gradients
from captum_influence.network.torchvision_operators import declare_operators
from captum_influence.network.tracing import Watch

__all__ = ["ByZennit", "imported"]

_STABILIZER = 1e-9  # Captum's
_WEIGHTED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


@dataclass(frozen=True, eq=False)
class ByZennit(Propagation):
    """Zennit's rules: also through sums of branches, and activations and means by functions.

    On the copy, such functions run as modules, which get the rules that zennit gives to its own
    ``Sum``, activations and poolings. Whether the copy still answers as the network does is
    checked.

    Attributes:
        composite: one of zennit's, with its canonizers and its own meanings of rules, in place of
            ours; None: the rules of :class:`Composite`, by their formulas.

    Example:
        >>> ByZennit()
        ByZennit(composite=None)
    """

    composite: Any = None

    def propagated(
        self,
        model: nn.Module,
        inputs: Given,
        target: Any,
        composite: Composite | None,
        layers: Sequence[Cut],
    ) -> Propagated:
        inputs = of_floats(inputs)
        if composite is not None and self.composite is not None:
            raise ValueError("expected a composite of ours or one of zennit's, got both")
        copied, plain = readied(model, inputs)
        copied.requires_grad_(False)  # so that what follows the inputs is told from all else
        found = unruled(copied, inputs)
        if found:
            raise Unsuited("; ".join(found))
        zennit = imported()
        staged = Staged(copied, zennit.layer.Sum)
        ran = _ran(staged, inputs)
        rules = {} if self.composite else _chosen(staged, ran, composite or Composite())
        chosen = self.composite or _composed(zennit, rules)
        with chosen.context(staged), with_graph(), ExitStack() as stack:
            kept = [stack.enter_context(gradients(staged, _inside(cut))) for cut in layers]
            leaf = leaf_of(inputs)
            answer = staged(leaf.clone())
            _check_same(answer, plain)
            score = Quantity.ensure(target)(answer)
            (values,) = torch.autograd.grad(score, leaf, score.detach())
            words = {name: repr(rule) for name, rule in rules.items()} or _named(chosen, staged)
        return Propagated(
            map=values.detach(),
            output=score.detach(),
            rules=words,
            layers=tuple(k[0] for k in kept),
            biased=a_bias(copied, ran),
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
        import zennit.core
        import zennit.layer
        import zennit.rules
    except (ImportError, RuntimeError) as error:  # torchvision raises one if it misses its binary
        raise ImportError(
            f"zennit can't be imported ({error}): pip install 'captum-influence[lrp]'"
        ) from error
    return zennit


def _inside(cut: Cut) -> Cut:
    name = f"network.{cut.module}" if cut.module else "network"
    return Cut(name, cut.side, call=cut.call, select=cut.select)


def _ran(staged: Staged, inputs: Tensor) -> list[str]:
    """Return the leaf modules that run, in order; makes those that stand for functions."""
    with with_graph():
        staged(leaf_of(inputs).clone())
    watch = Watch(into_foreign=True)
    with without_graph(), watch.on(staged.network), watch:
        staged.network(inputs.clone())
    return list(dict.fromkeys(watch.calls))


def _chosen(staged: Staged, ran: Sequence[str], composite: Composite) -> dict[str, RelevanceRule]:
    """Return the rule of each layer with weights."""
    modules = {name: staged.network.get_submodule(name) for name in ran}
    weighted = [name for name, module in modules.items() if isinstance(module, _WEIGHTED)]
    return {n: composite.rule_for(modules[n], first=n == weighted[0]) for n in weighted}


def _composed(zennit: Any, rules: Mapping[str, RelevanceRule]) -> Any:
    """Return rules of ours as one of zennit's composites."""
    named = [((f"network.{name}",), _rule(zennit, rule)) for name, rule in rules.items()]
    # A BatchNorm that no layer before it has taken in weighs each value, as a layer does: with
    # zennit's Pass what it adds would count as if the value had brought it.
    norms = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
    rest = [(norms, zennit.rules.Epsilon(_STABILIZER))]
    rest += zennit.composites.layer_map_base(_STABILIZER)
    return zennit.composites.NameLayerMapComposite(named, rest)


def _rule(zennit: Any, rule: RelevanceRule) -> Any:
    """Return one of our rules as one of zennit's, which means what Captum's does.

    Zennit's own Gamma and ZPlus treat negative inputs in another way.
    """
    made: Mapping[type[RelevanceRule], Callable[[Any], Any]] = {
        Epsilon: lambda r: zennit.rules.Epsilon(r.epsilon),
        Gamma: lambda r: _with_weights(zennit, lambda w, _: w + r.gamma * w.clamp(min=0)),
        AlphaBeta: lambda r: _with_weights(zennit, lambda w, _: w.clamp(min=0)),
        # Without biases, as the rule is written.
        Bounded: lambda r: zennit.rules.ZBox(r.low, r.high, _STABILIZER, zero_params=["bias"]),
    }
    if type(rule) not in made:
        raise Unsuited(f"{rule!r} is a rule that zennit doesn't have")
    return made[type(rule)](rule)


def _with_weights(zennit: Any, change: Callable[[Tensor, str], Tensor]) -> Any:
    """Return the ε rule of a layer whose weights are changed, and nothing else of it."""
    stable = zennit.core.Stabilizer.ensure(_STABILIZER)
    return zennit.core.BasicHook(
        param_modifiers=[zennit.core.ParamMod(change, param_keys=["weight"])],
        gradient_mapper=lambda relevance, outputs: [relevance / stable(outputs[0])],
    )


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
