"""What counts as a unit; units ranked, selected, replaced, grouped; where a unit looks."""

from captum_influence.units.axes import Axis
from captum_influence.units.dictionaries import Dictionary
from captum_influence.units.exemplars import Look
from captum_influence.units.find import RankingOptions, rank_layers, rank_units
from captum_influence.units.geometry import Geometry
from captum_influence.units.interpreted import Example, InterpretedUnit
from captum_influence.units.options import Options, SurveyOptions
from captum_influence.units.prompts import PromptUnit
from captum_influence.units.ranking import UnitInfluence
from captum_influence.units.regions import Region
from captum_influence.units.replacement import Constant, MeanActivation, Replacement, Resample
from captum_influence.units.result import JointRanking, Ranking
from captum_influence.units.units_of import UnitsOf

__all__ = [
    "Axis",
    "Constant",
    "Dictionary",
    "Example",
    "Geometry",
    "InterpretedUnit",
    "JointRanking",
    "Look",
    "MeanActivation",
    "Options",
    "PromptUnit",
    "Ranking",
    "RankingOptions",
    "Region",
    "Replacement",
    "Resample",
    "SurveyOptions",
    "UnitInfluence",
    "UnitsOf",
    "rank_layers",
    "rank_units",
]
