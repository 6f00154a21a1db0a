"""Networks by name: where one comes from, and its weights."""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike
from pathlib import Path

import torch

from captum_influence.network.loading.functions import from_function
from captum_influence.network.loading.hugging_face import from_transformers
from captum_influence.network.loading.libraries import from_timm, from_torchvision
from captum_influence.network.loading.loaded import LoadedModel
from captum_influence.network.loading.torch_hub import from_hub
from captum_influence.network.loading.weights import load_weights

__all__ = ["load_model"]

_SOURCES: dict[str, Callable[[str, str | None], LoadedModel]] = {
    "torchvision": from_torchvision,
    "timm": from_timm,
    "hf": from_transformers,
    "hub": from_hub,
}


def load_model(
    spec: str,
    weights: str | PathLike[str] | None = None,
    *,
    device: str | torch.device = "cpu",
) -> LoadedModel:
    """Build a network by name and load its weights.

    Args:
        spec: ``torchvision:NAME``; ``timm:NAME``; ``hf:NAME``, a classifier of pictures on the
            Hugging Face hub, or a folder that ``save_pretrained`` wrote; ``hub:REPO:ENTRY``, of
            ``torch.hub``, where REPO is ``owner/name``, ``owner/name:tag`` or a folder with a
            ``hubconf.py``; ``file.py:function`` or ``module:function``. The function takes no
            arguments and returns the network, or a :class:`LoadedModel`. **The code of the last
            three runs**; of ``hf:``, none does.
        weights: A ``.safetensors`` file, or one written by ``torch.save`` that holds tensors only;
            of a library or hub also ``"DEFAULT"`` (torchvision: or any name of its weights), which
            downloads what isn't in its cache. None: the network as it was built; of ``hf:``, whose
            names are those of weights, the same as ``"DEFAULT"``.
        device: Where to put the network.

    Raises:
        ValueError: If the spec, what it returns or the weights are not what is expected.
        ImportError: If the module, or a library that is needed, can't be imported.
        RuntimeError: If the published weights can't be fetched.

    Example:
        >>> load_model("torch.nn:Identity").model
        Identity()
    """
    source, _, name = spec.partition(":")
    if source == "hf" and weights is None:
        weights = "DEFAULT"
    library = _SOURCES.get(source)
    published = library is not None and weights is not None and _is_published(weights)
    if library is not None and name:
        loaded = library(name, str(weights) if published else None)
    else:
        source, _, name = spec.rpartition(":")
        if not (source and name):
            raise ValueError(
                "expected a model as torchvision:NAME, timm:NAME, hf:NAME, hub:REPO:ENTRY, "
                f"FILE.py:FUNCTION or PACKAGE.MODULE:FUNCTION, got {spec!r}"
            )
        loaded = from_function(source, name)
    if weights is not None and not published:
        load_weights(loaded.model, Path(weights))
    return LoadedModel(loaded.model.to(device).eval(), loaded.preprocessing, loaded.class_names)


def _is_published(weights: str | PathLike[str]) -> bool:
    """Say whether weights are named (DEFAULT, IMAGENET1K_V1) rather than a file."""
    return isinstance(weights, str) and weights.isidentifier() and not Path(weights).exists()
