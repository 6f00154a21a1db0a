"""What separates two classes."""

from captum_influence.explanations.pairs.find import pair
from captum_influence.explanations.pairs.moves import Moves
from captum_influence.explanations.pairs.result import Pair, SeparatingUnit, Side

__all__ = ["Moves", "Pair", "SeparatingUnit", "Side", "pair"]
