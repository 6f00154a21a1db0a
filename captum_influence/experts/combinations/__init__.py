"""What units do together, measured."""

from captum_influence.experts.combinations.find import combine
from captum_influence.experts.combinations.result import Combination

__all__ = ["Combination", "combine"]
