"""The score of what a detector finds at a place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from captum_influence.attr.quantities import Quantity
from captum_influence.data.labels import Names, class_name

__all__ = ["BoxScore"]

_PARTS = ("boxes", "labels", "scores")


@dataclass(frozen=True, eq=False)
class BoxScore(Quantity):
    r"""The score of the detection nearest to a box: of largest :math:`|A ∩ B| / |A ∪ B|` with it.

    For detectors that return for each example a mapping with ``boxes`` (detections, 4) as x1, y1,
    x2, y2, ``labels`` and ``scores`` (detections,), as torchvision's do. Which detection that is
    is found anew in each pass: non-maximum suppression and thresholds choose, and have no gradient.
    Where none is near enough any more, the quantity is 0, and so is its gradient.

    Args:
        box: x1, y1, x2, y2 in pixels of the input; a list or tensor (examples, 4): one for each.
        label: the class that is meant; a list or 1-D tensor: one for each; None: any.
        overlap: how near is near enough, in (0, 1].

    Raises:
        ValueError: if a box is empty; on the explained instance, if there is no such detection.
        TypeError: when it is evaluated on what isn't the output of a detector.

    Example:
        >>> found = {"boxes": [[0, 0, 4, 4], [8, 8, 9, 9]], "labels": [3, 3], "scores": [0.5, 0.9]}
        >>> BoxScore((0, 0, 4, 5), 3)([{name: torch.tensor(part) for name, part in found.items()}])
        tensor([0.5000])
    """

    box: Sequence[float] | Sequence[Sequence[float]] | Tensor
    label: int | Sequence[int] | Tensor | None = None
    overlap: float = 0.5
    _boxes: Tensor = field(init=False, repr=False)
    _labels: Tensor | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        boxes = torch.as_tensor(self.box)
        if boxes.ndim not in (1, 2) or boxes.shape[-1] != 4:
            raise ValueError(
                "expected box= as (x1, y1, x2, y2), or one for each example, got shape "
                f"{tuple(boxes.shape)}"
            )
        if not bool((boxes[..., 2:] > boxes[..., :2]).all()):
            raise ValueError(
                f"expected a box with x1 < x2 and y1 < y2, got {boxes.tolist()}: one given as x, "
                "y, width, height is (x, y, x + width, y + height)"
            )
        if not 0 < self.overlap <= 1:
            raise ValueError(f"expected overlap= in (0, 1], got {self.overlap}")
        object.__setattr__(self, "_boxes", boxes)
        labels = None if self.label is None else torch.as_tensor(self.label)
        object.__setattr__(self, "_labels", labels)
        _ = self.examples  # boxes and labels must agree

    @property
    def examples(self) -> int | None:
        each = (self._boxes if self._boxes.ndim == 2 else None, self._several_labels)
        counts = {len(one) for one in each if one is not None}
        if len(counts) > 1:
            raise ValueError(f"expected as many boxes as labels, got {sorted(counts)}")
        return counts.pop() if counts else None

    @property
    def _several_labels(self) -> Tensor | None:
        return None if self._labels is None or self._labels.ndim == 0 else self._labels

    def rows(self, examples: Tensor) -> BoxScore:
        chosen = examples.cpu()
        box = self._boxes[chosen] if self._boxes.ndim == 2 else self.box
        labels = self._several_labels
        return replace(self, box=box, label=self.label if labels is None else labels[chosen])

    def resolve(self, reference: Any) -> BoxScore:
        for row, found in enumerate(_detections(reference)):
            near = self._nearness(found, row)
            if not _is_near(near, self.overlap):
                nearest = (
                    f"the nearest overlaps by {float(near.max()):.2f}" if len(near) else "none"
                )
                raise ValueError(
                    f"expected a detection that overlaps the box by {self.overlap} or more for "
                    f"{self.in_words()}, got {len(near)} in example {row}, {nearest}: name a box "
                    "that the network returns, lower overlap=, or the detector's own threshold"
                )
        return self

    def in_words(self, names: Names = None) -> str:
        labels = self._labels
        one = labels is not None and labels.ndim == 0
        what = class_name(int(labels), names) if labels is not None and one else "detection"
        box = self._boxes
        where = "a box each" if box.ndim == 2 else ", ".join(f"{x:.3g}" for x in box.tolist())
        return f"score({what} at {where})"

    def __call__(self, output: Any) -> Tensor:
        return torch.stack([self._score(one, row) for row, one in enumerate(_detections(output))])

    def _score(self, found: Mapping[str, Tensor], row: int) -> Tensor:
        scores, near = found["scores"], self._nearness(found, row)
        # Where it is gone, zero, which is a part of the graph nevertheless.
        return scores[near.argmax()] if _is_near(near, self.overlap) else scores.sum() * 0

    def _nearness(self, found: Mapping[str, Tensor], row: int) -> Tensor:
        """Return how much each detection (detections,) overlaps the box; -1 of another class."""
        box = self._boxes if self._boxes.ndim == 1 else self._boxes[row]
        near = _overlaps(found["boxes"].detach(), box.to(found["boxes"]))
        if self._labels is None:
            return near
        label = self._labels if self._labels.ndim == 0 else self._labels[row]
        return near.masked_fill(found["labels"] != label.to(found["labels"]), -1.0)


def _is_near(nearness: Tensor, overlap: float) -> bool:
    return len(nearness) > 0 and float(nearness.max()) >= overlap


def _detections(output: Any) -> Sequence[Mapping[str, Tensor]]:
    if isinstance(output, list | tuple) and all(
        isinstance(one, Mapping) and all(isinstance(one.get(p), Tensor) for p in _PARTS)
        for one in output
    ):
        return output
    raise TypeError(
        "BoxScore reads what a detector in eval mode returns, a list with a dict of boxes, labels "
        f"and scores for each example, got {type(output).__name__}: wrap the network in a Module "
        "that returns that, or name an entry with ClassScore((..., ...))"
    )


def _overlaps(boxes: Tensor, box: Tensor) -> Tensor:
    """Return intersection over union of boxes (n, 4) with one (4,)."""
    low, high = boxes[:, :2].maximum(box[:2]), boxes[:, 2:].minimum(box[2:])
    both = (high - low).clamp_min(0).prod(dim=1)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1) + (box[2:] - box[:2]).prod()
    return both / (area - both)
