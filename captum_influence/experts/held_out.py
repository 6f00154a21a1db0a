"""What experts are tried on, beside the pictures that their units were chosen by."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from captum_influence.data.batches import repeatable
from captum_influence.units.replacement import Replace, Replacement

__all__ = ["HeldOut"]


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Pictures that units weren't chosen by, and how many units are removed from them, and how.

    Attributes:
        loader: yields (images, labels); None: the same pictures that the units were chosen by.
        ks: how many units are kept or removed; None: as the verb says.
        replace: what takes the place of removed units, see :class:`Expert`, and what contributions
            count from; ``"mean"``, which None is too, and ``"resample"`` are those of the pictures
            that the units were chosen by.

    Raises:
        ValueError: if a k isn't positive.
        TypeError: if the loader can be read only once.

    Example:
        >>> from captum_influence.demo import SceneDataset, load_demo_network
        >>> from captum_influence.explanations import essence
        >>> seen, others = ([SceneDataset(32, seed=seed).stacked()] for seed in (5, 6))
        >>> tried = HeldOut(others, ks=(1, 8), replace="mean")
        >>> found = essence(load_demo_network(), seen, "relu5", 0, held_out=tried, examples=1)
        >>> found.removed.ks, found.held_out
        ((1, 8), True)
    """

    loader: Iterable[Any] | None = None
    ks: Sequence[int] | None = None
    replace: Replace | Replacement | None = None

    def __post_init__(self) -> None:
        if self.loader is not None:
            repeatable(self.loader)
        if self.ks is not None and min(self.ks, default=0) < 1:
            raise ValueError(f"expected ks as positive numbers of units, got {list(self.ks)}")

    def taken(self, change: Callable[[Iterable[Any] | None], Iterable[Any] | None]) -> HeldOut:
        """Return it with its loader as the network takes it."""
        return replace(self, loader=change(self.loader))

    @staticmethod
    def ensure(
        verb: str, value: HeldOut | Iterable[Any] | None, options: Mapping[str, Any]
    ) -> HeldOut:
        """Return it as it is; or a loader, with the options ``ks`` and ``replace`` of a verb.

        Raises:
            TypeError: if it is said twice, or the loader can be read only once.
        """
        given = {name: options[name] for name in ("ks", "replace") if name in options}
        if not isinstance(value, HeldOut):
            return HeldOut(value, **given)
        if given:
            raise TypeError(
                f"{verb}() got held_out=HeldOut(...) and {', '.join(given)} beside it: say it in "
                "one of the two"
            )
        return value
