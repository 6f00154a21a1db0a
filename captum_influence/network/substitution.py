"""What a network answers when activations at a layer are others, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from captum_influence.network.cuts import Cut
from captum_influence.network.outputs import tensor_of
from captum_influence.network.passes.arguments import Arguments
from captum_influence.network.reading import one_tensor
from captum_influence.network.slices import Slice

__all__ = ["Reruns", "class_scores", "reruns"]


@dataclass(frozen=True, eq=False)
class Reruns:
    """A batch at a cut, ready to be run on from there; only within a :func:`reruns` block.

    Attributes:
        activations: (examples, ...) at the cut.
        output: what the network itself answers.
    """

    activations: Tensor
    output: Any
    _slice: Slice
    _cut: Cut
    _images: Tensor

    @property
    def scores(self) -> Tensor:
        """(examples, classes), the network's own answer.

        Raises:
            TypeError: if it isn't one score per class.
        """
        return class_scores(self.output)

    def answer(self, changed: Tensor, examples: Tensor | None = None) -> Tensor:
        """Return the scores (rows, classes) for activations in place of the own ones.

        Arguments are those of :meth:`rerun`.

        Raises:
            TypeError: if the answer isn't one score per class.
        """
        return class_scores(self.rerun(changed, examples))

    def rerun(self, changed: Tensor, examples: Tensor | None = None) -> Any:
        """Return what the network answers for activations (rows, ...) in place of the own ones.

        Args:
            changed: what shall pass the cut.
            examples: int64 (rows,), to which example of the batch each row belongs; None: to each
                its own.
        """
        rows = torch.arange(len(changed)) if examples is None else examples
        images = self._images[rows.to(self._images.device)]
        overwrite = {self._cut: (changed,)}
        return self._slice.read((images,), (), overwrite=overwrite, examples=rows).output


@contextmanager
def reruns(model: nn.Module, cut: Cut, images: Tensor, rows: int | None = None) -> Iterator[Reruns]:
    """Run a batch up to the end once; within the block it can be run on from the cut again.

    What comes before the cut is remembered where possible, not run again.

    Args:
        model: the network.
        cut: where it is run on from.
        images: (examples, ...).
        rows: how many rows will be run on at most at once, if that is known.

    Raises:
        RuntimeError: if what a row gets depends on the rows beside it, and they are several.
    """
    slice_ = Slice(model, [], sample_at=cut)
    entry = cast(Cut, slice_.sample_at)  # the cut, found in the network
    with slice_.opened():
        images = slice_.admitted(images)
        if rows == 1 and len(images) == 1:  # they can't meet, as in the measure
            slice_.probe((images,), Arguments(examples=1), rows)
        reading = slice_.record((images,))
        found = one_tensor(reading.cuts[0], cut)
        yield Reruns(found, reading.output, slice_, entry, images)


def class_scores(output: Any) -> Tensor:
    """Return an output as scores (examples, classes).

    Raises:
        TypeError: if it isn't one score per class.
    """
    scores = tensor_of(output)
    if scores.ndim == 2 and scores.shape[1] > 1:
        return scores
    raise TypeError(
        f"expected a network that returns scores (examples, classes), got {tuple(scores.shape)}: "
        "turn what it returns into scores with output=, a function"
    )
