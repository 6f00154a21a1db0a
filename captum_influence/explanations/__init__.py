"""Findings about instances, classes, pairs of classes, wrong answers; and prototypes."""

from captum_influence.explanations.counterfactuals import (
    Collateral,
    Controls,
    Counterfactual,
    CounterfactualOptions,
    WrongClass,
    counterfactual,
)
from captum_influence.explanations.essences import (
    Essence,
    EssenceOptions,
    EssentialUnit,
    essence,
)
from captum_influence.explanations.instances import (
    Explanation,
    LayerExplanations,
    explain,
    explain_layers,
)
from captum_influence.explanations.pairs import (
    Moves,
    Pair,
    PairOptions,
    SeparatingUnit,
    Side,
    pair,
)
from captum_influence.explanations.prototypes import (
    Prior,
    Prototype,
    PrototypeOptions,
    prototype,
)
from captum_influence.explanations.texts import (
    PatchedUnits,
    TextExplanation,
    TextOptions,
    explain_text,
)

__all__ = [
    "Collateral",
    "Controls",
    "Counterfactual",
    "CounterfactualOptions",
    "Essence",
    "EssenceOptions",
    "EssentialUnit",
    "Explanation",
    "LayerExplanations",
    "Moves",
    "Pair",
    "PairOptions",
    "PatchedUnits",
    "Prior",
    "Prototype",
    "PrototypeOptions",
    "SeparatingUnit",
    "Side",
    "TextExplanation",
    "TextOptions",
    "WrongClass",
    "counterfactual",
    "essence",
    "explain",
    "explain_layers",
    "explain_text",
    "pair",
    "prototype",
]
