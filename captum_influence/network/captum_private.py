"""All that is used of Captum's private modules, in one place.

Captum promises nothing about these names; a test lists them and holds them to what they do here.
"""

from captum._utils.common import _format_additional_forward_args as format_additional_forward_args
from captum._utils.common import _format_output as format_output
from captum.attr._core.lrp import SUPPORTED_LAYERS_WITH_RULES, SUPPORTED_NON_LINEAR_LAYERS
from captum.attr._utils.lrp_rules import (
    Alpha1_Beta0_Rule,
    EpsilonRule,
    GammaRule,
    PropagationRule,
)
from captum.influence._utils.common import KMostInfluentialResults

__all__ = [
    "SUPPORTED_LAYERS_WITH_RULES",
    "SUPPORTED_NON_LINEAR_LAYERS",
    "Alpha1_Beta0_Rule",
    "EpsilonRule",
    "GammaRule",
    "KMostInfluentialResults",
    "PropagationRule",
    "format_additional_forward_args",
    "format_output",
]
