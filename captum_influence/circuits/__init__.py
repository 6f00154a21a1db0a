"""Circuits of transformers: which edges carry an answer."""

from captum_influence.circuits.find import CircuitOptions, circuit
from captum_influence.circuits.graph import Graph
from captum_influence.circuits.measuring import Measuring
from captum_influence.circuits.result import Circuit, FaithfulnessCurve

__all__ = ["Circuit", "CircuitOptions", "FaithfulnessCurve", "Graph", "Measuring", "circuit"]
