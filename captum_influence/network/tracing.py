"""What stands in the way of relevance: seen by watching one forward pass, module by module."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from captum_influence.network.captum_private import (
    SUPPORTED_LAYERS_WITH_RULES,
    SUPPORTED_NON_LINEAR_LAYERS,
)

__all__ = [
    "MOVES",
    "Moved",
    "Watch",
    "obstacles",
    "out_of_place",
    "prepared",
    "repeated",
    "ruleless",
]

_RULED = tuple(SUPPORTED_LAYERS_WITH_RULES) + tuple(SUPPORTED_NON_LINEAR_LAYERS)
_RESHAPES = (nn.Flatten, nn.Unflatten, nn.Identity, nn.Dropout2d)
# Of functions, those that only move values about: autograd moves relevance about alike.
MOVES = (
    *("flatten", "view", "reshape", "squeeze", "unsqueeze", "permute", "transpose", "contiguous"),
    *("unflatten", "clone", "__get__", "swapaxes", "movedim", "moveaxis", "view_as", "cat"),
    *("split", "chunk", "unbind", "tensor_split", "stack", "narrow", "select", "unfold"),
    *("__getitem__", "expand", "expand_as"),
)
_REASONS = {
    "relu": "a functional relu, which Captum's hooks don't see",
    "relu_": "a functional relu, which Captum's hooks don't see",
    "add": "a sum of two branches, through which relevance would double",
    "__add__": "a sum of two branches, through which relevance would double",
    "add_": "a sum of two branches, through which relevance would double",
    "iadd": "a sum of two branches, through which relevance would double",
    "__iadd__": "a sum of two branches, through which relevance would double",
    "__radd__": "a sum of two branches, through which relevance would double",
}


class Moved(nn.Module):
    """Runs a module that only moves values about, unseen by Captum, which has no rule for it."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.unused = nn.Dropout(0.0)  # Captum looks at modules without children only
        self.__dict__["inner"] = inner

    def forward(self, value: Tensor) -> Any:
        return self.__dict__["inner"](value)


def out_of_place(model: nn.Module) -> nn.Module:
    """Return a copy in eval mode whose modules change nothing in place.

    Raises:
        TypeError: if the network can't be copied.
    """
    try:
        copied = copy.deepcopy(model).eval()
    except Exception as error:  # whatever the network's own parts raise: FSDP's assert
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise TypeError(
            f"expected a network that can be copied, got a {type(model).__name__} that can't be "
            f"({reason.removesuffix(':')}): {_cure(model)}"
        ) from error
    for module in copied.modules():
        if getattr(module, "inplace", False):
            setattr(module, "inplace", False)  # noqa: B010  # mypy takes it for a Tensor
    return copied


def _cure(model: nn.Module) -> str:
    """Return how a network that can't be copied becomes one that can."""
    kinds = {kind.__name__ for module in model.modules() for kind in type(module).__mro__}
    if kinds & {"FSDPModule", "FullyShardedDataParallel"}:
        return (
            "its weights are sharded by FSDP; load get_model_state_dict(model, "
            "options=StateDictOptions(full_state_dict=True)) into a network that isn't, and ask it"
        )
    return "leave out of it what can't be, such as open files, locks and tensors with a history"


def prepared(copied: nn.Module) -> nn.Module:
    """Return a network, a copy that is changed, with reshaping modules made invisible to Captum."""
    for name, module in list(copied.named_modules()):
        if type(module) in _RESHAPES and name:
            parent, _, own = name.rpartition(".")
            setattr(copied.get_submodule(parent), own, Moved(module))
    return copied if list(copied.children()) else nn.Sequential(copied)


def obstacles(model: nn.Module, inputs: Tensor) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what Captum's LRP would get wrong, in words, and the leaf modules as they run."""
    watch = Watch()
    with torch.no_grad(), watch.on(model), watch:
        model(inputs)
    order = tuple(dict.fromkeys(watch.calls))
    types = {name: type(model.get_submodule(name)) for name in order}
    named = {name: model.get_submodule(name) for name in order}
    found = repeated(watch, [name for name in order if types[name] is not Moved])
    found += ruleless(
        {
            name: kind
            for name, kind in types.items()
            if kind not in (*_RULED, Moved) and getattr(named[name], "rule", None) is None
        }
    )
    found += [_REASONS.get(name, f"the function {name}") for name in dict.fromkeys(watch.functions)]
    return tuple(dict.fromkeys(found)), tuple(n for n in order if types[n] is not Moved)


def repeated(watch: Watch, names: Iterable[str]) -> list[str]:
    """Return in words which of these modules ran more than once, each number of runs once."""
    counts = Counter(watch.calls)
    by_count: dict[int, list[str]] = {}
    for name in names:
        by_count.setdefault(counts[name], []).append(name)
    return [f"module {_first(same)} runs {n} times" for n, same in by_count.items() if n > 1]


def ruleless(kinds: Mapping[str, type[nn.Module]]) -> list[str]:
    """Return in words that these modules have no rule, each type once."""
    by_kind: dict[str, list[str]] = {}
    for name, kind in kinds.items():
        by_kind.setdefault(kind.__name__, []).append(name)
    return [
        f"module {_first(same)} is a {kind}, for which there is no rule"
        for kind, same in by_kind.items()
    ]


def _first(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} (and {len(names) - 1} more)"


class Watch(TorchFunctionMode):
    """Notes which leaf modules run, and which functions that change values run outside of them.

    Args:
        into_foreign: look into leaves that aren't of ``torch.nn``, as if their functions stood
            where they are called; otherwise such leaves count as one, as they do for Captum.
    """

    def __init__(self, *, into_foreign: bool = False) -> None:
        super().__init__()
        self._into_foreign = into_foreign
        self.calls: list[str] = []
        self.functions: list[str] = []
        self._depth = 0

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        name = getattr(func, "__name__", str(func))
        idle = name == "dropout" and not self._trains(args, kwargs or {})
        several = result if isinstance(result, tuple | list) else (result,)
        changes = any(isinstance(x, Tensor) and x.is_floating_point() for x in several)
        if self._depth == 0 and changes and name not in MOVES and not idle:
            self.functions.append(name)
        return result

    @contextmanager
    def on(self, model: nn.Module) -> Iterator[None]:
        """Watch the leaves of a network."""
        with ExitStack() as stack:
            for name, module in model.named_modules():
                if self._is_leaf(module):
                    stack.callback(module.register_forward_pre_hook(self._enter(name)).remove)
                    stack.callback(module.register_forward_hook(self._leave).remove)
            yield

    def _is_leaf(self, module: nn.Module) -> bool:
        foreign = not type(module).__module__.startswith("torch.nn")
        if isinstance(module, Moved):
            return True
        return not list(module.children()) and not (foreign and self._into_foreign)

    def _enter(self, name: str) -> Any:
        def enter(module: nn.Module, args: Any) -> None:
            self._depth += 1
            self.calls.append(name)

        return enter

    def _leave(self, module: nn.Module, args: Any, output: Any) -> None:
        self._depth -= 1

    @staticmethod
    def _trains(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
        return bool(kwargs.get("training", args[2] if len(args) > 2 else True))
