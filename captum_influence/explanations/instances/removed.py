"""What a network says without the units that are shown."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from captum_influence.network.outputs import scores_in
from captum_influence.network.predictions import Prediction, named_predictions
from captum_influence.network.substitution import reruns
from captum_influence.units.axes import Axis
from captum_influence.units.options import Chosen
from captum_influence.units.ranking import UnitInfluence
from captum_influence.units.replacement import Replacement

__all__ = ["answers_without"]

_ROWS = 32  # of a pass


def answers_without(
    network: nn.Module,
    inputs: Tensor,
    replacement: Replacement,
    chosen: Chosen,
    axis: Axis,
    shown: Sequence[UnitInfluence],
) -> tuple[Prediction, ...]:
    """Return what the network says without each unit alone, and last without all of them.

    Args:
        network: the network.
        inputs: one input, (1, ...).
        replacement: what is put in a unit's place.
        chosen: the layer, and how classes are called.
        axis: what tells units apart.
        shown: the units.

    Returns:
        A class for each, that with the highest score; none if the output isn't a score per class.
    """
    rows = chosen.run.internal_batch_size or _ROWS
    with reruns(network, chosen.units.cut, inputs, rows) as runs:
        scores = scores_in(runs.output)
        if scores is None or scores.shape[1] < 2:
            return ()
        own, answers = runs.activations, []
        other = replacement.like(own).expand_as(own)
        for gone in torch.split(_sets(axis, shown), rows):
            changed = torch.where(axis.spread(gone.to(own.device)), other, own)
            found = scores_in(runs.rerun(changed, torch.zeros(len(gone), dtype=torch.long)))
            answers += [] if found is None else list(found.detach())
    names = chosen.shown.class_names
    return tuple(named_predictions(row, [int(row.argmax())], names)[0] for row in answers)


def _sets(axis: Axis, shown: Sequence[UnitInfluence]) -> Tensor:
    """Return (units + 1, features) bool: each unit alone, and all of them."""
    flat = [int(np.ravel_multi_index(unit.index, axis.sizes)) for unit in shown]
    alone = torch.zeros(len(flat), int(np.prod(axis.sizes)), dtype=torch.bool)
    alone[range(len(flat)), flat] = True
    return torch.cat([alone, alone.any(dim=0, keepdim=True)])
