"""The answer of ``explain``: what was asked, which units matter, what each of them looks at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from importlib.metadata import PackageNotFoundError, version
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from captum_influence import visualization
from captum_influence.explain.archive import plain, read_archive, write_archive
from captum_influence.explain.measuring import Example
from captum_influence.explain.receptive import Box
from captum_influence.explain.regions import Region, blurred
from captum_influence.explain.units import UnitInfluence

if TYPE_CHECKING:
    from matplotlib.figure import Figure
from captum_influence.explain.finding import Finding

__all__ = ["Code", "Explanation", "InterpretedUnit", "Prediction", "installed_versions"]

Arrays = Mapping[str, Tensor]


class Code(str):
    """A setting that is written down as the Python that builds it."""

    def __repr__(self) -> str:
        """Return the code itself, without quotes."""
        return str(self)


@dataclass(frozen=True)
class Prediction:
    """One class, as the network sees it.

    Attributes:
        index: which class.
        name: what it is called.
        score: the network's output for it.
        probability: the softmax of all scores there (the output itself if it already sums to 1).
    """

    index: int
    name: str
    score: float
    probability: float


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
        return blurred(self.map, self.sigma)

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


@dataclass(frozen=True, eq=False)
class Explanation(Finding):
    """Why a network said what it said about one picture, at one layer.

    Attributes:
        headline: the finding in words.
        network: the class of the network.
        layer: the layer's name.
        quantity: what was asked, in words.
        predictions: the classes with the highest scores; empty if the output isn't one score each.
        units: the units that raise the quantity most, each interpreted.
        against: the units that lower it most.
        values: what every unit of the layer did, one entry each.
        picture: (3, height, width) in [0, 1].
        value: the quantity on the picture.
        delta: for contributions, how far their sum is from the quantity's change; else None.
        settings: the keyword arguments that ask the same again.
        facts: what else was the case: the distribution in words, number of points, device, ...
        versions: of what computed it.
        seconds: how long it took.

    Example:
        >>> from captum_influence.demo import demo_scene, load_demo_network
        >>> from captum_influence.explain import explain
        >>> found = explain(load_demo_network(), demo_scene().image, "relu5", quantity=0, top=1)
        >>> found.quantity
        'score(class 0)'
    """

    headline: str
    network: str
    layer: str
    quantity: str
    predictions: tuple[Prediction, ...]
    units: tuple[InterpretedUnit, ...]
    against: tuple[UnitInfluence, ...]
    values: Tensor
    picture: Tensor
    value: float
    delta: float | None
    settings: Mapping[str, Any]
    facts: Mapping[str, Any]
    versions: Mapping[str, str]
    seconds: float

    @property
    def call(self) -> str:
        """The Python call that asks the same again."""
        lines = [f"    {name}={value!r}," for name, value in self.settings.items()]
        return "\n".join([f"explain(\n    model, image, {self.layer!r},", *lines, ")"])

    def shown_by_map(self, unit: UnitInfluence) -> str:
        """Return what the map of a unit is about: the unit, or the quantity through the unit."""
        through = self.settings["focus"] == "quantity"
        return f"{self.quantity} through {unit.name}" if through else unit.name

    def plot(self) -> Figure:
        """Return the finding as one Matplotlib figure: the picture, the units, their maps."""
        rows = [
            visualization.UnitRow(
                row.unit.name, row.unit.share, row.heat, row.mask, row.crop, row.box
            )
            for row in self.units
        ]
        return visualization.overview(self.picture, rows, title=self.headline)

    def to_dict(self) -> dict[str, Any]:
        """Return all but the tensors, as JSON can hold it."""
        content = {
            f.name: getattr(self, f.name)
            for f in fields(self)
            if f.name not in ("predictions", "units", "against", "values", "picture")
        }
        content["settings"] = {
            name: {"code": str(value)} if isinstance(value, Code) else value
            for name, value in self.settings.items()
        }
        content["predictions"] = [asdict(prediction) for prediction in self.predictions]
        content["units"] = [unit.to_dict() for unit in self.units]
        content["against"] = [{**asdict(unit), "name": unit.name} for unit in self.against]
        found: dict[str, Any] = plain(content)
        return found

    def save(self, path: str | PathLike[str]) -> tuple[Path, Path]:
        """Write explanation.json and explanation.npz into a folder, made if need be.

        A path that ends in .json or .npz names the two files instead.
        """
        arrays = {"values": self.values, "picture": self.picture}
        for i, unit in enumerate(self.units):
            arrays |= unit.arrays(f"unit{i}")
        return write_archive(path, self.to_dict(), arrays)

    @staticmethod
    def load(path: str | PathLike[str]) -> Explanation:
        """Return what :meth:`save` wrote there.

        Raises:
            ValueError: if there is none, or it was written by another version.
        """
        content, stored = read_archive(path)
        arrays = {name: torch.from_numpy(array) for name, array in stored.items()}
        given = {f.name: content[f.name] for f in fields(Explanation) if f.name in content}
        given["predictions"] = tuple(Prediction(**p) for p in content["predictions"])
        given["against"] = tuple(_unit(unit) for unit in content["against"])
        given["settings"] = {
            name: Code(value["code"]) if isinstance(value, dict) else value
            for name, value in content["settings"].items()
        }
        given["units"] = tuple(
            InterpretedUnit.restored(unit, arrays, f"unit{i}")
            for i, unit in enumerate(content["units"])
        )
        return Explanation(**given, values=arrays["values"], picture=arrays["picture"])


def installed_versions() -> dict[str, str]:
    """Return the versions of what an explanation depends on."""
    return {name: _version(name) for name in ("captum-influence", "torch", "captum", "numpy")}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed as a distribution"


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
