"""The only room that touches the user's model: cuts, hooks, slices, interventions, loading."""

from captum_influence.network.anatomy import Anatomy
from captum_influence.network.cuts import Cut
from captum_influence.network.folding import fold_batchnorm
from captum_influence.network.interventions import intervene
from captum_influence.network.loading import LoadedModel, load_model
from captum_influence.network.passes import PerExample, Shared
from captum_influence.network.predictions import Prediction
from captum_influence.network.slices import Slice

__all__ = [
    "Anatomy",
    "Cut",
    "LoadedModel",
    "PerExample",
    "Prediction",
    "Shared",
    "Slice",
    "fold_batchnorm",
    "intervene",
    "load_model",
]
