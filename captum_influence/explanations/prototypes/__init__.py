"""Inputs that a class or a unit likes best."""

from captum_influence.explanations.prototypes.find import PrototypeOptions, prototype
from captum_influence.explanations.prototypes.images import Prior
from captum_influence.explanations.prototypes.result import Prototype

__all__ = ["Prior", "Prototype", "PrototypeOptions", "prototype"]
