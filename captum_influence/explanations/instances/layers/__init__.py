"""Several layers of one input on one scale."""

from captum_influence.explanations.instances.layers.find import explain_layers
from captum_influence.explanations.instances.layers.result import LayerExplanations

__all__ = ["LayerExplanations", "explain_layers"]
