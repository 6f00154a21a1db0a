"""Where a network looks for its whole answer: several maps, each tested on the picture itself."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from captum_influence.attr.distributions import Distribution, Point
from captum_influence.attr.influence import DistributionalInfluence
from captum_influence.attr.paths import LinearPath
from captum_influence.attr.quadrature import Midpoint
from captum_influence.attr.quantities import ClassScore, Function, Quantity
from captum_influence.attr.run import Run
from captum_influence.metrics.blobs import centre_prior
from captum_influence.metrics.removal import Removal, removing_pixels, replaced_pixels
from captum_influence.network.cuts import Cut
from captum_influence.network.outputs import scores_in
from captum_influence.network.predictions import probabilities
from captum_influence.network.reading import activations
from captum_influence.reports.display import Highlight
from captum_influence.units.geometry import Geometry
from captum_influence.units.measurement import Answer
from captum_influence.units.shown.pictures import PictureDisplay
from captum_influence.visualization.blur import gaussian_blur
from captum_influence.visualization.numbers import number

__all__ = ["Overlay", "best_overlay", "from_blurred", "geometry_of", "insertion_deletion"]

_STEPS = 6  # of a curve
_POINTS = 8  # of the path for integrated gradients
_FINE = 32  # the finer smoothing is this part of the shorter side
_AT_ONCE = 2_500_000  # bytes of pictures in a pass: what follows from a few stays in a CPU's cache
PRIOR, UNITS = "centre prior", "heat through the units shown"


@dataclass(frozen=True, eq=False, kw_only=True)
class Overlay:
    """The map that stood its test best.

    A map's test is insertion − deletion: the mean of what is measured as the pixels that it marks
    come first into a blurred picture, less the mean as they are the first to be blurred (Petsiuk et
    al. 2018, arXiv 1806.07421).

    Attributes:
        name: which map it is.
        seen: the map, and what it lights.
        measured: of what the test is, in words: the class's probability, or the quantity.
        scores: the test of every map that was tried, and of a blob in the middle, ``centre prior``,
            that knows nothing of picture or network. The map is chosen by the very test that is
            shown: the best of several is flattered by that, where they are close.
    """

    name: str
    seen: Highlight
    measured: str
    scores: Mapping[str, float]

    @property
    def score(self) -> float:
        """The test of the map that is shown."""
        return self.scores[self.name]

    @property
    def is_evidence(self) -> bool:
        """Whether it says more than a blob in the middle of the picture does."""
        return self.score > self.scores[PRIOR]

    def in_words(self) -> str:
        """Return which map is shown, how it stood its test, and whether it is evidence."""
        score, prior = number(self.score), number(self.scores[PRIOR])
        tried = (
            f"Of {len(self.scores) - 1} maps, the {self.name} stood its test best on this picture"
        )
        test = f"insertion − deletion of {self.measured} is {score} for it"
        if not self.is_evidence:
            return (
                f"{tried}, but {test} and {prior} for a blob in the middle of the picture: no map "
                "here is evidence of where the network looks."
            )
        return f"{tried}: {test}, {prior} for a blob in the middle of the picture."

    def to_dict(self) -> dict[str, Any]:
        """Return all but the tensors, as JSON can hold it."""
        return {
            "name": self.name,
            "measured": self.measured,
            "scores": dict(self.scores),
            "is_evidence": self.is_evidence,
            **self.seen.to_dict(),
        }


def geometry_of(network: nn.Module, inputs: Tensor, cut: Cut) -> Geometry | None:
    """Return where a layer's places look; None if it has none, or they can't be followed."""
    try:
        return Geometry.of(network, inputs, cut)
    except ValueError:
        return None


def best_overlay(
    network: nn.Module,
    inputs: Tensor,
    cut: Cut,
    answer: Answer,
    display: PictureDisplay,
    run: Run,
    *,
    geometry: Geometry | None,
    units: Tensor,
) -> Overlay:
    """Return the map of a picture that stands its own test best.

    Tried are what raises the quantity at the layer (activations times their influences, laid on the
    picture), the heat through the units shown, and integrated gradients from the blurred picture,
    which are the heat through all units; smoothed by the layer's step between places, these also by
    1/32 of the picture.

    Args:
        network: the network.
        inputs: one picture, (1, channels, height, width).
        cut: the layer.
        answer: what the network says, and what was asked.
        display: how it is shown; its smoothing is the coarser one.
        run: how it is run.
        geometry: where the layer's places look; None if it has none.
        units: (height, width) the raw maps of the units shown, added up.
    """
    tested, measured = _tested(answer)
    candidates = {UNITS: gaussian_blur(units, display.sigma)}
    if geometry is not None:
        candidates["layer map"] = _layer_map(network, inputs, cut, answer.quantity, geometry, run)
    raw = _integrated(network, inputs, answer.quantity, run)
    candidates["integrated gradients"] = gaussian_blur(raw, display.sigma)
    candidates["finer integrated gradients"] = gaussian_blur(raw, min(raw.shape) / _FINE)
    maps = {**candidates, PRIOR: centre_prior(*raw.shape)}
    removal = removing_pixels(
        network, inputs, tested, replace="blur", patch=1, run=_few_at_once(run, inputs)
    )
    scores = dict(zip(maps, insertion_deletion(removal, list(maps.values())), strict=True))
    name = max(candidates, key=lambda candidate: scores[candidate])
    # What is shown is what was tested: it isn't smoothed again.
    plain = PictureDisplay(display.picture, display.percentile, 0.0)
    seen = plain.highlight(candidates[name])
    return Overlay(name=name, seen=seen, measured=measured, scores=scores)


def from_blurred(inputs: Tensor, points: int) -> LinearPath:
    """Return the path from the blurred picture: what a removed pixel of the test leaves behind."""
    return LinearPath(replaced_pixels(inputs, "blur"), points, Midpoint())


def insertion_deletion(
    removal: Removal, maps: Sequence[Tensor], steps: int = _STEPS
) -> list[float]:
    """Return insertion − deletion of each map: means over the shares of pixels, ends included.

    Args:
        removal: one picture, whose pixels can be blurred one by one.
        maps: each (height, width).
        steps: of both curves.
    """
    pixels = removal.features
    counts = torch.linspace(0, pixels, steps + 1).round().long()[1:-1]
    sets = []
    for values in maps:
        order = values.flatten().argsort(descending=True, stable=True)
        place = torch.empty_like(order).scatter_(0, order, torch.arange(pixels))
        first = place[None] < counts[:, None]
        sets += [~first, first]  # what is blurred: all but the first pixels, or these
    # What all curves begin and end with, the picture and the blurred one, cancels.
    found = removal.without(torch.cat(sets)[None])[0].double().cpu()
    inserted, deleted = found.reshape(len(maps), 2, -1).sum(-1).T / steps
    return [float(score) if math.isfinite(score) else -math.inf for score in inserted - deleted]


def _layer_map(
    network: nn.Module,
    inputs: Tensor,
    cut: Cut,
    quantity: Quantity,
    geometry: Geometry,
    run: Run,
) -> Tensor:
    """Return what raises the quantity at each of a layer's places, laid on the picture."""
    influences = _attributed(network, inputs, cut, quantity, Point(), run)
    raising = (influences * activations(network, inputs, cut).to(influences)).relu()
    return geometry.enlarged(raising.sum(1, keepdim=True))[0, 0].float().cpu()


def _integrated(network: nn.Module, inputs: Tensor, quantity: Quantity, run: Run) -> Tensor:
    """Return integrated gradients from the blurred picture (height, width)."""
    path = from_blurred(inputs, _POINTS)
    slopes = _attributed(network, inputs, Cut(network, "input"), quantity, path, run)
    change = inputs - path.reference((inputs,))[0]
    return (slopes * change.to(slopes))[0].sum(0).float().cpu()


def _attributed(
    network: nn.Module, inputs: Tensor, cut: Cut, quantity: Quantity, over: Distribution, run: Run
) -> Tensor:
    measure = DistributionalInfluence(network, cut, distribution=over, quantity=quantity)
    found = measure.attribute(inputs, internal_batch_size=run.internal_batch_size)
    return cast(Tensor, found[0] if isinstance(found, tuple) else found).detach()


def _few_at_once(run: Run, inputs: Tensor) -> Run:
    """Return the run with as many pictures in a pass as are fast on a CPU, if nothing is said."""
    if run.internal_batch_size is not None or inputs.device.type != "cpu":
        return run
    return replace(run, internal_batch_size=min(max(_AT_ONCE // inputs.nbytes, 2), 64))


def _tested(answer: Answer) -> tuple[Quantity, str]:
    """Return what a map's test measures: of a class its probability, else the quantity itself."""
    terms = getattr(answer.quantity, "terms", ((1.0, answer.quantity),))
    weight, first = terms[0]
    asked = first.class_index if isinstance(first, ClassScore) else None
    scores = scores_in(answer.output)
    if asked is None or weight < 0 or len(terms) > 1 or scores is None or scores.shape[1] < 2:
        return answer.quantity, "the quantity"

    def probability(output: Any) -> Tensor:
        return probabilities(cast(Tensor, scores_in(output)))[:, asked]

    return Function(probability), "its probability"
