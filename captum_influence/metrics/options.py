"""The keywords that metrics share: how they are run, and which units they ask about."""

from __future__ import annotations

from typing import cast

from typing_extensions import TypedDict

from captum_influence.attr.run import Run
from captum_influence.data.labels import Names
from captum_influence.network.outputs import Output
from captum_influence.units.axes import AxisLike
from captum_influence.units.options import Chosen, Options, check_options, collected
from captum_influence.units.units_of import LayerLike

__all__ = ["ROWS", "RunOptions", "UnitOptions", "chosen_run", "chosen_units"]

ROWS = 64  # per pass, where nothing is said


class RunOptions(TypedDict, total=False):
    """What metrics that run a network take by keyword: fields of :class:`Run`, class names.

    ``run=`` takes them whole. ``internal_batch_size`` is 64 where nothing is said.
    """

    class_names: Names
    internal_batch_size: int | None
    seed: int
    show_progress: bool
    output: Output
    run: Run


class UnitOptions(RunOptions, total=False):
    """What metrics of a layer's units take by keyword besides: fields of :class:`UnitsOf`."""

    axis: AxisLike
    heads: int | None


def chosen_run(verb: str, options: RunOptions) -> Run:
    """Return how it is run.

    Raises:
        TypeError: if there is no such option, or it is said twice.
        ValueError: if one is out of range.
    """
    check_options(verb, options, RunOptions)
    run: Run = collected(verb, "run", Run, options)
    return run


def chosen_units(verb: str, layer: LayerLike, options: UnitOptions) -> Chosen:
    """Return which units are asked about, and how it is run; raises as :func:`chosen_run`."""
    check_options(verb, options, UnitOptions)
    return Chosen.of(verb, layer, cast(Options, options))
