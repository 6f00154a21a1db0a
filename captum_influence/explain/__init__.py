"""What the units mean: which of them matter, and what each of them looks at."""

from captum_influence.explain.axes import Axis
from captum_influence.explain.captum_figures import captum_arrays, captum_figure
from captum_influence.explain.class_rankings import class_rankings
from captum_influence.explain.combination import Combination, combine
from captum_influence.explain.comparison import Comparison, Score, compare
from captum_influence.explain.counterfactual import Counterfactual, counterfactual
from captum_influence.explain.curves import ExpertCurves, OneAgainstRest, expert_curves
from captum_influence.explain.essence import Essence, EssentialUnit
from captum_influence.explain.expert import Expert
from captum_influence.explain.explanation import Explanation, InterpretedUnit, Prediction
from captum_influence.explain.finding import Finding
from captum_influence.explain.flipping import Collateral, Controls
from captum_influence.explain.geometry import Geometry
from captum_influence.explain.interpretation import explain
from captum_influence.explain.layers import rank_layers
from captum_influence.explain.looks import Look
from captum_influence.explain.measuring import Example
from captum_influence.explain.moving import Moves
from captum_influence.explain.painting import Prior
from captum_influence.explain.pair import Pair, SeparatingUnit, Side
from captum_influence.explain.portrayal import essence
from captum_influence.explain.propagation import ByCaptum, Propagation
from captum_influence.explain.prototype import Prototype, prototype
from captum_influence.explain.ranking import rank_units
from captum_influence.explain.regions import Region
from captum_influence.explain.relevance import Relevance, relevance
from captum_influence.explain.relevance_rules import (
    AlphaBeta,
    Bounded,
    Composite,
    Epsilon,
    Gamma,
    Rule,
)
from captum_influence.explain.replacement import (
    Constant,
    MeanActivation,
    Replacement,
    Resample,
)
from captum_influence.explain.separation import pair
from captum_influence.explain.several import LayerExplanations, explain_layers
from captum_influence.explain.units import JointRanking, Ranking, UnitInfluence
from captum_influence.explain.zennit_propagation import ByZennit

__all__ = [
    "AlphaBeta",
    "Axis",
    "Bounded",
    "ByCaptum",
    "ByZennit",
    "Collateral",
    "Combination",
    "Comparison",
    "Composite",
    "Constant",
    "Controls",
    "Counterfactual",
    "Epsilon",
    "Essence",
    "EssentialUnit",
    "Example",
    "Expert",
    "ExpertCurves",
    "Explanation",
    "Finding",
    "Gamma",
    "Geometry",
    "InterpretedUnit",
    "JointRanking",
    "LayerExplanations",
    "Look",
    "MeanActivation",
    "Moves",
    "OneAgainstRest",
    "Pair",
    "Prediction",
    "Prior",
    "Propagation",
    "Prototype",
    "Ranking",
    "Region",
    "Relevance",
    "Replacement",
    "Resample",
    "Rule",
    "Score",
    "SeparatingUnit",
    "Side",
    "UnitInfluence",
    "captum_arrays",
    "captum_figure",
    "class_rankings",
    "combine",
    "compare",
    "counterfactual",
    "essence",
    "expert_curves",
    "explain",
    "explain_layers",
    "pair",
    "prototype",
    "rank_layers",
    "rank_units",
    "relevance",
]
