"""Why a wrong answer was wrong."""

from captum_influence.explanations.counterfactuals.controls import Collateral, Controls, WrongClass
from captum_influence.explanations.counterfactuals.find import CounterfactualOptions, counterfactual
from captum_influence.explanations.counterfactuals.result import Counterfactual

__all__ = [
    "Collateral",
    "Controls",
    "Counterfactual",
    "CounterfactualOptions",
    "WrongClass",
    "counterfactual",
]
