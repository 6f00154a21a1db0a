"""What :class:`LayerInfluence` takes by keyword, checked."""

from __future__ import annotations

from typing import Any, TypeAlias

from torch.utils.data import DataLoader, Dataset
from typing_extensions import TypedDict

from captum_influence.training.losses import Fisher
from captum_influence.units.options import check_options

__all__ = ["Data", "InfluenceOptions", "check_influence_options"]

Data: TypeAlias = Dataset[Any] | DataLoader[Any]


class InfluenceOptions(TypedDict, total=False):
    """What :class:`LayerInfluence` takes by keyword beyond Captum's arguments.

    Attributes:
        hessian_dataset: for the curvature; None: the training data.
        fisher: ``"exact"``, the default, ``"sampled"``, ``"empirical"`` or a :class:`Fisher`.
        damping: δ; None: a tenth of each block's mean eigenvalue.
        normalize: ``"self"`` divides scores by √self-influence (Barshan et al. 2020).
        seed: of the sampled Fisher.
        skip_unsupported: leave out layers that cannot be treated (see ``skipped``).
    """

    hessian_dataset: Data | None
    fisher: str | Fisher
    damping: float | None
    normalize: str | None
    seed: int
    skip_unsupported: bool


def check_influence_options(options: InfluenceOptions) -> None:
    """Refuse options that there aren't.

    Raises:
        TypeError: if there is no such option.
        ValueError: if one is out of range.
    """
    check_options("LayerInfluence", options, InfluenceOptions)
    damping, normalize = options.get("damping"), options.get("normalize")
    if damping is not None and not 0 <= damping < float("inf"):
        raise ValueError(f"expected damping to be None or a number >= 0, got {damping!r}")
    if normalize not in (None, "self"):
        raise ValueError(f"expected normalize to be None or 'self', got {normalize!r}")
