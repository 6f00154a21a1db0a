"""The mean score of a class over a region, of networks that score every place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from captum_influence.attr.quantities import Quantity, as_tensor
from captum_influence.data.labels import Names, class_name

__all__ = ["RegionScore"]


@dataclass(frozen=True, eq=False)
class RegionScore(Quantity):
    r"""A class's mean score over a region: :math:`Σ_p m_p s_{c,p} / Σ_p m_p`.

    For networks that return scores (examples, classes, height, width), as for segmentation,
    whose ``["out"]`` or ``.logits`` is found.

    Args:
        target: the class; a list or 1-D tensor: one for each example.
        mask: where, (height, width) as the scores are, 1 inside and 0 outside, or weights between;
            (examples, height, width): one for each; None: where the network says that class of
            the explained instance, which stays as it is along a path or in noise.

    Raises:
        ValueError: if a region is empty, or of another shape than the places; without a mask, if
            the network says the class nowhere.

    Example:
        >>> scores = torch.tensor([[[[1.0, 3.0], [5.0, 7.0]]]])  # one class, 2 × 2 places
        >>> RegionScore(0, [[1, 1], [0, 0]])({"out": scores})
        tensor([2.])
    """

    target: int | Sequence[int] | Tensor
    mask: Tensor | Sequence[Any] | None = None
    _classes: Tensor = field(init=False, repr=False)
    _mask: Tensor | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_classes", torch.as_tensor(self.target))
        mask = None if self.mask is None else torch.as_tensor(self.mask)
        object.__setattr__(self, "_mask", mask)
        if mask is not None:
            regions = mask.flatten(1) if mask.ndim > 2 else mask.reshape(1, -1)
            if bool((mask < 0).any()) or not bool(regions.any(dim=1).all()):
                raise ValueError(
                    "expected mask= with ones inside the region and zeros outside, got one that is "
                    "empty, or negative somewhere: mark the places that are meant"
                )
        _ = self.examples  # classes and masks must agree

    @property
    def examples(self) -> int | None:
        each = (self._classes if self._classes.ndim else None, self._masks)
        counts = {len(one) for one in each if one is not None}
        if len(counts) > 1:
            raise ValueError(f"expected as many masks as classes, got {sorted(counts)}")
        return counts.pop() if counts else None

    @property
    def _masks(self) -> Tensor | None:
        """One for each example, if there are several."""
        return None if self._mask is None or self._mask.ndim < 3 else self._mask

    def rows(self, examples: Tensor) -> RegionScore:
        chosen, masks = examples.cpu(), self._masks
        return replace(
            self,
            target=self._classes[chosen] if self._classes.ndim else self.target,
            mask=self.mask if masks is None else masks.cpu()[chosen],
        )

    def resolve(self, reference: Any) -> RegionScore:
        if self._mask is not None:
            return self
        scores = self._places(reference)
        said = scores.argmax(dim=1)
        mask = said == self._classes.to(said).reshape(-1, *[1] * (said.ndim - 1))
        if not bool(mask.flatten(1).any(dim=1).all()):
            raise ValueError(
                f"expected places where the network says {self.in_words()}, got none in an "
                "example: name another class, or a mask="
            )
        return replace(self, mask=mask)

    def in_words(self, names: Names = None) -> str:
        one = self._classes.ndim == 0
        return f"mean score({class_name(int(self._classes), names) if one else 'classes'}, region)"

    def __call__(self, output: Any) -> Tensor:
        scores = self._places(output)
        if self._mask is None:
            return self.resolve(output)(output)
        mask = self._mask.to(scores)
        of_each = mask if mask.ndim > 2 else mask.expand(len(scores), *mask.shape)
        places = tuple(scores.shape[2:])
        if tuple(of_each.shape) != (len(scores), *places):
            raise ValueError(
                f"expected a mask of {places}, the places that the network scores, or one for each "
                f"of {len(scores)} examples, got {tuple(mask.shape)}: resize it, for example with "
                f"torch.nn.functional.interpolate(mask[None, None].float(), {places})[0, 0]"
            )
        index = self._classes.to(scores.device).expand(len(scores))
        chosen = scores[torch.arange(len(scores), device=scores.device), index]
        weighted = (chosen * of_each).flatten(1).sum(dim=1)
        return weighted / of_each.flatten(1).sum(dim=1)

    def _places(self, output: Any) -> Tensor:
        """Return the scores, (rows, classes, ...), with places."""
        scores = as_tensor(output, self)
        if scores.ndim < 4:
            raise ValueError(
                "expected scores (examples, classes, height, width), one for each place, got shape "
                f"{tuple(scores.shape)}: a network that scores whole pictures takes ClassScore"
            )
        if not 0 <= int(self._classes.min()) <= int(self._classes.max()) < scores.shape[1]:
            raise ValueError(
                f"expected classes from 0 to {scores.shape[1] - 1}, got {self._classes.tolist()}"
            )
        return scores
