"""A prompt as networks take it, and what passes their cuts."""

import prompted
import pytest
import torch
from prompted import CLEAN, CORRUPTED, WordTokenizer
from torch import Tensor, nn

from captum_influence.network.cuts import Cut
from captum_influence.units.prompts.prompt import Prompt, passing


class Named(nn.Module):
    """Takes its ids by name, and no mask."""

    def forward(self, input_ids: Tensor) -> Tensor:
        return input_ids.double()


def test_a_network_gets_what_it_takes() -> None:
    plain = Prompt.of(prompted.reader(), WordTokenizer(), CLEAN, None)
    assert isinstance(plain.inputs, Tensor)
    assert plain.other is None
    named = Prompt.of(Named(), WordTokenizer(), CLEAN, CORRUPTED)
    assert list(named.inputs) == list(named.other or ()) == ["input_ids"]
    both = Prompt.of(prompted.network("GPT-2"), WordTokenizer(), CLEAN, CORRUPTED)
    assert set(both.inputs) == {"input_ids", "attention_mask"}


def test_tokens_go_by_their_texts() -> None:
    prompt = Prompt.of(Named(), WordTokenizer(), "when Mary left", "when Anna left")
    assert prompt.tokens == ("'when'", "'Mary'", "'left'")
    assert prompt.others == ("'when'", "'Anna'", "'left'")
    assert prompt.text_of(3) == "'John'"


@pytest.mark.parametrize("rows", [1, 3])
def test_what_passes_is_read_and_changed(rows: int) -> None:
    model = prompted.reader()
    prompt = Prompt.of(model, WordTokenizer(), CLEAN, None)
    cut = Cut("blocks.0.down", "input")
    output, (seen,) = passing(model, prompt.inputs, cuts=[cut], rows=rows)
    expected, _ = prompted.given_to(model, "blocks.0.down", CLEAN)
    torch.testing.assert_close(seen, expected.expand(rows, -1, -1))
    assert not output.requires_grad
    changed, _ = passing(model, prompt.inputs, {cut: torch.zeros_like}, rows=rows)
    zero = prompted.patched(model, "blocks.0.down", torch.zeros_like)
    assert float(changed[-1, -1, 2] - changed[-1, -1, 1]) == pytest.approx(zero, abs=1e-12)
