"""Networks by name: from a library, a hub, a folder or a function of one's own."""

from captum_influence.network.loading.by_name import load_model
from captum_influence.network.loading.loaded import LoadedModel

__all__ = ["LoadedModel", "load_model"]
