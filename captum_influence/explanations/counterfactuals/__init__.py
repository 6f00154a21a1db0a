"""Why a wrong answer was wrong."""

from captum_influence.explanations.counterfactuals.find import CounterfactualOptions, counterfactual
from captum_influence.explanations.counterfactuals.result import Counterfactual
from captum_influence.explanations.counterfactuals.search import Collateral, Controls

__all__ = ["Collateral", "Controls", "Counterfactual", "CounterfactualOptions", "counterfactual"]
