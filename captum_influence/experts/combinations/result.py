"""What units do together, beside what they do alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

__all__ = ["Combination"]


@dataclass(frozen=True, eq=False)
class Combination:
    """What removing units together does to a quantity, beside what removing each alone does.

    Attributes:
        units: what the units are called.
        quantity: what was asked, in words.
        value: (examples,) the quantity.
        joint: (examples,) how far it falls when all units are removed at once.
        alone: (examples, units) how far it falls when only that unit is removed.
        along_path: (examples,) the units' contributions over a distribution, each without what it
            does through later ones of the set; None if not asked for.
    """

    units: tuple[str, ...]
    quantity: str
    value: Tensor
    joint: Tensor
    alone: Tensor
    along_path: Tensor | None = None

    @property
    def added(self) -> Tensor:
        """(examples,) what removing each alone does, added up."""
        return self.alone.sum(dim=1)

    @property
    def interaction(self) -> Tensor:
        """(examples,) ``joint − added``: what can't be seen one by one.

        For units that raise the quantity, above zero they stand in for each other (redundancy): one
        alone isn't missed. Below zero each needs the others (synergy): a gate and its signal, or
        two units in one chain, whose single effects count the same thing twice.
        """
        return self.joint - self.added

    @property
    def headline(self) -> str:
        """The finding in words, averaged over the examples."""
        joint, added = float(self.joint.mean()), float(self.added.mean())
        return (
            f"Removing {len(self.units)} units together changes {self.quantity} by {-joint:.3g}; "
            f"removing each alone, added up, by {-added:.3g}."
        )

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON can hold it."""
        path = None if self.along_path is None else self.along_path.tolist()
        return {
            "units": list(self.units),
            "quantity": self.quantity,
            "value": self.value.tolist(),
            "joint": self.joint.tolist(),
            "added": self.added.tolist(),
            "interaction": self.interaction.tolist(),
            "alone": self.alone.tolist(),
            "along_path": path,
        }
