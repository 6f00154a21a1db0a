"""A unit that matters, what it responds to in an input, and examples of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from captum_influence.reports.display import Display, Highlight
from captum_influence.units.geometry import Box
from captum_influence.units.ranking import UnitInfluence

__all__ = ["Example", "InterpretedUnit"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Example:
    """An input out of a loader in which a unit stands out.

    Attributes:
        kind: by what: ``"activation"``, or what units are ranked by.
        number: which one, in the loader's order.
        label: its label, if the loader has labels.
        value: how much.
        display: how it is shown; a picture's ``image`` is also the example's own.
        label_name: what its label is called, if the loader has labels.
        box: (top, left, bottom, right) of the pixels that the unit's most active entry depends on
            there; None if it is silent, or not known.
    """

    kind: str
    number: int
    label: int | None
    value: float
    display: Display
    label_name: str | None = None
    box: Box | None = None

    @property
    def image(self) -> Tensor:
        """(3, height, width) in [0, 1], of a picture.

        Raises:
            AttributeError: if it is none.
        """
        picture: Tensor = self.display.picture  # type: ignore[attr-defined]  # said above
        return picture

    @property
    def crop(self) -> Tensor | None:
        """(3, height, width) the picture within the box: what the unit's most active entry sees."""
        if self.box is None:
            return None
        top, left, bottom, right = self.box
        return self.image[:, top:bottom, left:right]

    def to_dict(self) -> dict[str, Any]:
        """Return all but the picture, as JSON can hold it."""
        return {
            "kind": self.kind,
            "number": self.number,
            "label": self.label,
            "label_name": self.label_name,
            "value": self.value,
            "box": self.box,
        }


@dataclass(frozen=True, eq=False, kw_only=True)
class InterpretedUnit:
    """A unit that matters, and what in the input it responds to.

    Attributes:
        unit: which unit, what it did, and its share.
        seen: what each place of the input does, to the unit or through it to the quantity (see
            ``focus`` of :class:`Shown`), and what that lights. Of a picture, its ``map``,
            ``mask``, ``regions``, ``box`` and ``crop`` are also the unit's own.
        examples: where in the loader the unit is most active, and where its contribution is
            largest.
    """

    unit: UnitInfluence
    seen: Highlight
    examples: tuple[Example, ...] = ()

    def __getattr__(self, name: str) -> Any:
        """Return what the highlight knows of the unit: ``unit.map`` is ``unit.seen.map``."""
        if name.startswith("_") or name == "seen":
            raise AttributeError(name)
        return getattr(self.seen, name)

    def to_dict(self) -> dict[str, Any]:
        """Return all but the tensors, as JSON can hold it."""
        return {
            "unit": self.unit.to_dict(),
            **self.seen.to_dict(),
            "examples": [example.to_dict() for example in self.examples],
        }
