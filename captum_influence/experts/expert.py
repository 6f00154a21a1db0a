"""Experts: a network in which only some units speak, or some are silent."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn

from captum_influence.experts.curves.find import expert_curves
from captum_influence.experts.rankings import Ends
from captum_influence.network.cuts import Cut
from captum_influence.network.interventions import intervene
from captum_influence.units.axes import AxisLike
from captum_influence.units.ranking import Ranking
from captum_influence.units.replacement import Replace, Replacement
from captum_influence.units.selection import NamedUnit, Selection

__all__ = ["Expert", "Mode", "Profile"]

Mode = Literal["keep", "remove"]


class Profile(Protocol):
    """What an expert asks of a profile over a data set."""

    @property
    def groups(self) -> Any:
        """The groups it knows."""

    def top(self, k: int, *, group: Any, lowest: bool = False) -> Any:
        """Return the k units of largest, or of lowest, influence in a group, that one first."""


class Expert(nn.Module):
    """A network in which only some units of a layer speak, or in which they are silent.

    Call it to run the network so; or enter it, and the network itself is so within the block:
    gradients, attributions and training included. Other threads see it unchanged. What was
    changed is undone when the block ends, also by an error.

    Args:
        model: the network.
        layer: a module, a dotted name or a Cut.
        units: channel numbers, index tuples, single neurons (one int per dimension of the layer),
            or what :func:`rank_units` returns.
        mode: ``"keep"`` only them, or ``"remove"`` them.
        replace: what takes the place of removed units: a number, a tensor like one example's
            activations, ``"mean"`` or ``"resample"`` of the reference.
        axis: what one unit is, see :func:`rank_units`; None: as the units say, or channels.
        heads: how many heads share the last dimension, for ``axis="head"``.
        reference: activations at the layer (examples, ...), or a loader of images.
        seed: of ``"resample"``.

    Raises:
        ValueError: if there are no units, the layer isn't there, or a reference is missing; on
            the first pass, if the layer has no such unit.

    Example:
        >>> from captum_influence.demo import demo_scene, load_demo_network
        >>> network, image = load_demo_network(), demo_scene().image[None]
        >>> silent = Expert(network, "relu5", range(96), mode="remove")
        >>> torch.equal(silent(image)[0], network.fc.bias)
        True
    """

    def __init__(
        self,
        model: nn.Module,
        layer: nn.Module | str | Cut,
        units: Iterable[NamedUnit] | Ranking | Selection,
        mode: Mode = "keep",
        replace: Replace | Replacement = 0,
        *,
        axis: AxisLike | None = None,
        heads: int | None = None,
        reference: Tensor | Iterable[Any] | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if mode not in ("keep", "remove"):
            raise ValueError(f'expected mode="keep" or mode="remove", got {mode!r}')
        self.selection = Selection.ensure(units, axis, heads)
        if not len(self.selection):
            raise ValueError(f"expected at least one unit to {mode}, got none")
        self.cut = Cut.ensure(layer)
        with intervene(model, self.cut, _unchanged):  # now, rather than on the first pass
            pass
        self.mode = mode
        self.replacement = Replacement.ensure(replace, model, self.cut, reference, seed)
        self.model = model
        self.training = model.training
        self._entered: list[ExitStack] = []

    @classmethod
    def from_ranking(
        cls,
        model: nn.Module,
        layer: nn.Module | str | Cut,
        ranking: Ranking | Sequence[NamedUnit],
        k: int,
        mode: Mode = "keep",
        replace: Replace | Replacement = 0,
        **settings: Any,
    ) -> Expert:
        """Return the expert of the first k units of a ranking.

        Raises:
            ValueError: if the ranking holds fewer.
        """
        if not 1 <= k <= len(ranking):
            raise ValueError(
                f"expected k from 1 to the {len(ranking)} units of the ranking, got {k}: rank_units"
                " names them all with top=None"
            )
        axis = settings.pop("axis", None)
        selection = Selection.ensure(ranking, axis, settings.pop("heads", None)).first(k)
        return cls(model, layer, selection, mode, replace, **settings)

    @classmethod
    def from_profile(
        cls,
        profile: Profile,
        group: Any,
        k: int | Literal["auto"] = "auto",
        *,
        model: nn.Module,
        layer: nn.Module | str | Cut,
        mode: Mode = "keep",
        replace: Replace | Replacement = 0,
        loader: Iterable[Any] | None = None,
        target: int | None = None,
        ks: Sequence[int] = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64),
        ends: Ends = "both",
        **settings: Any,
    ) -> Expert:
        """Return the expert of the units that are strongest for a group of a profile.

        Args:
            profile: over a data set.
            group: one of ``profile.groups``.
            k: how many units; ``"auto"``: the fewest with which the expert tells the class from
                the rest best (F1) on the loader.
            model: the network.
            layer: where the profile was taken.
            mode: as in :class:`Expert`.
            replace: as in :class:`Expert`.
            loader: labelled images, for ``k="auto"``; others than the profile's, if you can.
            target: the class of the group, for ``k="auto"``; None: the group itself.
            ks: what ``"auto"`` chooses from, as far as there are units.
            ends: ``"both"``: in turn the unit that raises the quantity most and the one that
                lowers it most; ``"top"``: only the first.
            settings: further arguments of :class:`Expert`.

        Raises:
            ValueError: if there is no such group, or ``"auto"`` lacks a loader or a class.
        """
        if group not in list(profile.groups):
            raise ValueError(
                f"expected one of the profile's groups, {list(profile.groups)}, got {group!r}"
            )
        units = _strongest(profile, group, max(ks) if k == "auto" else k, ends)
        cut = Cut.ensure(layer)
        known = settings.pop("reference", None), settings.pop("seed", 0)
        replacement = Replacement.ensure(replace, model, cut, *known)
        if k == "auto":
            target = _class_of(group if target is None else target, loader)
            fitting = [count for count in ks if count <= len(units)]
            curves = expert_curves(
                model,
                cut,
                {"profile": units},
                loader or (),
                target,
                ks=fitting,
                mode=mode,
                replace=replacement,
            )
            k = curves.best_k["profile"]
        return cls(model, cut, units[:k], mode, replacement, **settings)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run the network with the intervention."""
        with self:
            return self.model(*args, **kwargs)

    def __enter__(self) -> Expert:
        """Change the network until the block ends; entering twice changes it once."""
        stack = ExitStack()
        if not self._entered:
            stack.enter_context(intervene(self.model, self.cut, self._changed))
        self._entered.append(stack)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Undo the change."""
        self._entered.pop().close()

    def extra_repr(self) -> str:
        """Say what is done, where, to how many units."""
        return f"{self.mode} {len(self.selection)} units at the {self.cut}"

    def _changed(self, activations: Tensor) -> Tensor:
        chosen = self.selection.mask(tuple(activations.shape[1:])).to(activations.device)
        replaced = chosen if self.mode == "remove" else ~chosen
        return torch.where(replaced, self.replacement.like(activations), activations)


def _strongest(profile: Profile, group: Any, k: int, ends: Ends) -> list[Any]:
    """Return up to k units, as far as there are so many, in turn from both ends if asked."""
    if ends not in ("both", "top"):
        raise ValueError(f'expected ends="both" or ends="top", got {ends!r}')
    highest = list(profile.top(k, group=group))
    if ends == "top":
        return highest
    lowest = list(profile.top(k, group=group, lowest=True))
    chosen: dict[Any, Any] = {}
    for unit in (unit for pair in zip(highest, lowest, strict=True) for unit in pair):
        chosen.setdefault(unit.index, unit)
    return list(chosen.values())[:k]


def _class_of(target: Any, loader: Iterable[Any] | None) -> int:
    if loader is None or isinstance(target, bool) or not isinstance(target, int):
        raise ValueError(
            'k="auto" takes loader=, and target= where the group is no class number (here '
            f"{target!r}): say both, or give k as a number"
        )
    return target


def _unchanged(activations: Tensor) -> Tensor:
    return activations
