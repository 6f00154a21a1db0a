"""A network as it is loaded, and what is known of it."""

from __future__ import annotations

from dataclasses import dataclass

from torch.nn import Module

from captum_influence.data.pictures import Preparation

__all__ = ["LoadedModel"]


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A network, and what is known of its inputs and outputs.

    Attributes:
        model: In eval mode.
        preprocessing: What its weights say of pictures; None if they say nothing.
        class_names: One name per output; None if the weights say nothing.
    """

    model: Module
    preprocessing: Preparation | None = None
    class_names: tuple[str, ...] | None = None
