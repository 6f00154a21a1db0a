"""Findings about instances, classes, pairs of classes, wrong answers; and prototypes."""

from captum_influence.explanations.counterfactuals import (
    Collateral,
    Controls,
    Counterfactual,
    counterfactual,
)
from captum_influence.explanations.essences import Essence, EssentialUnit, essence
from captum_influence.explanations.instances import (
    Explanation,
    LayerExplanations,
    explain,
    explain_layers,
)
from captum_influence.explanations.pairs import Moves, Pair, SeparatingUnit, Side, pair
from captum_influence.explanations.prototypes import Prior, Prototype, prototype

__all__ = [
    "Collateral",
    "Controls",
    "Counterfactual",
    "Essence",
    "EssentialUnit",
    "Explanation",
    "LayerExplanations",
    "Moves",
    "Pair",
    "Prior",
    "Prototype",
    "SeparatingUnit",
    "Side",
    "counterfactual",
    "essence",
    "explain",
    "explain_layers",
    "pair",
    "prototype",
]
