"""The keywords that all verbs share, and the values that they are collected into."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from typing import Any

from torch import Tensor
from typing_extensions import TypedDict

from captum_influence.attr.run import Run
from captum_influence.data.labels import Names
from captum_influence.network.outputs import Output
from captum_influence.reports.display import Display
from captum_influence.reports.shown import Focus, Shown
from captum_influence.units.axes import Aggregate, AxisLike
from captum_influence.units.ranking import By
from captum_influence.units.units_of import LayerLike, UnitsOf

__all__ = ["Chosen", "Options", "SurveyOptions"]


class SurveyOptions(TypedDict, total=False):
    """What verbs over a loader take by keyword.

    These are fields of :class:`UnitsOf`, :class:`Shown` and :class:`Run`, and what units are ranked
    ``by``. They mean the same everywhere and are described there. ``shown=`` and ``run=`` take the
    values whole, to be made once and used for many questions.
    """

    axis: AxisLike
    heads: int | None
    aggregate: Aggregate
    by: By
    class_names: Names
    display: Callable[[Tensor], Tensor | Display] | None
    percentile: float
    smoothing: float | None
    focus: Focus
    tokenizer: Any
    shown: Shown
    internal_batch_size: int | None
    seed: int
    show_progress: bool
    output: Output
    run: Run


class Options(SurveyOptions, total=False):
    """What verbs about one input take by keyword: the same, its picture, a loader for examples."""

    picture: Tensor | None
    overlay: bool
    loader: Iterable[Any] | None


@dataclass(frozen=True, eq=False)
class Chosen:
    """The options of one call.

    Attributes:
        units: of which layer.
        by: what ranks them.
        shown: how it is shown.
        run: how it is run.
    """

    units: UnitsOf
    by: By
    shown: Shown
    run: Run

    @staticmethod
    def of(
        verb: str,
        layer: LayerLike,
        options: SurveyOptions,
        *,
        by: By = "contribution",
        known: Any = Options,
    ) -> Chosen:
        """Collect the options of a call.

        Args:
            verb: the function's name, for messages.
            layer: that it was called with.
            options: its keywords.
            by: what units are ranked by if nothing is said.
            known: a TypedDict of the keywords there are, where the verb has further ones.

        Raises:
            TypeError: if there is no such option, or it is said twice.
            ValueError: if one is out of range.
        """
        check_options(verb, options, known)
        chosen = options.get("by", by)
        if chosen not in ("influence", "contribution"):
            raise ValueError(f'expected by="contribution" or by="influence", got {chosen!r}')
        return Chosen(
            _units(verb, layer, options),
            chosen,
            collected(verb, "shown", Shown, options),
            collected(verb, "run", Run, options),
        )


def _units(verb: str, layer: LayerLike, options: Any) -> UnitsOf:
    given = {n: options[n] for n in ("axis", "heads", "aggregate") if n in options}
    if not isinstance(layer, UnitsOf):
        return UnitsOf(layer, **given)
    if given:
        raise TypeError(
            f"{verb}() got layer=UnitsOf(...) and {', '.join(given)} beside it: say it in one of "
            "the two"
        )
    return layer


def check_options(verb: str, options: Any, known: Any = Options) -> None:
    """Refuse what isn't an option, as Python refuses an unknown keyword.

    Args:
        verb: the function's name, for messages.
        options: its keywords.
        known: a TypedDict of those there are; the function's own are near ones too.

    Raises:
        TypeError: naming the nearest one.
    """
    for name in options:
        if name not in known.__annotations__:
            near = difflib.get_close_matches(name, known.__annotations__, 1)
            hint = (
                f": did you mean {near[0]}=?"
                if near
                else f", but {', '.join(known.__annotations__)}"
            )
            raise TypeError(f"{verb}() takes no keyword {name!r}{hint}")


def collected(verb: str, name: str, kind: Any, options: Any) -> Any:
    """Return a value given whole, or made of the options that are its fields.

    Raises:
        TypeError: if it is given whole and in parts.
    """
    parts = {f.name: options[f.name] for f in fields(kind) if f.name in options}
    whole = options.get(name)
    if whole is None:
        return kind(**parts)
    if parts:
        raise TypeError(
            f"{verb}() got {name}={kind.__name__}(...) and {', '.join(parts)} beside it: say it in "
            "one of the two"
        )
    if not isinstance(whole, kind):
        raise TypeError(f"expected {name} as a {kind.__name__}, got {type(whole).__name__}")
    return whole
