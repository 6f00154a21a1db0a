"""What is asked: the quantity and the distribution of interest, from the command line's words."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping

from torch import Tensor

from captum_influence.attr.distributions import Distribution, Noise, Point
from captum_influence.attr.paths import LinearPath
from captum_influence.attr.quadrature import Midpoint
from captum_influence.attr.quantities import ClassScore, PredictedClass, Quantity
from captum_influence.cli.options import count
from captum_influence.data.labels import class_index
from captum_influence.visualization.blur import gaussian_blur

__all__ = ["add_question_options", "chosen_distribution", "chosen_quantity"]

_POINTS = 50


def add_question_options(parser: ArgumentParser) -> None:
    """Add what says which quantity, over which distribution."""
    group = parser.add_argument_group("question")
    add = group.add_argument
    add("--target", metavar="CLASS", help="number or name; without it, the predicted class")
    add("--versus", metavar="CLASS", help="ask why --target rather than this class")
    add(
        "--distribution",
        choices=("point", "path", "noise"),
        help="the picture itself, the path from --baseline to it, or noise around it; "
        "default: path",
    )
    add("--points", type=count, metavar="N", help=f"of the path or the noise; default: {_POINTS}")
    add(
        "--baseline",
        choices=("zero", "mean", "blur"),
        help="where the path starts: an input of zeros, the picture's mean colour, or the picture "
        "blurred; default: zero",
    )
    add(
        "--noise",
        type=float,
        metavar="LEVEL",
        help="its standard deviation, as a share of the input's range; default: 0.15",
    )
    add("--seed", type=int, metavar="N", help="of the noise; default: 0")


def chosen_quantity(
    args: Namespace, names: Mapping[int, str] | None, outputs: int | None
) -> Quantity:
    """Return the score that is asked about, or the difference of two.

    Raises:
        ValueError: If a class isn't there, or both are the same.
    """
    target = None if args.target is None else class_index(args.target, names, outputs)
    versus = None if args.versus is None else class_index(args.versus, names, outputs)
    if target is not None and target == versus:
        raise ValueError(
            f"expected two classes to compare, got class {target} as --target and as --versus, "
            "whose difference is zero everywhere: change one"
        )
    asked: Quantity = PredictedClass() if target is None else ClassScore(target)
    return asked if versus is None else asked - ClassScore(versus)


def chosen_distribution(args: Namespace, inputs: Tensor) -> Distribution | None:
    """Return over which inputs the gradient is averaged; None, the default, if nothing is said.

    Raises:
        ValueError: If an option doesn't belong to the distribution, or is out of range.
    """
    kind = args.distribution or "path"
    belongs = {"points": ("path", "noise"), "baseline": ("path",)}
    belongs |= {"noise": ("noise",), "seed": ("noise",)}
    for name, kinds in belongs.items():
        if getattr(args, name) is not None and kind not in kinds:
            raise ValueError(
                f"expected --{name} with --distribution {' or '.join(kinds)}, got it with {kind}: "
                "leave one out"
            )
    if args.distribution is None and args.points is None and args.baseline is None:
        return None
    points = args.points or _POINTS
    if kind == "point":
        return Point()
    if kind == "path":
        return LinearPath(_baseline(args.baseline or "zero", inputs), points, Midpoint())
    level = 0.15 if args.noise is None else args.noise
    if not 0 < level < float("inf"):
        raise ValueError(f"expected a positive number as --noise, got {level}: 0.1 to 0.2 is usual")
    return Noise(level * float(inputs.max() - inputs.min()), points, args.seed or 0)


def _baseline(kind: str, inputs: Tensor) -> float | Tensor:
    if kind == "zero":
        return 0.0
    if kind == "mean":
        return inputs.mean(dim=(2, 3), keepdim=True).expand_as(inputs).clone()
    # A tenth of the shorter side: so wide that no object is left.
    return gaussian_blur(inputs, min(inputs.shape[2:]) / 10, "mirror")
