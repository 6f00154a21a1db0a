"""The measure: distributional influence, its distributions and quantities."""

from captum_influence.attr.detection.box_score import BoxScore
from captum_influence.attr.detection.region_score import RegionScore
from captum_influence.attr.distributions import (
    Baselines,
    Distribution,
    Mixture,
    Noise,
    Point,
    Samples,
)
from captum_influence.attr.influence import DistributionalInfluence
from captum_influence.attr.inputs import Inputs
from captum_influence.attr.integral import Computation, Execution
from captum_influence.attr.log_probability import KLDivergence, LogProbability
from captum_influence.attr.losses import Loss
from captum_influence.attr.next_token import NextToken
from captum_influence.attr.paths import LinearPath, StratifiedPath
from captum_influence.attr.points import WeightedPoint
from captum_influence.attr.profile import Difference, InfluenceProfile, UnitStatistic
from captum_influence.attr.prompts import Prompts
from captum_influence.attr.quadrature import (
    GaussLegendre,
    LeftRiemann,
    Midpoint,
    RightRiemann,
    Rule,
    Trapezoid,
)
from captum_influence.attr.quantities import (
    ClassScore,
    Function,
    PredictedClass,
    Quantity,
    Unit,
)
from captum_influence.attr.run import Run

__all__ = [
    "Baselines",
    "BoxScore",
    "ClassScore",
    "Computation",
    "Difference",
    "Distribution",
    "DistributionalInfluence",
    "Execution",
    "Function",
    "GaussLegendre",
    "InfluenceProfile",
    "Inputs",
    "KLDivergence",
    "LeftRiemann",
    "LinearPath",
    "LogProbability",
    "Loss",
    "Midpoint",
    "Mixture",
    "NextToken",
    "Noise",
    "Point",
    "PredictedClass",
    "Prompts",
    "Quantity",
    "RegionScore",
    "RightRiemann",
    "Rule",
    "Run",
    "Samples",
    "StratifiedPath",
    "Trapezoid",
    "Unit",
    "UnitStatistic",
    "WeightedPoint",
]
