"""What a network says without some features of its inputs: of a picture's pixels, here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from captum_influence.attr.quantities import Quantity
from captum_influence.attr.run import Run
from captum_influence.data.bars import progress
from captum_influence.metrics.options import ROWS
from captum_influence.network.inputs import network_of
from captum_influence.network.modes import without_graph

__all__ = ["PixelReplace", "Removal", "removing_pixels", "replaced_pixels"]

PixelReplace = str | float | Tensor


@dataclass(frozen=True, eq=False, kw_only=True)
class Removal:
    """A network whose input, or layer, can be asked to go without some of its features.

    Attributes:
        quantity: (examples,), q of the untouched network.
        features: how many there are for each example.
        answer: features put in the place of some, (rows, ...), and whose they are -> q (rows,).
        own: (examples, ...), the features as they are.
        other: shaped alike, what stands for those that are gone.
        spread: masks of features (rows, features) -> masks that broadcast with ``own``.
        run: how it is run.
    """

    quantity: Tensor
    features: int
    answer: Callable[[Tensor, Tensor], Tensor]
    own: Tensor
    other: Tensor
    spread: Callable[[Tensor], Tensor]
    run: Run

    def without(self, gone: Tensor) -> Tensor:
        """Return q (examples, sets) for each set of features, bool (examples, sets, features)."""
        sets, rows = gone.shape[1], self.run.internal_batch_size or ROWS
        whose = torch.arange(len(self.own)).repeat_interleave(sets)
        pieces = list(
            zip(torch.split(whose, rows), torch.split(gone.flatten(0, 1), rows), strict=True)
        )
        parts = []
        for part, masks in progress(pieces, "removals", unit="batch", show=self.run.show_progress):
            here = part.to(self.own.device)
            mask = self.spread(masks.to(self.own.device))
            parts.append(self.answer(torch.where(mask, self.other[here], self.own[here]), part))
        return torch.cat(parts).reshape(-1, sets)


def removing_pixels(
    model: nn.Module,
    inputs: Tensor,
    quantity: Quantity,
    *,
    replace: PixelReplace,
    patch: int,
    run: Run,
) -> Removal:
    """Return a network whose pictures can go without squares of ``patch`` pixels, row by row.

    Raises:
        ValueError: if there is no such replacement.
    """
    height, width = inputs.shape[2:]
    down, across = -(-height // patch), -(-width // patch)
    rows, network = run.internal_batch_size or ROWS, network_of(model, run.output)
    if quantity.needs_reference:
        with without_graph():
            quantity = quantity.resolve(network(inputs))

    def answer(pictures: Tensor, examples: Tensor) -> Tensor:
        with without_graph():
            return quantity.rows(examples)(network(pictures))

    def spread(mask: Tensor) -> Tensor:
        squares = mask.reshape(-1, 1, down, across)
        pixels = squares.repeat_interleave(patch, 2).repeat_interleave(patch, 3)
        return pixels[..., :height, :width]

    everyone = torch.split(torch.arange(len(inputs)), rows)
    return Removal(
        quantity=torch.cat([answer(inputs[part.to(inputs.device)], part) for part in everyone]),
        features=down * across,
        answer=answer,
        own=inputs,
        other=replaced_pixels(inputs, replace),
        spread=spread,
        run=run,
    )


def replaced_pixels(inputs: Tensor, replace: PixelReplace) -> Tensor:
    """Return what stands for pixels that are gone, shaped like the inputs.

    Raises:
        ValueError: for a name other than ``"mean"`` or ``"blur"``.
    """
    if isinstance(replace, Tensor):
        return replace.to(inputs).expand_as(inputs)
    if isinstance(replace, int | float):
        return torch.full_like(inputs, float(replace))
    if replace == "mean":
        return inputs.mean((2, 3), keepdim=True).expand_as(inputs)
    if replace != "blur":
        raise ValueError(
            f'expected replace as "mean", "blur", a number or a tensor, got {replace!r}'
        )
    reach = max(1, min(inputs.shape[2:]) // 8)
    for _ in range(3):  # three boxes come close to a Gaussian
        for down, across in ((reach, 0), (0, reach)):  # a box of two lines costs far less
            inputs = avg_pool2d(
                inputs,
                (2 * down + 1, 2 * across + 1),
                stride=1,
                padding=(down, across),
                count_include_pad=False,
            )
    return inputs
