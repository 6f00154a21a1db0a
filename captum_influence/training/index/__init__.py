"""Training examples' preconditioned gradients, kept on the disk for queries to come."""

from captum_influence.training.index.influence_index import InfluenceIndex

__all__ = ["InfluenceIndex"]
