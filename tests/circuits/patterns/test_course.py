"""Where routes pass: the blocks of a network, and what passes there."""

import attending
import pytest
import torch
from torch import nn

from captum_influence.circuits.patterns.course import Course

IDS = torch.tensor([[3, 1, 4, 1]])


def test_what_passes_is_what_the_modules_hand_on() -> None:
    model = attending.reader()
    course = Course.of(model, IDS)
    assert [level.name for level in course.levels] == ["blocks.0", "blocks.1"]
    passed = course.passed(IDS)
    stream = model.words(IDS)
    assert torch.equal(passed.entry, stream)
    block = model.blocks[0]
    heads = block.attention.heads(block.norm(stream))
    torch.testing.assert_close(course.levels[0].apart(passed.heads[0]), heads.transpose(1, 2))
    assert torch.equal(passed.ends[0], block(stream)[0])
    assert torch.equal(passed.output, model(IDS))


def test_another_entry_can_take_the_place_of_the_first_block_s() -> None:
    model = attending.reader()
    other = model.words(IDS + 1)
    assert torch.equal(Course.of(model, IDS).passed(IDS, other).output, model(IDS + 1))


def test_an_encoder_with_a_decoder_is_refused() -> None:
    torch.manual_seed(0)
    both = nn.Transformer(8, 2, 1, 1, 12, batch_first=True).eval()
    x = torch.randn(1, 3, 8)
    with pytest.raises(ValueError, match="one residual stream"):
        Course.of(both, (x, x))
