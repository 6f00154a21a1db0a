"""How far to trust an explanation."""

from captum_influence.metrics.ablation import (
    AblationCurve,
    UnitEffects,
    ablate_units,
    ablation_curve,
)
from captum_influence.metrics.autocorrelation import Autocorrelation, shattering
from captum_influence.metrics.captum_adapter import ForCaptumMetrics, for_captum_metrics
from captum_influence.metrics.localization import Localization, localize
from captum_influence.metrics.ordering import Orderings, pixel_orderings, unit_orderings
from captum_influence.metrics.pixel_flipping import PixelFlipping, flip_pixels
from captum_influence.metrics.ranks import spearman
from captum_influence.metrics.sanity import (
    Agreement,
    Randomization,
    Stability,
    agreement,
    randomize,
    stability,
)
from captum_influence.metrics.scores import FlippingScore, LocalizationScore
from captum_influence.metrics.selectivity import Selectivity, unit_selectivity

__all__ = [
    "AblationCurve",
    "Agreement",
    "Autocorrelation",
    "FlippingScore",
    "ForCaptumMetrics",
    "Localization",
    "LocalizationScore",
    "Orderings",
    "PixelFlipping",
    "Randomization",
    "Selectivity",
    "Stability",
    "UnitEffects",
    "ablate_units",
    "ablation_curve",
    "agreement",
    "flip_pixels",
    "for_captum_metrics",
    "localize",
    "pixel_orderings",
    "randomize",
    "shattering",
    "spearman",
    "stability",
    "unit_orderings",
    "unit_selectivity",
]
