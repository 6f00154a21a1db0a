"""Why a network said what it said about one input."""

from captum_influence.explanations.instances.find import explain
from captum_influence.explanations.instances.layers import LayerExplanations, explain_layers
from captum_influence.explanations.instances.result import Explanation

__all__ = ["Explanation", "LayerExplanations", "explain", "explain_layers"]
