"""Networks of torchvision and timm, with the weights that they publish."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable
from types import ModuleType

import torch
from torch.nn import Module

from captum_influence.data.pictures import Preprocessing
from captum_influence.network.loading.loaded import LoadedModel
from captum_influence.network.torchvision_operators import declare_operators

__all__ = ["check_default", "fetched", "from_timm", "from_torchvision", "library"]


def from_torchvision(name: str, weights: str | None) -> LoadedModel:
    """Return a network of torchvision, with its published weights if they are named."""
    models = library("torchvision.models")
    try:
        enum = models.get_model_weights(name)
    except ValueError:
        raise ValueError(
            f"expected a network of torchvision, got {name!r}, which torchvision "
            f"{library('torchvision').__version__} doesn't have{_near(name, models.list_models())}"
            "; torchvision.models.list_models() lists them"
        ) from None
    if weights is None:
        return LoadedModel(models.get_model(name, weights=None))
    if weights not in enum.__members__:
        raise ValueError(
            f"expected weights of {name} as a file or one of {list(enum.__members__)}, got "
            f"{weights!r}, which is neither"
        )
    chosen = enum[weights]
    names = chosen.meta.get("categories")
    return LoadedModel(
        fetched(name, lambda: models.get_model(name, weights=chosen)),
        Preprocessing.from_transforms(chosen.transforms()),
        None if names is None else tuple(names),
    )


def from_timm(name: str, weights: str | None) -> LoadedModel:
    """Return a network of timm, with its published weights if ``"DEFAULT"`` is asked for."""
    timm, data = library("timm"), library("timm.data")
    check_default(f"timm:{name}", weights)
    if not timm.is_model(name):
        raise ValueError(
            f"expected a network of timm, got {name!r}, which timm {timm.__version__} doesn't "
            f"have{_near(name, timm.list_models())}; timm.list_models() lists them"
        )
    pretrained = weights is not None
    model = fetched(name, lambda: timm.create_model(name, pretrained=pretrained))
    if not pretrained:
        return LoadedModel(model)
    config = data.resolve_model_data_config(model)
    return LoadedModel(model, Preprocessing.from_transforms(data.create_transform(**config)))


def _near(name: str, known: list[str]) -> str:
    """Return names that may have been meant, as a question."""
    near = difflib.get_close_matches(name, known, 3)
    return f": did you mean {' or '.join(near)}?" if near else ""


def library(name: str) -> ModuleType:
    """Import a library of networks, or a module of it.

    Raises:
        ImportError: If it isn't installed, or is built for another torch.
    """
    whole = name.partition(".")[0]
    declare_operators()  # timm imports torchvision, too
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name == whole:
            raise ImportError(f"{whole}: networks take {whole}: pip install {whole}") from None
        raise
    except (ImportError, RuntimeError, OSError) as error:  # a build for another torch
        raise ImportError(
            f"{whole} is installed but can't be imported ({error}): install the version that "
            f"was built for torch {torch.__version__}, or build the network in a FILE.py:FUNCTION"
        ) from error


def fetched(name: str, build: Callable[[], Module]) -> Module:
    """Build a network whose weights may have to be downloaded.

    Raises:
        RuntimeError: If they can't be.
    """
    try:
        return build()
    except OSError as error:
        raise RuntimeError(
            f"the weights of {name} couldn't be fetched ({error}): check the connection, or fetch "
            "them elsewhere and name the file as weights"
        ) from error


def check_default(spec: str, weights: str | None) -> None:
    """Check that weights, where they aren't a file, are those that the source has itself.

    Raises:
        ValueError: If they are named otherwise.
    """
    if weights not in (None, "DEFAULT"):
        raise ValueError(f'expected weights of {spec} as a file or "DEFAULT", got {weights!r}')
