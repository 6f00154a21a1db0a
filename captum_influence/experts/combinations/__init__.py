"""What units do together, measured."""

from captum_influence.experts.combinations.find import CombinationOptions, combine
from captum_influence.experts.combinations.result import Combination

__all__ = ["Combination", "CombinationOptions", "combine"]
