"""What tests of loading share: whether a network has the weights that were saved."""

import torch

from captum_influence.network.loading.loaded import LoadedModel


def agrees(loaded: LoadedModel, state: dict[str, torch.Tensor]) -> bool:
    """Say whether they are the network's, but for counters of batches."""
    own = loaded.model.state_dict()
    return all(torch.equal(own[k], v) for k, v in state.items() if "num_batches" not in k)
