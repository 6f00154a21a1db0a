"""What was seen in a pass is read as what the network was built of, or refused."""

import attending
import pytest
import torch
from torch import Tensor, nn

from captum_influence.network.anatomy.anatomy import Anatomy
from captum_influence.network.anatomy.parts import Attention, Columns


def test_the_parts_of_a_network_of_ones_own() -> None:
    anatomy = Anatomy.of(attending.reader())
    (stream,) = anatomy.streams
    assert (stream.name, stream.embedding.module) == ("blocks", "words")
    assert [block.name for block in anatomy.blocks] == ["blocks.0", "blocks.1"]
    first = anatomy.blocks[0]
    joint = "blocks.0.attention.joint"
    assert first.attentions == (
        Attention(
            "blocks.0.attention",
            heads=4,
            key_heads=2,
            size=2,
            output="blocks.0.attention.out",
            query=Columns(joint, 0, 8),
            key=Columns(joint, 8, 12),
            value=Columns(joint, 12, 16),
        ),
    )
    assert first.neurons is not None
    assert (first.neurons.count, first.neurons.output) == (12, "blocks.0.down")
    assert set(first.neurons.inputs) == {"blocks.0.gate", "blocks.0.up"}
    assert (first.width, first.cut.select) == (8, 0)  # it returns a tuple


class _Gating(attending.Grouped):
    """Something stands between the heads and the projection."""

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.heads(x).transpose(1, 2).flatten(2) * 2)


def test_what_is_no_transformer_or_cannot_be_read_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match="no attention was seen"):
        Anatomy.of(nn.Sequential(nn.Linear(3, 3)), torch.ones(1, 3))
    with pytest.raises(ValueError, match="there is none"):
        Anatomy.of(_Gating().double(), torch.ones(1, 5, attending.WIDTH, dtype=torch.float64))
    model = attending.reader()
    model.blocks = nn.ModuleList([model.blocks[0], model.blocks[0]])
    with pytest.raises(ValueError, match="run several times"):
        Anatomy.of(model)
