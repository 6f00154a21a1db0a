"""Which training images: influence functions per layer, disturbances, the study of a bias."""

from captum_influence.training.bias import BiasReport, bias_report
from captum_influence.training.checkpoints import load_checkpoint
from captum_influence.training.curvature import (
    EKFAC,
    Block,
    Curvature,
    DenseGGN,
    Estimator,
    Identity,
)
from captum_influence.training.differences import Difference
from captum_influence.training.disturbances import (
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
from captum_influence.training.layer_influence import LayerInfluence
from captum_influence.training.losses import (
    EmpiricalFisher,
    ExactFisher,
    Fisher,
    SampledFisher,
    log_odds_loss,
)
from captum_influence.training.ranking import KMostInfluentialResults
from captum_influence.training.retraining import (
    Measurement,
    Retraining,
    RetrainingResult,
    measure,
    retrain_and_measure,
)
from captum_influence.training.scoring import LayerScores
from captum_influence.training.shapley import GradientShapley, SampledShapley, Shapley

__all__ = [
    "EKFAC",
    "AmplitudeSwap",
    "Background",
    "BiasReport",
    "Block",
    "BlurredBackground",
    "ChannelStatistics",
    "Curvature",
    "DenseGGN",
    "Difference",
    "Disturbance",
    "EmpiricalFisher",
    "Estimator",
    "ExactFisher",
    "Fisher",
    "FourierStyle",
    "GradientShapley",
    "GramTransfer",
    "Identity",
    "KMostInfluentialResults",
    "LayerInfluence",
    "LayerScores",
    "MeanBackground",
    "Measurement",
    "NoiseBackground",
    "OtherBackground",
    "PatchShuffle",
    "Retraining",
    "RetrainingResult",
    "SampledFisher",
    "SampledShapley",
    "Shapley",
    "WhiteBackground",
    "all_disturbances",
    "bias_report",
    "gallery",
    "load_checkpoint",
    "log_odds_loss",
    "measure",
    "retrain_and_measure",
]
