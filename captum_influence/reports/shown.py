"""How what is found is shown; nothing here changes what is found."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

from captum_influence.data.labels import Names, class_name
from captum_influence.reports.display import Display

__all__ = ["Focus", "Shown"]

Focus = Literal["quantity", "unit"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Shown:
    """How inputs, maps and classes are shown.

    Attributes:
        class_names: a name for each class.
        display: turns one input into a picture (3, height, width) in [0, 1], or into a
            :class:`Display` of another kind; None: pictures are rescaled, series drawn as lines.
        picture: the displayable (3, height, width) in [0, 1] of the one input; None: ``display``.
        percentile: masks keep what lies above it.
        smoothing: standard deviation, in pixels, of the Gaussian on maps before masks and figures;
            None: the layer's step between places, where it can be followed, from 1/16 to 1/8 of
            the shorter side; else 1/32 of it. Raw maps are kept.
        focus: ``"quantity"``: maps show what raises the quantity through the unit, each entry of
            the unit weighed by its own influence; ``"unit"``: what raises the unit anywhere.
        overlay: whether a picture also gets one map of the whole answer, see :class:`Overlay`.
        tokenizer: of token ids, which are shown by its ``decode``; None: by their numbers.
        loader: yields inputs, or (inputs, labels), out of which units' top examples are taken.

    Raises:
        ValueError: if one of them is out of range.
    """

    class_names: Names = None
    display: Callable[[Tensor], Tensor | Display] | None = None
    picture: Tensor | None = None
    percentile: float = 95.0
    smoothing: float | None = None
    focus: Focus = "quantity"
    overlay: bool = True
    tokenizer: Any = None
    loader: Iterable[Any] | None = None

    def __post_init__(self) -> None:
        if self.focus not in ("quantity", "unit"):
            raise ValueError(f'expected focus="quantity" or focus="unit", got {self.focus!r}')
        if not 0 <= self.percentile < 100:
            raise ValueError(f"expected a percentile from 0 to below 100, got {self.percentile}")
        if self.smoothing is not None and not self.smoothing >= 0:
            raise ValueError(
                "expected smoothing as a standard deviation in pixels, not negative, got "
                f"{self.smoothing}"
            )

    def name(self, index: int) -> str:
        """Return what a class is called."""
        return class_name(index, self.class_names)
