"""Why a language model said what it said about one prompt."""

from captum_influence.explanations.texts.find import TextOptions, explain_text
from captum_influence.explanations.texts.patched import PatchedUnits
from captum_influence.explanations.texts.result import TextExplanation

__all__ = ["PatchedUnits", "TextExplanation", "TextOptions", "explain_text"]
