"""Circuits of transformers: which edges carry an answer, and by which routes."""

from captum_influence.circuits.find import circuit
from captum_influence.circuits.graph import Graph
from captum_influence.circuits.measuring import Measuring
from captum_influence.circuits.options import CircuitOptions
from captum_influence.circuits.patterns.find import routes
from captum_influence.circuits.patterns.result import Routes
from captum_influence.circuits.result import Circuit, FaithfulnessCurve
from captum_influence.circuits.scored import Edges, edges

__all__ = [
    "Circuit",
    "CircuitOptions",
    "Edges",
    "FaithfulnessCurve",
    "Graph",
    "Measuring",
    "Routes",
    "circuit",
    "edges",
    "routes",
]
