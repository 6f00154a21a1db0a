"""What a disturbance of training images does, layer by layer."""

from captum_influence.training.bias.differences import Difference
from captum_influence.training.bias.disturbances import (
    AmplitudeSwap,
    Background,
    BlurredBackground,
    ChannelStatistics,
    Disturbance,
    FourierStyle,
    GramTransfer,
    MeanBackground,
    NoiseBackground,
    OtherBackground,
    PatchShuffle,
    WhiteBackground,
    all_disturbances,
    gallery,
)
from captum_influence.training.bias.find import bias_report
from captum_influence.training.bias.result import BiasReport
from captum_influence.training.bias.retraining import (
    Measurement,
    Retraining,
    RetrainingResult,
    measure,
    retrain_and_measure,
)
from captum_influence.training.bias.shapley import GradientShapley, SampledShapley, Shapley

__all__ = [
    "AmplitudeSwap",
    "Background",
    "BiasReport",
    "BlurredBackground",
    "ChannelStatistics",
    "Difference",
    "Disturbance",
    "FourierStyle",
    "GradientShapley",
    "GramTransfer",
    "MeanBackground",
    "Measurement",
    "NoiseBackground",
    "OtherBackground",
    "PatchShuffle",
    "Retraining",
    "RetrainingResult",
    "SampledShapley",
    "Shapley",
    "WhiteBackground",
    "all_disturbances",
    "bias_report",
    "gallery",
    "measure",
    "retrain_and_measure",
]
