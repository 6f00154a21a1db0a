"""Run by torchrun from test_distributed: scores of all kinds, written by the first process."""

import sys

import torch
import torch.distributed as dist
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from captum_influence import LayerInfluence


def problem() -> tuple[nn.Module, TensorDataset, tuple[torch.Tensor, torch.Tensor]]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.LayerNorm(5), nn.Tanh(), nn.Linear(5, 3)).double()
    data = TensorDataset(torch.randn(23, 4, dtype=torch.float64), torch.randint(0, 3, (23,)))
    return model, data, (torch.randn(3, 4, dtype=torch.float64), torch.randint(0, 3, (3,)))


def scores() -> dict[str, torch.Tensor]:
    model, data, queries = problem()
    found = {}
    for fisher, source in (("exact", data), ("sampled", DataLoader(data, 4))):
        influence = LayerInfluence(
            model, source, loss_fn=nn.CrossEntropyLoss(), batch_size=4, fisher=fisher
        )
        found[f"{fisher} all"] = influence.influence(queries)
        found[f"{fisher} layer"] = influence.layer_influence(queries)["0"]
        found[f"{fisher} self"] = influence.self_influence()
        found[f"{fisher} queries' self"] = influence.self_influence(queries)
        top = influence.influence(queries, k=5)
        found |= {f"{fisher} best": top.indices, f"{fisher} best scores": top.influence_scores}
    return found


if __name__ == "__main__":
    torch.set_num_threads(1)
    result = scores()
    every = [None] * dist.get_world_size()
    dist.all_gather_object(every, result)
    for other in every:
        if any(not torch.equal(result[key], other[key]) for key in result):
            raise SystemExit("the processes disagree")
    if dist.get_rank() == 0:
        torch.save(result, sys.argv[1])
