"""The one tensor that is meant of what a network returns: found, or named by ``output=``."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

from torch import Tensor, nn

from captum_influence.network.cuts import tensors_in

__all__ = ["Output", "Standing", "answering", "named_alike", "rebuilt", "scores_in", "tensor_of"]

Output = str | int | Callable[[Any], Tensor] | None
"""A key or a field, a place in a tuple, or a function of what the network returns; None: found."""

_USUAL = ("logits", "out")  # transformers' and torchvision's names for the scores


def tensor_of(returned: Any, output: Output = None) -> Tensor:
    """Return the tensor that is meant of what a network returned.

    Args:
        returned: a tensor, or a mapping, dataclass, tuple or list with tensors.
        output: which one; None: a tensor itself; else ``.logits``, ``["logits"]``, ``["out"]``;
            else the only floating-point tensor that there is.

    Raises:
        TypeError: if there are several, or none; or if what ``output`` names is no tensor.
        ValueError: if there is nothing of that name.

    Example:
        >>> tensor_of({"logits": torch.ones(1, 2), "hidden": torch.zeros(1, 5)})
        tensor([[1., 1.]])
    """
    if output is not None:
        return _named(returned, output)
    if isinstance(returned, Tensor):
        return returned
    parts = dict(_parts(returned))
    usual = [parts[name] for name in _USUAL if isinstance(parts.get(name), Tensor)]
    found = usual[:1] or _candidates(returned)
    if len(found) == 1:
        return found[0]
    raise TypeError(_unclear(returned, parts))


def scores_in(returned: Any) -> Tensor | None:
    """Return the scores (examples, classes) that a network returned; None if there are none."""
    try:
        scores = tensor_of(returned)
    except TypeError:
        return None
    return scores if scores.ndim == 2 else None


def answering(network: nn.Module, output: Output = None) -> nn.Module:
    """Return a network that returns the tensor that is meant; its layers and their names are alike.

    It holds the network's own modules and parameters. What is done to these is done to both.
    """
    if isinstance(network, _Answering) and network.__dict__["output"] == output:
        return network  # a verb that asks another hands both on
    return named_alike(_Answering, network)(network, output)


def named_alike(kind: type[Stands], network: nn.Module) -> type[Stands]:
    """Return a class of networks in another's place, called like the class of the other."""
    # Results name the network by its class, and it is the network's answer that they are about.
    found: type[Stands] = type(type(network).__name__, (kind,), {})
    return found


def rebuilt(network: nn.Module, change: Callable[[nn.Module], nn.Module]) -> nn.Module:
    """Return a changed network that is called as it was: what stands for another still does.

    Args:
        network: the network, or what stands for it.
        change: returns another in its place, given the network itself.
    """
    if isinstance(network, Standing):
        return network.standing_for(rebuilt(network.stands_for, change))
    return change(network)


class Standing(nn.Module):
    """A network in the place of another: called differently, or answering something else.

    Its layers, their names and their parameters are those of the other. A subclass answers
    :meth:`forward` and :meth:`standing_for`.
    """

    stands_for: nn.Module

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        # Not as a child, which would put its name before those of the layers. The same
        # dictionaries, not copies: a copy whose layer is replaced runs the new one.
        for shared in ("_modules", "_parameters", "_buffers"):
            self.__dict__[shared] = network.__dict__[shared]
        self.__dict__["stands_for"] = network
        self.training = network.training

    @abstractmethod
    def standing_for(self, network: nn.Module) -> nn.Module:
        """Return the same in the place of another network."""

    def train(self, mode: bool = True) -> Standing:
        self.stands_for.train(mode)
        self.training = mode
        return self


Stands = TypeVar("Stands", bound=Standing)


class _Answering(Standing):
    def __init__(self, network: nn.Module, output: Output) -> None:
        super().__init__(network)
        self.__dict__["output"] = output

    def standing_for(self, network: nn.Module) -> nn.Module:
        return answering(network, self.__dict__["output"])

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        return tensor_of(self.stands_for(*args, **kwargs), self.__dict__["output"])


def _named(returned: Any, output: str | int | Callable[[Any], Tensor]) -> Tensor:
    if callable(output):
        found = output(returned)
    else:
        found = _part(returned, output)
    if isinstance(found, Tensor):
        return found
    raise TypeError(
        f"expected output= to name a tensor, got a {type(found).__name__} by output={output!r}: "
        f"the network returned {_described(returned)}"
    )


def _part(returned: Any, name: str | int) -> Any:
    parts = dict(_parts(returned))
    listed = isinstance(returned, tuple | list)
    if isinstance(name, int) and listed and -len(returned) <= name < len(returned):
        return returned[name]
    if name not in parts:
        raise ValueError(
            f"there is no output={name!r} in what the network returned, {_described(returned)}: "
            "name another, or leave output= out"
        )
    return parts[name]


def _parts(returned: Any) -> Iterator[tuple[Any, Any]]:
    """Yield what is in it by name: keys, fields, also those of a named tuple or of an object."""
    if isinstance(returned, Mapping):
        yield from returned.items()
    elif is_dataclass(returned) and not isinstance(returned, type):
        yield from ((f.name, getattr(returned, f.name)) for f in fields(returned))
    elif isinstance(returned, tuple | list):
        yield from enumerate(returned)
        yield from ((n, getattr(returned, n)) for n in getattr(returned, "_fields", ()))
    elif not isinstance(returned, Tensor):
        yield from getattr(returned, "__dict__", {}).items()


def _candidates(returned: Any) -> list[Tensor]:
    """Return the tensors that may be meant: of floats, and with examples, if there are such."""
    inside = tensors_in(tuple(dict(_parts(returned)).values()))
    found = list({id(tensor): tensor for tensor in inside if tensor.is_floating_point()}.values())
    return [tensor for tensor in found if tensor.ndim] or found  # a loss is one number for all


def _unclear(returned: Any, parts: Mapping[Any, Any]) -> str:
    several = [name for name, part in parts.items() if isinstance(part, Tensor)]
    first = several[0] if several else "..."
    return (
        f"expected a network that returns one tensor to read scores from, or names it logits or "
        f"out; this one returned {_described(returned)}: say which is meant with "
        f"output={first!r}, or a function of it; for the shell, let the function that --model "
        "names return a network that returns that tensor alone. DistributionalInfluence takes "
        f"measure_at=Cut(model, select={first!r})"
    )


def _described(returned: Any) -> str:
    if isinstance(returned, Tensor):
        return f"a tensor of shape {tuple(returned.shape)}"
    parts = dict(_parts(returned))
    held = {n: type(p).__name__ for n, p in parts.items()}
    return f"a {type(returned).__name__} with {held}" if held else f"a {type(returned).__name__}"
