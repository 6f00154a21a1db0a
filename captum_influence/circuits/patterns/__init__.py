"""Routes through a transformer, from a token to the answer, node by node."""

from captum_influence.circuits.patterns.find import routes
from captum_influence.circuits.patterns.result import Routes

__all__ = ["Routes", "routes"]
