"""What a transformer is made of."""

from captum_influence.network.anatomy.anatomy import Anatomy

__all__ = ["Anatomy"]
