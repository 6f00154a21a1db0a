"""What a class is to a network."""

from captum_influence.explanations.essences.find import EssenceOptions, essence
from captum_influence.explanations.essences.result import Essence, EssentialUnit

__all__ = ["Essence", "EssenceOptions", "EssentialUnit", "essence"]
