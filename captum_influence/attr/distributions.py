"""Distributions of interest: the weighted points, around an origin, over which we ask."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any, ClassVar

import torch
from torch import Tensor

from captum_influence.attr.inputs import Inputs, names_inputs
from captum_influence.attr.points import Block, Tensors, WeightedPoint, column, packed
from captum_influence.reports.asked import Write

__all__ = [
    "Baselines",
    "Distribution",
    "Mixture",
    "Noise",
    "Point",
    "Samples",
    "check_count",
    "check_interpolable",
]


class Distribution(ABC):
    """Weighted points around an origin, the explained instances.

    A subclass answers :meth:`points`. It yields the same points each time it is asked, draws from
    a generator of its own, and its weights sum to one;
    :func:`captum_influence.testing.check_distribution` tests that. It is printed as a
    :class:`Quantity` is.

    Example:
        >>> class Corners(Distribution):
        ...     def points(self, origin):
        ...         for sign in (-1.0, 1.0):
        ...             yield WeightedPoint(0.5, tuple(x + sign for x in origin))
    """

    #: whether the points are independent draws of equal weight, so that a standard error exists
    is_random: ClassVar[bool] = False
    #: whether points name anchors of their own, from which displacements are measured
    is_anchored: ClassVar[bool] = False
    #: whether points lie between inputs, where whole numbers such as token ids have nothing
    interpolates: ClassVar[bool] = False
    #: whether points lie evenly on straight lines to the origin from their anchors, or a reference
    is_path: ClassVar[bool] = False

    @abstractmethod
    def points(self, origin: Tensors) -> Iterator[WeightedPoint]:
        """Yield the points one by one. ``origin`` holds the inputs, each (examples, ...)."""

    @property
    def size(self) -> int | None:
        """The number of points, if it is known beforehand."""
        return None

    def in_words(self) -> str:
        """Return over which inputs the gradient is averaged, as a reader calls them."""
        size = "" if self.size is None else f", {self.size} points"
        return f"{type(self).__name__}{size}"

    def reference(self, origin: Tensors) -> Tensors | None:
        """Return where displacements start, shaped like ``origin``; None: at zero activation."""
        return None

    def strata(self) -> Sequence[tuple[float, Distribution]]:
        """Return the weighted parts whose sampling errors are independent; itself by default."""
        return ((1.0, self),)

    def numbered(self, numbers: Tensor) -> Distribution:
        """Return the distribution for examples with these places in a data set, int64 (examples,).

        For distributions that share the work among examples; others return themselves.
        """
        return self

    def located(self, locate: Callable[..., Any]) -> Distribution:
        """Return the distribution with ``locate(start)`` in place of what its points start from.

        For distributions that :class:`Inputs` can be given to; others return themselves. What is
        drawn from, and isn't one for each example, is located by ``locate(starts, is_set=True)``.
        """
        return self

    def blocks(self, origin: Tensors, rows: int) -> Iterator[Block]:
        """Yield the points as blocks of at most ``rows`` (example, point) pairs."""
        yield from packed(self.points(origin), rows)


@dataclass(frozen=True)
class Point(Distribution):
    """All the weight on the explained instance: the plain gradient (saliency at a layer)."""

    def points(self, origin: Tensors) -> Iterator[WeightedPoint]:
        yield WeightedPoint(1.0, origin)

    def in_words(self) -> str:
        return "the input itself"

    @property
    def size(self) -> int:
        return 1


@dataclass(frozen=True, eq=False)
class Noise(Distribution):
    """The instance plus noise, as in SmoothGrad (Smilkov et al., 2017).

    Args:
        noise: a standard deviation, or a ``torch.distributions.Distribution``: one of scalars is
            drawn for every entry, one whose event has the shape of an example once per example.
        n: number of draws.
        seed: of a generator of its own; the global random state is left as it was.
    """

    noise: float | torch.distributions.Distribution = 1.0
    n: int = 50
    seed: int = 0
    is_random: ClassVar[bool] = True
    interpolates: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_count(self.n)
        if isinstance(self.noise, (int, float)) and not self.noise > 0:
            raise ValueError(f"expected a positive standard deviation, got {self.noise}")
        if not isinstance(self.noise, (int, float, torch.distributions.Distribution)):
            raise TypeError(
                "expected a standard deviation or a torch.distributions.Distribution as noise, "
                f"got {type(self.noise).__name__}"
            )

    @property
    def size(self) -> int:
        return self.n

    def in_words(self) -> str:
        return f"{self.n} draws of noise around the input"

    def points(self, origin: Tensors) -> Iterator[WeightedPoint]:
        for x in origin:
            check_interpolable(x)
        generators = [_generator(self.seed + i, x.device) for i, x in enumerate(origin)]
        for _ in range(self.n):
            noisy = (
                x + self._draw(x, generator)
                for x, generator in zip(origin, generators, strict=True)
            )
            yield WeightedPoint(1 / self.n, tuple(noisy))

    def numbered(self, numbers: Tensor) -> Noise:
        """Return the same noise drawn anew, so that batches of a data set are independent."""
        return replace(self, seed=_renumbered(self.seed, numbers))

    def _draw(self, x: Tensor, generator: torch.Generator) -> Tensor:
        if isinstance(self.noise, torch.distributions.Distribution):
            return _sample(self.noise, x, generator)
        unit = torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
        return self.noise * unit


@dataclass(frozen=True, eq=False)
class Baselines(Distribution):
    """Paths from baselines drawn out of a set: expected gradients (Erion et al., 2021).

    Each draw picks one baseline and one position on the path from it, uniformly, for each example.
    With ``multiply_by_inputs`` the displacement is measured from the baseline of each draw.

    Args:
        baselines: the set, (set size, ...), or a tuple of such sets, drawn from jointly; or
            :class:`Inputs`, a set of inputs whose activations are meant.
        n: number of draws.
        seed: of a generator of its own.
    """

    baselines: Tensor | Tensors | Inputs
    n: int = 50
    seed: int = 0
    is_random: ClassVar[bool] = True
    is_anchored: ClassVar[bool] = True
    interpolates: ClassVar[bool] = True
    is_path: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_count(self.n)
        if names_inputs(self.baselines):
            return
        sets = self._sets()
        if len({len(s) for s in sets}) != 1 or len(sets[0]) == 0:
            raise ValueError(
                "expected baselines as a non-empty set (set size, ...), the same size for each "
                f"input, got shapes {[tuple(s.shape) for s in sets]}"
            )

    def _sets(self) -> Tensors:
        sets: Any = self.baselines if isinstance(self.baselines, tuple) else (self.baselines,)
        if not all(isinstance(s, Tensor) and s.ndim > 0 for s in sets):
            raise TypeError("expected the baselines as a tensor (set size, ...) per input")
        return tuple(sets)

    def located(self, locate: Callable[..., Any]) -> Baselines:
        return replace(self, baselines=locate(self.baselines, is_set=True))

    @property
    def size(self) -> int:
        return self.n

    def points(self, origin: Tensors) -> Iterator[WeightedPoint]:
        for x in origin:
            check_interpolable(x)
        sets = self._checked(origin)
        generator = _generator(self.seed, torch.device("cpu"))
        batch = len(origin[0])
        for _ in range(self.n):
            chosen = torch.randint(len(sets[0]), (batch,), generator=generator)
            alpha = torch.rand(batch, generator=generator, dtype=torch.float64)
            anchor = tuple(s[chosen.to(s.device)] for s in sets)
            point = tuple(
                b + column(alpha, x) * (x - b) for x, b in zip(origin, anchor, strict=True)
            )
            yield WeightedPoint(1 / self.n, point, anchor)

    def numbered(self, numbers: Tensor) -> Baselines:
        """Return the same set drawn from anew, so that batches of a data set are independent."""
        return replace(self, seed=_renumbered(self.seed, numbers))

    def _checked(self, origin: Tensors) -> Tensors:
        sets = self._sets()
        shapes = [tuple(x.shape[1:]) for x in origin]
        if [tuple(s.shape[1:]) for s in sets] != shapes:
            raise ValueError(
                f"expected baselines of shapes {[('set size', *s) for s in shapes]}, got "
                f"{[tuple(s.shape) for s in sets]}"
            )
        return tuple(s.to(x) for s, x in zip(sets, origin, strict=True))


@dataclass(frozen=True, eq=False)
class Samples(Distribution):
    """Points given outright: the examples of a class, a data set, or a function of the origin.

    Args:
        samples: a tensor (points, ...) that serves every example, or (points, examples, ...); or a
            function from the origin to such a tensor. With several inputs: a tuple, or a function
            from the tuple of origins to a tuple.
    """

    samples: Tensor | Tensors | Callable[..., Tensor | Tensors]
    is_random: ClassVar[bool] = True

    def points(self, origin: Tensors) -> Iterator[WeightedPoint]:
        stacks = tuple(_stack(s, x) for s, x in zip(self._given(origin), origin, strict=True))
        counts = {len(s) for s in stacks}
        if len(counts) != 1 or 0 in counts:
            raise ValueError(f"expected the same number of samples, at least 1, got {counts}")
        for point in zip(*stacks, strict=True):
            yield WeightedPoint(1 / len(stacks[0]), point)

    def _given(self, origin: Tensors) -> Tensors:
        samples = self.samples
        if callable(samples):
            samples = samples(origin if len(origin) > 1 else origin[0])
        samples = samples if isinstance(samples, tuple) else (samples,)
        if len(samples) != len(origin) or not all(isinstance(s, Tensor) for s in samples):
            raise TypeError(
                f"expected samples as a tensor for each of {len(origin)} input(s), got "
                f"{[type(s).__name__ for s in samples]}"
            )
        return samples

    @property
    def size(self) -> int | None:
        if callable(self.samples):
            return None
        count = len(self.samples[0] if isinstance(self.samples, tuple) else self.samples)
        return count or None  # none at all are refused when they are asked for


@dataclass(frozen=True, eq=False)
class Mixture(Distribution):
    """Several distributions, each with its share; the shares sum to one.

    The influence under a mixture is the same mixture of influences (distribution linearity).

    Example:
        >>> near_and_far = Mixture([(0.5, Noise(0.1, n=20)), (0.5, Noise(1.0, n=20))])
    """

    parts: Sequence[tuple[float, Distribution]]
    is_anchored: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", tuple((w, d) for w, d in self.parts))
        weights = [weight for weight, _ in self.parts]
        if not weights or min(weights) < 0 or abs(sum(weights) - 1) > 1e-6:
            raise ValueError(
                "expected the shares of a mixture to be non-negative and to sum to one, got "
                f"{weights}"
            )
        if not all(isinstance(part, Distribution) for _, part in self.parts):
            raise TypeError("expected a list of (share, Distribution) pairs")

    @property
    def is_path(self) -> bool:  # type: ignore[override]
        return all(part.is_path for _, part in self.parts)

    @property
    def size(self) -> int | None:
        sizes = [part.size for _, part in self.parts]
        return None if None in sizes else sum(size for size in sizes if size is not None)

    def code(self, write: Write) -> str:
        parts = (f"({write(share, 'share')}, {write(part, 'part')})" for share, part in self.parts)
        return f"Mixture([{', '.join(parts)}])"

    def points(self, origin: Tensors) -> Iterator[WeightedPoint]:
        for share, part in self.parts:
            reference = part.reference(origin)
            for item in part.points(origin):
                anchor = reference if item.anchor is None else item.anchor
                yield WeightedPoint(share * item.weight, item.point, anchor)

    def numbered(self, numbers: Tensor) -> Mixture:
        """Return the mixture of the numbered parts."""
        return Mixture([(share, part.numbered(numbers)) for share, part in self.parts])

    def located(self, locate: Callable[..., Any]) -> Mixture:
        return Mixture([(share, part.located(locate)) for share, part in self.parts])

    def strata(self) -> Sequence[tuple[float, Distribution]]:
        return tuple(
            (share * inner, stratum)
            for share, part in self.parts
            for inner, stratum in part.strata()
        )


def _stack(samples: Tensor, x: Tensor) -> Tensor:
    samples = samples.to(x)
    if samples.shape[1:] == x.shape:
        return samples
    if samples.shape[1:] == x.shape[1:]:
        return samples.unsqueeze(1).expand(-1, *x.shape)
    raise ValueError(
        f"expected samples of shape (points, {', '.join(map(str, x.shape[1:]))}), or with "
        f"{len(x)} examples as second dimension, got {tuple(samples.shape)}"
    )


def _sample(
    distribution: torch.distributions.Distribution, x: Tensor, generator: torch.Generator
) -> Tensor:
    """Draw noise for ``x`` with the global generator seeded meanwhile and restored after."""
    seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
    own = tuple(distribution.batch_shape + distribution.event_shape)
    devices = list(range(torch.cuda.device_count())) if _cuda_in_use() else []
    with torch.random.fork_rng(devices):
        torch.default_generator.manual_seed(seed)
        for device in devices:
            torch.cuda.default_generators[device].manual_seed(seed)
        noise = distribution.sample(x.shape if not own else x.shape[: x.ndim - len(own)])
    if noise.shape != x.shape:
        raise ValueError(
            f"the noise has shape {tuple(noise.shape)} for inputs of shape {tuple(x.shape)}; use a "
            "distribution of scalars, or one whose event has the shape of an example"
        )
    return noise.to(x)


def _cuda_in_use() -> bool:
    return bool(torch.cuda.is_initialized())  # type: ignore[no-untyped-call]


def _renumbered(seed: int, numbers: Tensor) -> int:
    return seed + 1_000_003 * int(numbers[0])


def _generator(seed: int, device: torch.device) -> torch.Generator:
    return torch.Generator(device=device).manual_seed(seed)


def check_count(n: object) -> None:
    """Refuse what is not a positive number of points."""
    if isinstance(n, bool) or not isinstance(n, Integral) or n < 1:
        raise ValueError(f"expected a positive number of points, got n={n!r}")


def check_interpolable(x: Tensor) -> None:
    """Refuse inputs, such as token ids, that have nothing in between."""
    if not (x.is_floating_point() or x.is_complex()):
        raise TypeError(
            f"points between inputs of type {x.dtype} don't exist: set sample_at= to the layer "
            "that embeds them, or use Point()"
        )
