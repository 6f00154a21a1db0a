"""What is asked of a picture, from the shell's words: a quantity and a distribution."""

from __future__ import annotations

from torch import Tensor

from captum_influence.attr.distributions import Distribution, Noise, Point
from captum_influence.attr.paths import LinearPath
from captum_influence.attr.quadrature import Midpoint
from captum_influence.attr.quantities import Quantity
from captum_influence.cli.options import QuestionOptions
from captum_influence.data.labels import Names, class_index
from captum_influence.units.targets import question
from captum_influence.visualization.blur import gaussian_blur

__all__ = ["chosen_distribution", "chosen_quantity"]

_POINTS, _LEVEL = 50, 0.15
_BELONGS = {"points": ("path", "noise"), "baseline": ("path",), "noise": ("noise",)}


def chosen_quantity(options: QuestionOptions, names: Names, outputs: int | None) -> Quantity:
    """Return the score that is asked about, or the difference of two.

    Raises:
        ValueError: if a class isn't there, or both are the same.
    """
    words = (options.target, options.versus)
    target, versus = (None if w is None else class_index(w, names, outputs) for w in words)
    return question(target, versus=versus)


def chosen_distribution(
    options: QuestionOptions, inputs: Tensor, seed: int = 0
) -> Distribution | None:
    """Return over which inputs the gradient is averaged; None, the input, if nothing is said.

    Points and a baseline are those of a path, unless noise is asked for.

    Raises:
        ValueError: if an option doesn't belong to the distribution, or is out of range.
    """
    said = options.given("points", "baseline")
    kind = options.distribution or ("path" if said else "point")
    for name, kinds in _BELONGS.items():
        if getattr(options, name) is not None and kind not in kinds:
            raise ValueError(
                f"expected --{name} with --distribution {' or '.join(kinds)}, got it with {kind}: "
                "leave one out"
            )
    points = options.points or _POINTS
    if kind == "point":
        return Point() if options.distribution else None
    if kind == "path":
        return LinearPath(_baseline(options.baseline or "zero", inputs), points, Midpoint())
    level = _LEVEL if options.noise is None else options.noise
    if level <= 0:
        raise ValueError(f"expected a positive number as --noise, got {level}: 0.1 to 0.2 is usual")
    return Noise(level * float(inputs.max() - inputs.min()), points, seed)


def _baseline(kind: str, inputs: Tensor) -> float | Tensor:
    if kind == "zero":
        return 0.0
    if kind == "mean":
        return inputs.mean(dim=(2, 3), keepdim=True).expand_as(inputs).clone()
    # A tenth of the shorter side: so wide that no object is left.
    return gaussian_blur(inputs, min(inputs.shape[2:]) / 10, "mirror")
