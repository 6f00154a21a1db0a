"""What the units mean: which of them matter, and what each of them looks at."""

from captum_influence.explain.explanation import Explanation, InterpretedUnit, Prediction
from captum_influence.explain.interpretation import explain
from captum_influence.explain.measuring import Example
from captum_influence.explain.regions import Region
from captum_influence.explain.units import Axis, Ranking, UnitInfluence, rank_units

__all__ = [
    "Axis",
    "Example",
    "Explanation",
    "InterpretedUnit",
    "Prediction",
    "Ranking",
    "Region",
    "UnitInfluence",
    "explain",
    "rank_units",
]
