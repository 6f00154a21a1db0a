"""Other methods put to the same question, and the comparison."""

from captum_influence.methods.captum_figures import captum_arrays, captum_figure
from captum_influence.methods.find import CompareOptions, Score, compare
from captum_influence.methods.lrp import (
    AlphaBeta,
    Bounded,
    ByCaptum,
    ByOperations,
    ByZennit,
    Composite,
    Epsilon,
    Gamma,
    Propagation,
    Relevance,
    RelevanceOptions,
    RelevanceRule,
    relevance,
)
from captum_influence.methods.result import Comparison

__all__ = [
    "AlphaBeta",
    "Bounded",
    "ByCaptum",
    "ByOperations",
    "ByZennit",
    "CompareOptions",
    "Comparison",
    "Composite",
    "Epsilon",
    "Gamma",
    "Propagation",
    "Relevance",
    "RelevanceOptions",
    "RelevanceRule",
    "Score",
    "captum_arrays",
    "captum_figure",
    "compare",
    "relevance",
]
