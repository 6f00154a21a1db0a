"""The answer of ``explain``: what was asked, which units matter, what each of them looks at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from captum_influence.data.archives import plain, read_archive, write_archive
from captum_influence.explanations.instances.page import explanation_page
from captum_influence.network.predictions import Prediction
from captum_influence.reports.asked import Code
from captum_influence.reports.page import Page
from captum_influence.units.ranking import UnitInfluence
from captum_influence.visualization import maps

if TYPE_CHECKING:
    from matplotlib.figure import Figure
from captum_influence.reports.finding import Finding
from captum_influence.units.interpreted import InterpretedUnit, _unit

__all__ = ["Explanation"]


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
        >>> from captum_influence.explanations.instances.find import explain
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
            maps.UnitRow(row.unit.name, row.unit.share, row.heat, row.mask, row.crop, row.box)
            for row in self.units
        ]
        return maps.overview(self.picture, rows, title=self.headline)

    def page(self, command: str | None = None) -> Page:
        return explanation_page(self, command)

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
