"""Distributional internal influence for Captum: what happens inside a PyTorch network."""

from captum_influence.attr import (
    Baselines,
    ClassScore,
    Cut,
    Distribution,
    DistributionalInfluence,
    Function,
    InfluenceProfile,
    LinearPath,
    Loss,
    Mixture,
    Noise,
    Point,
    PredictedClass,
    Quantity,
    Samples,
    Unit,
)
from captum_influence.explain import (
    Expert,
    Explanation,
    compare,
    counterfactual,
    explain,
    prototype,
    rank_units,
)
from captum_influence.training import LayerInfluence

__version__ = "0.1.0"

__all__ = [
    "Baselines",
    "ClassScore",
    "Cut",
    "Distribution",
    "DistributionalInfluence",
    "Expert",
    "Explanation",
    "Function",
    "InfluenceProfile",
    "LayerInfluence",
    "LinearPath",
    "Loss",
    "Mixture",
    "Noise",
    "Point",
    "PredictedClass",
    "Quantity",
    "Samples",
    "Unit",
    "compare",
    "counterfactual",
    "explain",
    "prototype",
    "rank_units",
]
