"""A network with some of its units kept or removed."""

from captum_influence.experts.combinations import Combination, CombinationOptions, combine
from captum_influence.experts.curves import (
    CurveOptions,
    ExpertCurves,
    OneAgainstRest,
    expert_curves,
)
from captum_influence.experts.expert import Expert, ProfileOptions
from captum_influence.experts.held_out import HeldOut
from captum_influence.experts.rankings import class_rankings

__all__ = [
    "Combination",
    "CombinationOptions",
    "CurveOptions",
    "Expert",
    "ExpertCurves",
    "HeldOut",
    "OneAgainstRest",
    "ProfileOptions",
    "class_rankings",
    "combine",
    "expert_curves",
]
