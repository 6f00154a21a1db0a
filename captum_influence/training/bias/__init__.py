"""What a disturbance of training images does, layer by layer."""

from captum_influence.training.bias.differences import GroupDifference
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
)
from captum_influence.training.bias.figures import gallery
from captum_influence.training.bias.find import ReportOptions, bias_report
from captum_influence.training.bias.result import BiasReport
from captum_influence.training.bias.retrained import Performance, RetrainingResult
from captum_influence.training.bias.retraining import Retraining, measure, retrain_and_measure
from captum_influence.training.bias.shapley import GradientShapley, SampledShapley, Shapley

__all__ = [
    "AmplitudeSwap",
    "Background",
    "BiasReport",
    "BlurredBackground",
    "ChannelStatistics",
    "Disturbance",
    "FourierStyle",
    "GradientShapley",
    "GramTransfer",
    "GroupDifference",
    "MeanBackground",
    "NoiseBackground",
    "OtherBackground",
    "PatchShuffle",
    "Performance",
    "ReportOptions",
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
