"""Layer-wise relevance propagation."""

from captum_influence.methods.lrp.captum_backend import ByCaptum, Propagation
from captum_influence.methods.lrp.find import RelevanceOptions, relevance
from captum_influence.methods.lrp.operations_backend import ByOperations
from captum_influence.methods.lrp.result import Relevance
from captum_influence.methods.lrp.rules import (
    AlphaBeta,
    Bounded,
    Composite,
    Epsilon,
    Gamma,
    RelevanceRule,
)
from captum_influence.methods.lrp.zennit_backend import ByZennit

__all__ = [
    "AlphaBeta",
    "Bounded",
    "ByCaptum",
    "ByOperations",
    "ByZennit",
    "Composite",
    "Epsilon",
    "Gamma",
    "Propagation",
    "Relevance",
    "RelevanceOptions",
    "RelevanceRule",
    "relevance",
]
