"""How well units tell a class when they are kept alone or removed."""

from captum_influence.experts.curves.find import CurveOptions, expert_curves
from captum_influence.experts.curves.result import ExpertCurves, OneAgainstRest

__all__ = ["CurveOptions", "ExpertCurves", "OneAgainstRest", "expert_curves"]
