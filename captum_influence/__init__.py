"""Distributional internal influence for Captum: what happens inside a PyTorch network."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from captum_influence.attr import (
        Baselines,
        ClassScore,
        Distribution,
        DistributionalInfluence,
        Function,
        InfluenceProfile,
        Inputs,
        KLDivergence,
        LinearPath,
        LogProbability,
        Loss,
        Mixture,
        NextToken,
        Noise,
        Point,
        PredictedClass,
        Prompts,
        Quantity,
        Run,
        Samples,
        StratifiedPath,
        Unit,
    )
    from captum_influence.circuits import Circuit, Edges, FaithfulnessCurve, circuit, edges
    from captum_influence.experts import (
        Combination,
        Expert,
        ExpertCurves,
        HeldOut,
        OneAgainstRest,
        class_rankings,
        combine,
        expert_curves,
    )
    from captum_influence.explanations import (
        Counterfactual,
        Essence,
        Explanation,
        LayerExplanations,
        Pair,
        Prototype,
        TextExplanation,
        counterfactual,
        essence,
        explain,
        explain_layers,
        explain_text,
        pair,
        prototype,
    )
    from captum_influence.methods import Comparison, Composite, Relevance, compare, relevance
    from captum_influence.metrics import (
        AblationCurve,
        Agreement,
        Autocorrelation,
        Localization,
        Orderings,
        PixelFlipping,
        Randomization,
        Selectivity,
        Stability,
        UnitEffects,
        ablate_units,
        ablation_curve,
        agreement,
        flip_pixels,
        localize,
        pixel_orderings,
        randomize,
        shattering,
        stability,
        unit_orderings,
        unit_selectivity,
    )
    from captum_influence.network import Anatomy, Cut, PerExample, Shared
    from captum_influence.reports import Finding, Shown
    from captum_influence.training import (
        BiasReport,
        LabelErrors,
        LayerInfluence,
        LayerScores,
        RetrainingResult,
        bias_report,
        find_label_errors,
        retrain_and_measure,
    )
    from captum_influence.units import (
        Dictionary,
        JointRanking,
        Ranking,
        Replacement,
        UnitsOf,
        rank_layers,
        rank_units,
    )

__version__ = "0.2.0"

__all__ = [
    "AblationCurve",
    "Agreement",
    "Anatomy",
    "Autocorrelation",
    "Baselines",
    "BiasReport",
    "Circuit",
    "ClassScore",
    "Combination",
    "Comparison",
    "Composite",
    "Counterfactual",
    "Cut",
    "Dictionary",
    "Distribution",
    "DistributionalInfluence",
    "Edges",
    "Essence",
    "Expert",
    "ExpertCurves",
    "Explanation",
    "FaithfulnessCurve",
    "Finding",
    "Function",
    "HeldOut",
    "InfluenceProfile",
    "Inputs",
    "JointRanking",
    "KLDivergence",
    "LabelErrors",
    "LayerExplanations",
    "LayerInfluence",
    "LayerScores",
    "LinearPath",
    "Localization",
    "LogProbability",
    "Loss",
    "Mixture",
    "NextToken",
    "Noise",
    "OneAgainstRest",
    "Orderings",
    "Pair",
    "PerExample",
    "PixelFlipping",
    "Point",
    "PredictedClass",
    "Prompts",
    "Prototype",
    "Quantity",
    "Randomization",
    "Ranking",
    "Relevance",
    "Replacement",
    "RetrainingResult",
    "Run",
    "Samples",
    "Selectivity",
    "Shared",
    "Shown",
    "Stability",
    "StratifiedPath",
    "TextExplanation",
    "Unit",
    "UnitEffects",
    "UnitsOf",
    "ablate_units",
    "ablation_curve",
    "agreement",
    "bias_report",
    "circuit",
    "class_rankings",
    "combine",
    "compare",
    "counterfactual",
    "edges",
    "essence",
    "expert_curves",
    "explain",
    "explain_layers",
    "explain_text",
    "find_label_errors",
    "flip_pixels",
    "localize",
    "pair",
    "pixel_orderings",
    "prototype",
    "randomize",
    "rank_layers",
    "rank_units",
    "relevance",
    "retrain_and_measure",
    "shattering",
    "stability",
    "unit_orderings",
    "unit_selectivity",
]

_FOLDERS = (  # in reading order
    "data",
    "network",
    "visualization",
    "reports",
    "attr",
    "units",
    "metrics",
    "experts",
    "circuits",
    "explanations",
    "methods",
    "training",
)

if not TYPE_CHECKING:  # which read the names above, and would take this for any name at all

    def __getattr__(name: str) -> Any:
        """Load a folder when the first of its names is asked for: torch and Captum take seconds."""
        if name in _FOLDERS:
            return import_module(f"{__name__}.{name}")
        for folder in _FOLDERS if name in __all__ else ():
            module = import_module(f"{__name__}.{folder}")
            if name in module.__all__:
                globals()[name] = found = getattr(module, name)
                return found
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__, *_FOLDERS})
