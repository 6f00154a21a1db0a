"""Experts: a network in which only some units are kept, or some are removed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn
from typing_extensions import TypedDict, Unpack

from captum_influence.experts.curves.find import expert_curves
from captum_influence.experts.curves.result import Mode
from captum_influence.experts.rankings import Ends
from captum_influence.network.axes import Layouts, laid_out
from captum_influence.network.cuts import Cut
from captum_influence.network.interventions import intervene
from captum_influence.reports.shown import Shown
from captum_influence.units.axes import Axis, AxisLike, asks_for_channels
from captum_influence.units.given_loader import GivenLoader
from captum_influence.units.options import check_options
from captum_influence.units.replacement import Replace, Replacement
from captum_influence.units.result import Ranking
from captum_influence.units.selection import NamedUnit, Selection
from captum_influence.units.units_of import LayerLike, UnitsOf

__all__ = ["Expert", "Profile", "ProfileOptions"]

_KS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)


class Profile(Protocol):
    """What an expert asks of a profile over a data set."""

    @property
    def groups(self) -> Any:
        """The groups it knows."""

    def top(self, k: int, *, group: Any, lowest: bool = False) -> Any:
        """Return the k units of largest, or of lowest, influence in a group, that one first."""


class ProfileOptions(TypedDict, total=False):
    """What :meth:`Expert.from_profile` takes by keyword besides, the last four as :class:`Expert`.

    ``ks`` are the numbers that ``k="auto"`` chooses from, as far as there are units.
    ``ends="both"``, which holds if nothing is said, takes in turn the unit that raises the quantity
    most and the one that lowers it most; ``ends="top"`` only the first.
    """

    ks: Sequence[int]
    ends: Ends
    axis: AxisLike | None
    heads: int | None
    reference: Tensor | Iterable[Any] | None
    seed: int


class Expert(nn.Module):
    """A network in which only some units of a layer are kept, or in which they are removed.

    Call it to run the network so; or enter it, and the network itself is so within the block:
    gradients, attributions and training included. Other threads see it unchanged. What was
    changed is undone when the block ends, also by an error.

    Args:
        model: the network.
        layer: a module, a dotted name, a Cut or :class:`UnitsOf`.
        units: channel numbers, index tuples, single neurons (one int per dimension of the layer),
            or what :func:`rank_units` returns.
        mode: ``"keep"`` only them, or ``"remove"`` them.
        replace: what takes the place of removed units: a number, a tensor like one example's
            activations, ``"mean"`` or ``"resample"`` of the reference.
        axis: what one unit is, see :func:`rank_units`; None: as the units say, or channels.
        heads: how many heads share the last dimension, for ``axis="head"``.
        reference: activations at the layer (examples, ...), or a loader of images or prompts.
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
        layer: LayerLike,
        units: Iterable[NamedUnit] | Selection,
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
        if isinstance(layer, UnitsOf) and axis is None:
            axis, heads = layer.axis, layer.heads
        self.selection = Selection.ensure(units, axis, heads)
        if not len(self.selection):
            raise ValueError(f"expected at least one unit to {mode}, got none")
        self.cut = UnitsOf.ensure(layer).cut
        with intervene(model, self.cut, _unchanged):  # now, rather than on the first pass
            pass
        self.mode = mode
        self.replacement = _replacement(replace, model, self.cut, reference, seed)
        self.model = model
        self.training = model.training
        self._entered: list[ExitStack] = []
        self._layouts: Layouts | None = None

    @classmethod
    def from_ranking(
        cls,
        model: nn.Module,
        layer: LayerLike,
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
        layer: LayerLike,
        mode: Mode = "keep",
        replace: Replace | Replacement = 0,
        loader: Iterable[Any] | None = None,
        target: int | None = None,
        **options: Unpack[ProfileOptions],
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
            options: see :class:`ProfileOptions`.

        Raises:
            ValueError: if there is no such group, or ``"auto"`` lacks a loader or a class.
        """
        check_options("Expert.from_profile", options, ProfileOptions)
        if group not in list(profile.groups):
            raise ValueError(
                f"expected one of the profile's groups, {list(profile.groups)}, got {group!r}"
            )
        ks, cut = options.get("ks", _KS), UnitsOf.ensure(layer).cut
        most, ends = max(ks) if k == "auto" else k, options.get("ends", "both")
        units = _strongest(profile, group, most, ends)
        replacement = _replacement(
            replace, model, cut, options.get("reference"), options.get("seed", 0)
        )
        if k == "auto":
            target = _class_of(group if target is None else target, loader)
            curves = expert_curves(
                model,
                loader or (),
                layer,
                target,
                {"profile": units},
                ks=[count for count in ks if count <= len(units)],
                mode=mode,
                replace=replacement,
            )
            k = curves.best_k["profile"]
        axis, heads = options.get("axis"), options.get("heads")
        return cls(model, layer, units[:k], mode, replacement, axis=axis, heads=heads)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run the network with the intervention."""
        with self:
            return self.model(*args, **kwargs)

    def __enter__(self) -> Expert:
        """Change the network until the block ends; entering twice changes it once."""
        stack = ExitStack()
        if not self._entered:
            if self.cut.basis is None and asks_for_channels(self.selection.axis, (1, 1)):
                self._layouts = stack.enter_context(laid_out(self.model))
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
        self._layouts = None
        self._entered.pop().close()

    def extra_repr(self) -> str:
        """Say what is done, where, to how many units."""
        return f"{self.mode} {len(self.selection)} units at the {self.cut}"

    def _changed(self, activations: Tensor) -> Tensor:
        shape = tuple(activations.shape[1:])
        # Once it is known where channels are, it holds from then on.
        if not isinstance(self.selection.axis, Axis) and (channel := self._channel(activations)):
            self.selection = self.selection.along(shape, channel)
        chosen = self.selection.mask(shape).to(activations.device)
        replaced = chosen if self.mode == "remove" else ~chosen
        return torch.where(replaced, self.replacement.like(activations), activations)

    def _channel(self, activations: Tensor) -> int | None:
        """Return which dimension counts channels, as the basis or the pass under way says it."""
        if self.cut.basis is not None:
            return self.cut.basis.channel(activations.ndim)
        layouts = self._layouts
        return None if layouts is None else layouts.channel(activations, str(self.cut))


def _replacement(
    replace: Replace | Replacement,
    model: nn.Module,
    cut: Cut,
    reference: Tensor | Iterable[Any] | None,
    seed: int,
) -> Replacement:
    """Return what takes the place of removed units, over a loader of pictures or of prompts."""
    if reference is None or isinstance(reference, Tensor):
        return Replacement.ensure(replace, model, cut, reference, seed)
    given = GivenLoader.of(model, reference, Shown(), labelled=False)
    return Replacement.ensure(replace, given.network, cut, given.loader, seed)


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
