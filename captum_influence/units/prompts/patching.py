"""Units of a prompt replaced for real, any of them, in many layers at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from captum_influence.attr.quantities import Quantity
from captum_influence.network.cuts import Cut
from captum_influence.units.prompts.prompt import Prompt, passing
from captum_influence.units.prompts.sites import Site

__all__ = ["Patching"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Patching:
    """A prompt that can be run with any of its units replaced, in many layers at once.

    Attributes:
        network: the network.
        prompt: the prompt.
        quantity: what was asked, resolved.
        value: the quantity of the prompt itself.
        instead: what takes a unit's place, (1, positions, features) at each cut.
        rows: how many prompts run at once.
    """

    network: nn.Module
    prompt: Prompt
    quantity: Quantity
    value: float
    instead: Mapping[Cut, Tensor]
    rows: int

    def lost(self, sets: Sequence[Sequence[tuple[Site, int]]]) -> Tensor:
        """Return how much of the quantity is lost with each set of units replaced, (sets,)."""
        parts = [self._lost(sets[i : i + self.rows]) for i in range(0, len(sets), self.rows)]
        return torch.cat(parts)

    def _lost(self, sets: Sequence[Sequence[tuple[Site, int]]]) -> Tensor:
        # The prompt itself is in the same batch: alone, it would differ by the rounding of another
        # batch size, which small effects don't stand.
        rows = [(), *sets]
        sites = dict.fromkeys(site for units in sets for site, _ in units)
        changes = {s.cut: partial(self._replaced, s, _chosen(s, rows)) for s in sites}
        output, _ = passing(self.network, self.prompt.inputs, changes, rows=len(rows))
        asked = self.quantity.rows(torch.zeros(len(rows), dtype=torch.long))
        values = asked(output).detach().double().cpu()
        return values[0] - values[1:]

    def _replaced(self, site: Site, chosen: Tensor, activations: Tensor) -> Tensor:
        mask = site.axis.spread(chosen).to(activations.device)
        return torch.where(mask, self.instead[site.cut], activations)


def _chosen(site: Site, sets: Sequence[Sequence[tuple[Site, int]]]) -> Tensor:
    chosen = torch.zeros(len(sets), site.count, dtype=torch.bool)
    for row, units in enumerate(sets):
        chosen[row, [unit for other, unit in units if other is site]] = True
    return chosen
