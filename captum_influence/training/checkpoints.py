"""The weights that influence is computed at: the model's own, or one or more checkpoints."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module

from captum_influence.network.recording import restored_weights

__all__ = ["Weights", "load_checkpoint"]


@dataclass(frozen=True, eq=False)
class Weights:
    """One checkpoint: the state to load (None: as the model is) and its learning rate."""

    state: dict[str, Tensor] | None
    learning_rate: float

    @staticmethod
    def load(model: Module, checkpoint: Any, load: Callable[[Module, Any], float]) -> list[Weights]:
        """Read one checkpoint or a list of them; the model is put back as it was.

        Raises:
            ValueError: for an empty list.
        """
        if checkpoint is None:
            return [Weights(None, 1.0)]
        found = []
        for one in checkpoint if isinstance(checkpoint, (list, tuple)) else [checkpoint]:
            with restored_weights(model):
                rate = load(model, one)
                state = copy.deepcopy(model.state_dict())
            found.append(Weights(state, float(rate)))
        if not found:
            raise ValueError("expected at least one checkpoint, got an empty list; or pass None")
        return found

    def into(self, model: Module) -> None:
        """Load the weights, if there are any to load."""
        if self.state is not None:
            model.load_state_dict(self.state)


def load_checkpoint(model: Module, checkpoint: Any) -> float:
    """Load a network's weights; return their learning rate.

    Args:
        model: takes them.
        checkpoint: a network of the same kind, a state dict, or a file with one; a dict, also in
            the file, may hold it as ``"state_dict"`` or ``"model_state_dict"``, beside its
            ``"learning_rate"``, which is 1 where there is none.
    """
    saved = checkpoint.state_dict() if isinstance(checkpoint, Module) else checkpoint
    if not isinstance(saved, Mapping):
        saved = torch.load(saved, map_location="cpu", weights_only=True)
    state = saved.get("state_dict", saved.get("model_state_dict", saved))
    rate = float(saved["learning_rate"]) if "learning_rate" in saved else 1.0
    model.load_state_dict({k: v for k, v in state.items() if k != "learning_rate"})
    return rate
