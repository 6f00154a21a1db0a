"""Log probabilities of classes and tokens, and how far all of them are from others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

from torch import Tensor

from captum_influence.attr.positions import (
    Position,
    at_positions,
    examples_of,
    given_positions,
    in_words_at,
    of_rows,
    settled,
)
from captum_influence.attr.quantities import Quantity, as_tensor
from captum_influence.attr.targets import entry_of_each, picked
from captum_influence.attr.tokens import Token, known_ids, token_ids, token_in_words
from captum_influence.data.labels import Names, class_name
from captum_influence.network.predictions import log_probabilities

__all__ = ["KLDivergence", "LogProbability"]


@dataclass(frozen=True, eq=False)
class LogProbability(Quantity):
    r"""The log probability of a class, or of a token: :math:`\log \mathrm{softmax}(s)_c`.

    Of a network that returns probabilities already, their logarithm.

    Args:
        target: the class, a number; of a text also a token; a list or tensor: one per example.
        at: None: scores are (examples, classes); else where among (examples, positions, classes),
            as for :class:`NextToken`.
        tokenizer: of a text; None: that of the :class:`Prompts` that are explained.

    Raises:
        ValueError: if a text isn't one token, or there is one class only.

    Example:
        >>> import torch
        >>> LogProbability(1)(torch.zeros(1, 2)).exp()
        tensor([0.5000])
    """

    target: Token
    at: Position = None
    tokenizer: Any = None
    _ids: int | Tensor | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "at", given_positions(self.at))
        object.__setattr__(self, "_ids", known_ids(self.target, self.tokenizer))

    @property
    def examples(self) -> int | None:
        return examples_of(self._ids, self.at)

    @property
    def reads_end(self) -> bool:
        return isinstance(self.at, int) and self.at == -1

    def seeing(self, inputs: Mapping[str, Any]) -> LogProbability:
        ids = self._ids
        if ids is None:
            ids = token_ids(self.target, getattr(inputs, "tokenizer", None))
        return replace(self, target=ids, at=settled(self.at, inputs), tokenizer=None)

    def rows(self, examples: Tensor) -> LogProbability:
        if self.examples is None:
            return self
        ids, at = of_rows(self._ids, examples), of_rows(self.at, examples)
        return replace(self, target=ids, at=at, tokenizer=None)

    def in_words(self, names: Names = None) -> str:
        target = self.target
        if isinstance(target, int) and self.at is None:
            return f"log p({class_name(target, names)})"
        return f"log p({token_in_words(target)}{in_words_at(self.at)})"

    def __call__(self, output: Any) -> Tensor:
        ids = token_ids(self.target, None) if self._ids is None else self._ids
        logs = _logs(as_tensor(output, self), self.at, "LogProbability")
        if isinstance(ids, Tensor):
            return picked(logs, ids[:, None])
        return entry_of_each(logs, (ids,))


@dataclass(frozen=True, eq=False)
class KLDivergence(Quantity):
    r"""How far the answer is from another: :math:`\sum_c p_c (\log p_c - \log q_c)`.

    q are the network's probabilities; p are those of ``reference``: by default the explained
    instances' own, so that along a path it tells how much of the answer isn't there yet. At the
    explained instance itself it is 0, and so is its gradient.

    Args:
        at: as for :class:`LogProbability`.
        reference: the other scores, (examples, classes), or (1, classes) for all.

    Example:
        >>> import torch
        >>> KLDivergence(reference=torch.zeros(1, 2))(torch.zeros(3, 2))
        tensor([0., 0., 0.])
    """

    at: Position = None
    reference: Tensor | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "at", given_positions(self.at))
        given = self.reference
        if given is not None and (not isinstance(given, Tensor) or given.ndim != 2):
            came = tuple(given.shape) if isinstance(given, Tensor) else type(given).__name__
            raise ValueError(f"expected a reference of shape (examples, classes), got {came}")

    @property
    def _own(self) -> Tensor | None:
        """The reference if each example has one of its own."""
        return None if self.reference is None or len(self.reference) == 1 else self.reference

    @property
    def examples(self) -> int | None:
        return examples_of(self._own, self.at)

    @property
    def reads_end(self) -> bool:
        return isinstance(self.at, int) and self.at == -1

    @property
    def needs_reference(self) -> bool:
        return self.reference is None

    def seeing(self, inputs: Mapping[str, Any]) -> KLDivergence:
        return replace(self, at=settled(self.at, inputs))

    def resolve(self, reference: Any) -> KLDivergence:
        if self.reference is not None:
            return self
        return replace(self, reference=_scores(as_tensor(reference, self), self.at, _KL).detach())

    def rows(self, examples: Tensor) -> KLDivergence:
        reference, at = self.reference, of_rows(self.at, examples)
        if reference is not None and len(reference) > 1:
            reference = reference[examples.to(reference.device)]
        return replace(self, at=at, reference=reference)

    def in_words(self, names: Names = None) -> str:
        own = "its own answer" if self.reference is None else "another answer"
        return f"KL divergence from {own}{in_words_at(self.at)}"

    def __call__(self, output: Any) -> Tensor:
        logs = _logs(as_tensor(output, self), self.at, _KL)
        wanted = log_probabilities(cast(Tensor, self.resolve(output).reference).to(logs.device))
        return (wanted.exp() * (wanted - logs)).sum(dim=-1)


_KL = "KLDivergence"


def _scores(scores: Tensor, at: Any, asks: str) -> Tensor:
    """Return the scores (rows, classes) at the positions; of one class there is nothing to say."""
    found = at_positions(scores, at, asks)
    if found.shape[-1] < 2:
        raise ValueError(
            f"expected scores of two classes or more for {asks}, got one: its probability is 1; "
            "use ClassScore(None)"
        )
    return found


def _logs(scores: Tensor, at: Any, asks: str) -> Tensor:
    return log_probabilities(_scores(scores, at, asks))
