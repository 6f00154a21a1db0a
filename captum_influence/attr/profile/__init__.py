"""The measure over a data set, in one pass that can be shared and resumed."""

from captum_influence.attr.profile.result import Difference, InfluenceProfile, UnitStatistic

__all__ = ["Difference", "InfluenceProfile", "UnitStatistic"]
