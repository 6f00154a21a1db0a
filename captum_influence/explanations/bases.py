"""A layer's concepts beside its own channels: which of the two tell more, at equal change."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, cast

import torch
from torch import Tensor, nn

from captum_influence.attr.distributions import Point
from captum_influence.attr.influence import DistributionalInfluence
from captum_influence.attr.quantities import Quantity
from captum_influence.network.cuts import Basis, Cut
from captum_influence.network.modes import without_graph
from captum_influence.network.substitution import Reruns, reruns
from captum_influence.units.ranking import UnitValues
from captum_influence.units.replacement import Replacement
from captum_influence.visualization.numbers import number, percent

__all__ = ["Bases", "compared_bases"]


@dataclass(frozen=True, kw_only=True)
class Bases:
    """The first concepts of a layer beside its first channels, averaged over inputs.

    Attributes:
        concepts: how many the layer has.
        channels: likewise.
        shown: how many of each come first.
        concepts_share: which share these concepts have of the sum of absolute contributions.
        channels_share: the same of channels.
        moved: how far the layer moves without these concepts, as a share of its own norm.
        concepts_effect: what the quantity loses then.
        as_far: how many of the first channels move the layer as far, the last one in part.
        channels_effect: what the quantity loses without these.
    """

    concepts: int
    channels: int
    shown: int
    concepts_share: float
    channels_share: float
    moved: float
    concepts_effect: float
    as_far: float
    channels_effect: float

    @property
    def better(self) -> Literal["concepts", "channels"]:
        """Whose removal takes more from the quantity, for the same change of the layer."""
        return "concepts" if self.concepts_effect > self.channels_effect else "channels"

    def in_words(self, quantity: str) -> str:
        """Return how the two compare, and which is the better basis here."""
        hint = "" if self.better == "concepts" else "; without basis=, the layer is asked of these"
        return (
            f"The first {self.shown} of {self.concepts} concepts hold "
            f"{percent(self.concepts_share)} of all absolute contributions "
            f"({percent(self.shown / self.concepts)} by their number), the first {self.shown} of "
            f"{self.channels} channels {percent(self.channels_share)} "
            f"({percent(self.shown / self.channels)}). Without these concepts the layer moves by "
            f"{percent(self.moved)} of its norm and {quantity} loses "
            f"{number(self.concepts_effect)}; the first {self.as_far:.1f} channels, which move it "
            f"as far, take {number(self.channels_effect)}: for the same change, {self.better} "
            f"carry more of it here{hint}."
        )


def compared_bases(
    network: nn.Module,
    inputs: Tensor,
    quantity: Quantity,
    replacement: Replacement,
    cut: Cut,
    values: UnitValues,
    shown: int,
) -> Bases:
    """Remove the first concepts, and as much of the first channels as moves the layer as far.

    Channels go by their contributions at the inputs. In their place comes what the concepts'
    replacement stands for.

    Args:
        network: the network.
        inputs: (examples, ...).
        quantity: what was asked, resolved.
        replacement: what is put in a concept's place.
        cut: the layer, in the concepts' basis.
        values: what every concept was said to do.
        shown: how many come first.
    """
    basis, layer = cast(Basis, cut.basis), replace(cut, basis=None)
    slopes = _slopes(network, layer, inputs, quantity)
    with reruns(network, layer, inputs) as runs, without_graph():
        z = runs.activations
        codes = basis.encode(z)
        instead = replacement.like(codes).expand_as(codes)
        ranked = values.values.flatten().argsort(descending=True, stable=True)[:shown]
        removed = values.axis.spread(_chosen(ranked, values.values.numel())).to(z.device)
        step = basis.decode(torch.where(removed, instead, codes)) - basis.decode(codes)
        gone = basis.decode(instead) - z
        channel = basis.channel(z.ndim)
        each = -_summed(slopes * gone, channel).mean(dim=0)
        part = _as_far(_summed(gone.square(), channel), each, _norms(step))
        shape = [n if d in (0, channel) else 1 for d, n in enumerate(z.shape)]
        effects = [_lost(runs, quantity, z + s) for s in (step, gone * part.reshape(shape))]
    return Bases(
        concepts=values.values.numel(),
        channels=len(each),
        shown=shown,
        concepts_share=_share(values.values.flatten(), shown),
        channels_share=_share(each, shown),
        moved=float((_norms(step) / _norms(z)).mean()),
        concepts_effect=effects[0],
        as_far=float(part.sum(dim=1).mean()),
        channels_effect=effects[1],
    )


def _slopes(network: nn.Module, layer: Cut, inputs: Tensor, quantity: Quantity) -> Tensor:
    measure = DistributionalInfluence(network, layer, distribution=Point(), quantity=quantity)
    found = measure.attribute(inputs)
    return cast(Tensor, found[0] if isinstance(found, tuple) else found)


def _chosen(units: Tensor, count: int) -> Tensor:
    found = torch.zeros(1, count, dtype=torch.bool)
    found[0, units.cpu()] = True
    return found


def _as_far(squares: Tensor, values: Tensor, norms: Tensor) -> Tensor:
    """Return how much of each channel is removed, (examples, channels) from 0 to 1.

    The first ones by their values, all of each, until the norm is reached, and a part of the next.
    """
    order = values.argsort(descending=True, stable=True)
    sorted_ = squares[:, order].double()
    left = norms[:, None].double().square() - (sorted_.cumsum(dim=1) - sorted_)
    part = torch.where(sorted_ > 0, left / sorted_, (left > 0).double()).clamp(0, 1).sqrt()
    return torch.zeros_like(part).index_copy(1, order, part).to(squares.dtype)


def _lost(runs: Reruns, quantity: Quantity, changed: Tensor) -> float:
    """Return how much of the quantity is lost with other activations, averaged."""
    asked = quantity.rows(torch.arange(len(changed)))
    lost = asked(runs.output).double() - asked(runs.rerun(changed)).double()
    return float(lost.detach().mean())


def _summed(values: Tensor, channel: int) -> Tensor:
    return values.movedim(channel, 1).flatten(2).sum(dim=2) if values.ndim > 2 else values


def _norms(values: Tensor) -> Tensor:
    found: Tensor = torch.linalg.vector_norm(values.flatten(1), dim=1)
    return found


def _share(values: Tensor, count: int) -> float:
    ordered = values.double().sort(descending=True)[0]
    scale = float(ordered.abs().sum())
    return float(ordered[:count].sum()) / scale if scale else 0.0
