"""A network with some of its units kept or removed."""

from captum_influence.experts.combinations import Combination, combine
from captum_influence.experts.curves import ExpertCurves, OneAgainstRest, expert_curves
from captum_influence.experts.expert import Expert
from captum_influence.experts.rankings import class_rankings

__all__ = [
    "Combination",
    "Expert",
    "ExpertCurves",
    "OneAgainstRest",
    "class_rankings",
    "combine",
    "expert_curves",
]
