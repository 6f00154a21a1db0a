"""Units that are combinations of a layer's channels: fitted, given, or an autoencoder's."""

from captum_influence.units.dictionaries.dictionary import Dictionary

__all__ = ["Dictionary"]
