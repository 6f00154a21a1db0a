"""The layers whose gradients are taken, each parameter once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch.nn import Module, Parameter

from captum_influence.training.gradients import LayerGradient, gradient_of
from captum_influence.training.shared import SharedGradient

__all__ = ["treatable_layers"]


def treatable_layers(
    model: Module, layers: Sequence[str | Module] | None, *, skip_unsupported: bool
) -> tuple[tuple[LayerGradient, ...], dict[str, str]]:
    """Return the layers to be treated, and the ones left out with the reason.

    Args:
        model: the network.
        layers: dotted names or modules; a container stands for all layers in it. None takes
            every layer with a parameter that requires a gradient.
        skip_unsupported: leave out what cannot be treated instead of raising.

    Raises:
        ValueError: if a name is unknown, a layer cannot be treated, or none is left.
    """
    named = dict(model.named_modules())
    chosen = _owners(model, layers, named)
    made = {name: gradient_of(name, named[name]) for name in chosen}
    skipped = {name: kind for name, kind in made.items() if isinstance(kind, str)}
    skipped |= _inside_skipped(made, skipped)
    if skipped and not skip_unsupported:
        raise ValueError(
            f"expected layers with known per-example gradients, got {skipped}; name the others "
            "in layers=, or pass skip_unsupported=True to go on without these"
        )
    kept = tuple(k for n, k in made.items() if not isinstance(k, str) and n not in skipped)
    if not kept:
        raise ValueError(
            "expected at least one layer with trainable parameters, got none; name layers in "
            "layers=, or unfreeze the model"
        )
    return _unshared(model, kept, skipped), skipped


def _owners(
    model: Module, layers: Sequence[str | Module] | None, named: Mapping[str, Module]
) -> list[str]:
    """Return the names of the modules that own parameters directly, in the model's order."""
    if layers is None:
        return [n for n, m in named.items() if any(p.requires_grad for p in m.parameters(False))]
    if isinstance(layers, (str, Module)):
        raise TypeError(f"expected layers to be a list of names or modules, got {layers!r}")
    wanted: set[str] = set()
    for layer in layers:
        name = _name_of(layer, named)
        prefix = f"{name}." if name else ""
        inside = [n for n in named if n == name or n.startswith(prefix)]
        wanted |= {n for n in inside if any(True for _ in named[n].parameters(False))}
    return [name for name in named if name in wanted]


def _name_of(layer: str | Module, named: Mapping[str, Module]) -> str:
    if isinstance(layer, str) and layer in named:
        return layer
    for name, module in named.items():
        if module is layer:
            return name
    raise ValueError(
        f"expected a layer of the model, got {layer if isinstance(layer, str) else type(layer)}; "
        f"its layers are {[n for n in named if n]}"
    )


def _inside_skipped(made: Mapping[str, object], skipped: Mapping[str, str]) -> dict[str, str]:
    """Return layers inside a skipped one, which may use them without calling them."""
    return {
        name: f"part of '{outer}', which is left out"
        for name in made
        for outer in skipped
        if name.startswith(f"{outer}.")
    }


# Parameters of several layers


def _unshared(
    model: Module, layers: Sequence[LayerGradient], skipped: dict[str, str]
) -> tuple[LayerGradient, ...]:
    """Give each parameter to the first layer that has it, with the gradients of all its uses.

    Raises:
        ValueError: if a parameter is shared with a module that can't be treated.
    """
    owners = _owners_of_parameters(model)
    taken: dict[int, str] = {}
    found: list[LayerGradient] = []
    for layer in layers:
        others = {n: m for p in layer.parameters.values() for n, m in owners[id(p)].items()}
        if set(others) == {layer.name}:
            found.append(layer)
            continue
        covered = {n: p for n, p in layer.parameters.items() if id(p) not in taken}
        if not covered:
            first = next(taken[id(p)] for p in layer.parameters.values())
            skipped[layer.name] = f"its parameters are those of '{first}'"
            continue
        taken |= {id(p): layer.name for p in covered.values()}
        found.append(_shared(layer, others, covered))
    return tuple(found)


def _owners_of_parameters(model: Module) -> dict[int, dict[str, Module]]:
    """Return the modules that have each parameter."""
    owners: dict[int, dict[str, Module]] = {}
    for name, module in model.named_modules():
        for parameter in module.parameters(recurse=False):
            owners.setdefault(id(parameter), {})[name] = module
    return owners


def _shared(
    layer: LayerGradient, others: Mapping[str, Module], covered: Mapping[str, Parameter]
) -> SharedGradient:
    uses = [layer]
    for name, module in others.items():
        if name == layer.name:
            continue
        use = gradient_of(name, module)
        if isinstance(use, str):
            raise ValueError(
                f"expected layers with known per-example gradients, but '{layer.name}' shares a "
                f"parameter with '{name}': {use}; leave '{layer.name}' out of layers="
            )
        uses.append(use)
    return SharedGradient(layer.name, layer.module, tuple(uses), covered)
