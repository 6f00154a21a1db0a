"""What separates two classes."""

from captum_influence.explanations.pairs.find import PairOptions, pair
from captum_influence.explanations.pairs.moves import Moves
from captum_influence.explanations.pairs.result import Pair, SeparatingUnit, Side

__all__ = ["Moves", "Pair", "PairOptions", "SeparatingUnit", "Side", "pair"]
