"""What was estimated of every unit of a prompt: its contribution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from captum_influence.attr.distributions import Distribution, Point
from captum_influence.attr.influence import DistributionalInfluence
from captum_influence.attr.inputs import Inputs
from captum_influence.attr.paths import LinearPath, StratifiedPath
from captum_influence.attr.quantities import Quantity
from captum_influence.attr.run import Run
from captum_influence.units.prompts.prompt import Prompt
from captum_influence.units.prompts.sites import Site

__all__ = ["contributions", "started"]


def started(distribution: Distribution | None, prompt: Prompt) -> Distribution:
    """Return over which activations it is asked: a path that begins nowhere, at the other prompt.

    Args:
        distribution: as given; None: at the prompt itself.
        prompt: the prompt.
    """
    if distribution is None:
        return Point()
    if not isinstance(distribution, Distribution):
        raise TypeError(
            f"expected a Distribution, got {type(distribution).__name__}; e.g. LinearPath(n=16)"
        )
    path = isinstance(distribution, LinearPath | StratifiedPath)
    if path and prompt.other is not None and _is_zero(distribution.baseline):  # type: ignore[attr-defined]  # said above
        return replace(distribution, baseline=Inputs(prompt.other))  # type: ignore[type-var]
    return distribution


def contributions(
    network: nn.Module,
    prompt: Prompt,
    sites: Sequence[Site],
    quantity: Quantity,
    distribution: Distribution,
    run: Run,
) -> tuple[Tensor, ...]:
    r"""Return :math:`\chi \cdot (z(x) - z(x'))`, (1, positions, features) at each site.

    At the prompt itself all sites are asked in one pass. Over anything else each is asked by
    itself, with the points where it is: so what is on a path adds up there.
    """
    reference = None if prompt.other is None else Inputs(prompt.other)

    def asked(layer: Any, sample_at: Any = None) -> Any:
        measure = DistributionalInfluence(
            network,
            layer,
            distribution=distribution,
            quantity=quantity,
            sample_at=sample_at,
            multiply_by_inputs=True,
            reference=reference,
        )
        return measure.attribute(
            prompt.inputs,
            internal_batch_size=run.internal_batch_size,
            show_progress=run.show_progress,
        )

    if isinstance(distribution, Point):
        return tuple(asked([site.cut for site in sites]))
    return tuple(asked(site.cut, site.cut) for site in sites)


def _is_zero(baseline: Any) -> bool:
    return isinstance(baseline, int | float) and baseline == 0
