"""A unit that matters, what it responds to in an input, and examples of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from torch import Tensor

from captum_influence.units.geometry import Box
from captum_influence.units.ranking import UnitInfluence
from captum_influence.units.regions import Region
from captum_influence.visualization.blur import gaussian_blur

if TYPE_CHECKING:
    pass

__all__ = ["Example", "InterpretedUnit"]


Arrays = Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class Example:
    """A picture out of a loader in which a unit stands out.

    Attributes:
        kind: by what: ``"activation"``, or what units are ranked by.
        number: which one, in the loader's order.
        label: its label, if the loader has labels.
        value: how much.
        image: (3, height, width) in [0, 1], for display.
        label_name: what its label is called, if the loader has labels.
        box: (top, left, bottom, right) of the pixels that the unit's most active entry depends on
            there; None if it is silent, or not known.
    """

    kind: str
    number: int
    label: int | None
    value: float
    image: Tensor
    label_name: str | None = None
    box: Box | None = None

    @property
    def crop(self) -> Tensor | None:
        """(3, height, width) the picture within the box: what the unit's most active entry sees."""
        if self.box is None:
            return None
        top, left, bottom, right = self.box
        return self.image[:, top:bottom, left:right]


@dataclass(frozen=True, eq=False)
class InterpretedUnit:
    """A unit that matters, and what in the picture it responds to.

    Attributes:
        unit: which unit, what it did, and its share.
        map: (height, width) what each pixel does, to the unit or through it to the quantity (see
            ``focus`` of :func:`explain`), colours added up, signed.
        sigma: the standard deviation of the Gaussian on the map before anything is cut out.
        mask: (height, width) bool: where the smoothed map is highest.
        regions: the connected parts of the mask, the one with the largest share first.
        box: (top, left, bottom, right) of the crop; None if the mask is empty.
        crop: (3, height, width) of the picture around the first region; None without one.
        examples: where in the loader the unit is most active, and where it does most.
    """

    unit: UnitInfluence
    map: Tensor
    sigma: float
    mask: Tensor
    regions: tuple[Region, ...]
    box: Box | None
    crop: Tensor | None
    examples: tuple[Example, ...] = ()

    @property
    def heat(self) -> Tensor:
        """The map as it is shown: smoothed by ``sigma``."""
        return gaussian_blur(self.map, self.sigma)

    @property
    def masked_share(self) -> float:
        """The part of the smoothed map's positive total that lies in the mask, from 0 to 1."""
        return sum(region.share for region in self.regions)

    def to_dict(self) -> dict[str, Any]:
        """Return all but the tensors, as JSON can hold it."""
        return {
            "unit": {**asdict(self.unit), "name": self.unit.name},
            "sigma": self.sigma,
            "map_total": float(self.map.double().sum()),
            "masked_share": self.masked_share,
            "regions": [asdict(region) for region in self.regions],
            "box": self.box,
            "examples": [
                {f.name: getattr(e, f.name) for f in fields(e) if f.name != "image"}
                for e in self.examples
            ],
        }

    def arrays(self, prefix: str) -> dict[str, Tensor]:
        """Return the tensors under names that begin with ``prefix``."""
        found = {f"{prefix}_map": self.map, f"{prefix}_mask": self.mask}
        if self.crop is not None:
            found[f"{prefix}_crop"] = self.crop
        return found | {f"{prefix}_example{i}": e.image for i, e in enumerate(self.examples)}

    @staticmethod
    def restored(content: Mapping[str, Any], arrays: Arrays, prefix: str) -> InterpretedUnit:
        """Return what :meth:`to_dict` and :meth:`arrays` were made from."""
        examples = enumerate(content["examples"])
        box = content["box"]
        return InterpretedUnit(
            _unit(content["unit"]),
            arrays[f"{prefix}_map"],
            content["sigma"],
            arrays[f"{prefix}_mask"],
            tuple(_region(region) for region in content["regions"]),
            _box(box),
            arrays.get(f"{prefix}_crop"),
            tuple(_example(e, arrays[f"{prefix}_example{i}"]) for i, e in examples),
        )


def _unit(content: Mapping[str, Any]) -> UnitInfluence:
    given = {name: value for name, value in content.items() if name != "name"}
    return UnitInfluence(**{**given, "index": tuple(given["index"])})


def _example(content: Mapping[str, Any], image: Tensor) -> Example:
    return Example(**{**content, "box": _box(content.get("box"))}, image=image)


def _box(sides: Sequence[int] | None) -> Box | None:
    return None if sides is None else (sides[0], sides[1], sides[2], sides[3])


def _region(content: Mapping[str, Any]) -> Region:
    top, left, bottom, right = content["box"]
    row, column = content["peak"]
    return Region((top, left, bottom, right), content["pixels"], content["share"], (row, column))
