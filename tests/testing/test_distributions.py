"""The check passes distributions that keep their promises, and says what a broken one breaks."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from captum_influence import Distribution, Point
from captum_influence.attr import WeightedPoint
from captum_influence.testing import check_distribution

Tensors = tuple[Tensor, ...]


class Yielding(Distribution):
    """Yields whatever it is told to."""

    def __init__(self, *points: Any, **attributes: Any) -> None:
        self.made = points
        for name, value in attributes.items():
            setattr(self, name, value)

    def points(self, origin: Tensors) -> Iterator[WeightedPoint]:
        for make in self.made:
            yield make(origin)


def _half(origin: Tensors) -> Any:
    return WeightedPoint(0.5, origin)


def _drawn(origin: Tensors) -> Any:
    return WeightedPoint(1.0, tuple(torch.randn_like(x) for x in origin))


class Reseeding(Distribution):
    def points(self, origin: Tensors) -> Iterator[WeightedPoint]:
        torch.manual_seed(0)
        yield _drawn(origin)


class Forgetful(Point):
    def blocks(self, origin: Tensors, rows: int) -> Any:
        return list(super().blocks(origin, rows))[:1]


class Oversized(Point):
    def blocks(self, origin: Tensors, rows: int) -> Any:
        return super().blocks(origin, 10 * rows)


class Claiming(Point):
    size = 3  # type: ignore[assignment]


class Unfair(Point):
    def strata(self) -> Any:
        return ((0.5, self),)


class Counting(Distribution):
    """Yields other points each time, without any random state."""

    count = 0

    def points(self, origin: Tensors) -> Iterator[WeightedPoint]:
        self.count += 1
        yield WeightedPoint(1.0, tuple(x + self.count for x in origin))


def _in_place(origin: Tensors) -> Any:
    return WeightedPoint(1.0, tuple(x.add_(0.0).mul_(2) for x in origin))


BROKEN_DISTRIBUTIONS = {
    "nothing": (Yielding(), "yielded nothing"),
    "half": (Yielding(_half), r"weights sum to 0\.5, expected 1"),
    "another shape": (
        Yielding(lambda o: WeightedPoint(1.0, (o[0][:1],))),
        r"point 0 is torch\.float64 of shape \(1, 4\).*expected that of the origin.*\(3, 4\)",
    ),
    "another dtype": (Yielding(lambda o: (1.0, (o[0].int(),))), "point 0 is torch.int32"),
    "float32 becomes float64": (Yielding(lambda o: (1.0, (o[0].double(),))), "torch.float64"),
    "one of two": (Yielding(lambda o: (1.0, (o[0], o[0]))), "has 2 tensors for 1 inputs"),
    "a bare tensor": (Yielding(lambda o: (1.0, o[0])), "point 0 is a Tensor, expected a tuple"),
    "global random state": (Yielding(_drawn), "moved the global random state"),
    "reseeding": (Reseeding(), "moved the global random state"),
    "other points": (Counting(), "differ from one call of points"),
    "the origin": (Yielding(_in_place), "changed a tensor that it was given, in place"),
    "unequal draws": (
        Yielding(lambda o: (0.7, o), lambda o: (0.3, o), is_random=True),
        "is_random, but the weights are not equal",
    ),
    "hidden anchors": (Yielding(lambda o: (1.0, o, o)), "points have anchors: set is_anchored"),
    "size": (Claiming(), "size says 3, but there are 1 points"),
    "lost rows": (Forgetful(), r"blocks\(rows=1\) hold 1 pairs, points\(\) has 3"),
    "large blocks": (Oversized(), r"blocks\(rows=1\) yielded a block of 3 rows"),
    "unfair strata": (Unfair(), r"shares of strata\(\) sum to 0\.5"),
}


@pytest.mark.parametrize("name", BROKEN_DISTRIBUTIONS)
def test_a_broken_distribution(name: str) -> None:
    distribution, message = BROKEN_DISTRIBUTIONS[name]
    with pytest.raises(AssertionError, match=message):
        check_distribution(distribution, picklable=False)


def test_a_lambda_cannot_be_pickled() -> None:
    whole = Yielding(lambda origin: WeightedPoint(1.0, origin))
    with pytest.raises(AssertionError, match=r"can't be pickled.*picklable=False"):
        check_distribution(whole)


def test_a_class_that_nothing_can_look_up_need_not_pickle() -> None:
    class Local(Point):
        pass

    check_distribution(Local())
