"""Inputs that stand for their activations, and tensors by the names of a network's arguments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any

from torch import Tensor

__all__ = ["Inputs", "NamedInputs", "names_inputs"]


@dataclass(frozen=True, eq=False)
class Inputs:
    """Inputs of the network, which stand for their activations where the points live.

    Where points live behind an embedding, a baseline is a tensor of embeddings. This names it by
    the inputs that have them: the corrupted prompts, one for all examples or one for each. As
    ``reference=`` it is where displacements start.

    Args:
        values: as ``attribute`` takes its inputs: a tensor, or a number; a tuple with one entry for
            each input, None for one that stays as it is; or a mapping, such as a
            ``BatchEncoding``, whose tensors take the place of those of the same names.

    Raises:
        TypeError: if it is none of these.

    Example:
        >>> from captum_influence import LinearPath
        >>> path = LinearPath(Inputs(torch.tensor([[3, 1, 4]])), n=5, rule="riemann_right")
    """

    values: float | Tensor | tuple[Any, ...] | Mapping[str, Any]

    def __post_init__(self) -> None:
        for value in self._parts():
            if value is not None and not isinstance(value, Tensor | Real):
                raise TypeError(
                    "expected inputs as tensors, by position or by name, got a "
                    f"{type(value).__name__}: tokenise text first, as by Prompts(tokenizer, ...)"
                )

    @staticmethod
    def ensure(value: Any) -> Inputs:
        """Return inputs as they are, and values as inputs."""
        return value if isinstance(value, Inputs) else Inputs(value)

    def _parts(self) -> list[Any]:
        if isinstance(self.values, Mapping):
            return list(self.values.values())
        return list(self.values) if isinstance(self.values, tuple) else [self.values]

    def __len__(self) -> int:
        """Return how many examples they are for; 1: one for all."""
        return max((len(v) for v in self._parts() if isinstance(v, Tensor) and v.ndim), default=1)

    def rows(self, numbers: Tensor) -> Inputs:
        """Return the inputs of these examples of a data set; what is for all stays so.

        Raises:
            ValueError: if they are for fewer examples.
        """
        count = len(self)
        if count > 1 and int(numbers.max()) >= count:
            raise ValueError(
                f"expected inputs for all, or one for each example of the data set, got {count} "
                f"and an example number {int(numbers.max())}, counted from 0"
            )

        def take(value: Any) -> Any:
            own = isinstance(value, Tensor) and value.ndim > 0 and len(value) == count > 1
            return value[numbers.to(value.device)] if own else value

        if isinstance(self.values, Mapping):
            return Inputs({name: take(value) for name, value in self.values.items()})
        if isinstance(self.values, tuple):
            return Inputs(tuple(take(value) for value in self.values))
        return Inputs(take(self.values))


class NamedInputs(dict[str, Any]):
    """What a network is given, by the names of its arguments.

    ``tokenizer`` is what made it of text, if that is known; ``last_alone`` says that the network
    answers with the scores of the last token alone, without a dimension of positions.
    """

    def __init__(
        self, values: Mapping[str, Any], tokenizer: Any = None, *, last_alone: bool = False
    ) -> None:
        super().__init__(values)
        self.tokenizer, self.last_alone = tokenizer, last_alone


def names_inputs(start: Any) -> bool:
    """Return whether a baseline names inputs, rather than say what stands where the points live."""
    listed = isinstance(start, tuple) and any(value is None for value in start)
    return listed or isinstance(start, Inputs | Mapping)
