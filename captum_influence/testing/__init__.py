"""Contract checks for what can be written anew, and tiny networks with answers.

Each check is one call and raises AssertionError with what was violated.
"""

from captum_influence.testing.attributions import check_attribution
from captum_influence.testing.distributions import check_distribution
from captum_influence.testing.findings import check_finding
from captum_influence.testing.models import (
    AnalyticModel,
    bilinear_model,
    gru_model,
    linear_model,
    relu_model,
)
from captum_influence.testing.quantities import check_quantity

__all__ = [
    "AnalyticModel",
    "bilinear_model",
    "check_attribution",
    "check_distribution",
    "check_finding",
    "check_quantity",
    "gru_model",
    "linear_model",
    "relu_model",
]
