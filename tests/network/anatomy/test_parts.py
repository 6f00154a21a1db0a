"""Parts are places to cut at."""

import attending
import torch
from torch import Tensor, nn

from captum_influence.network.anatomy.anatomy import Anatomy
from captum_influence.network.cuts import Cut, layer_name
from captum_influence.network.interventions import intervene


def test_writers_add_up_to_the_stream_and_readers_are_branches() -> None:
    model, ids = attending.reader(), torch.tensor([[3, 1, 4, 1, 5]])
    anatomy = Anatomy.of(model, ids)
    assert [layer_name(model, cut) for cut in anatomy.writers] == [
        "words",
        *("blocks.0.attention.out", "blocks.0.down"),
        *("blocks.1.attention.out", "blocks.1.down"),
    ]
    assert {cut.side for cut in anatomy.readers} == {"input"}
    passed = _passed(model, ids, [*anatomy.writers, Cut("scores", "input")])
    torch.testing.assert_close(sum(passed[:-1]), passed[-1])


def _passed(model: nn.Module, ids: Tensor, cuts: list[Cut]) -> list[Tensor]:
    kept: list[Tensor] = []
    for cut in cuts:
        with intervene(model, cut, lambda z: kept.append(z.detach()) or z):
            model(ids)
    return kept
