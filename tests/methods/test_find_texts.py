"""Methods are asked about a text where its tokens are embedded: against gradients by hand."""

import prompted
import pytest
import torch
from prompted import CLEAN, PARTS, WordTokenizer
from torch import Tensor, nn

from captum_influence import compare
from captum_influence.testing.state import preserved

TOKENIZER = WordTokenizer()
KINDS = [kind for kind in PARTS if kind != "plain"]
IDS = torch.tensor([TOKENIZER(CLEAN)["input_ids"]])
METHODS = ["InputXGradient", "IntegratedGradients", "GuidedBackprop"]


def by_hand(model: nn.Module, ids: Tensor, mask: Tensor, token: int) -> tuple[Tensor, Tensor]:
    """Return what embeds the tokens, and the slope of the last position's score of one token."""
    embedding = model.get_input_embeddings()
    kept = []

    def hook(module: nn.Module, inputs: object, output: Tensor) -> Tensor:
        kept.append(output.detach().requires_grad_())
        return kept[0]

    handle = embedding.register_forward_hook(hook)
    try:
        logits = model(input_ids=ids, attention_mask=mask).logits
    finally:
        handle.remove()
    score = logits[0, int(mask.sum()) - 1, token] if logits.ndim == 3 else logits[0, token]
    (slope,) = torch.autograd.grad(score, kept)
    return kept[0].detach(), slope


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("pads", [0, 2])
def test_the_gradient_times_what_embeds_the_tokens(kind: str, pads: int) -> None:
    model = prompted.network(kind)
    ids = torch.cat([IDS, torch.zeros(1, pads, dtype=torch.long)], dim=1)
    mask = torch.ones_like(ids)
    mask[:, IDS.shape[1] :] = 0
    text = {"input_ids": ids, "attention_mask": mask}
    with preserved(model):
        found = compare(model, text, PARTS[kind][0][0], 2, METHODS, points=8, tokenizer=TOKENIZER)
    z, slope = by_hand(model, ids, mask, 2)
    tolerance = max(1e-12, 10 * prompted.TOLERANCE[kind])
    torch.testing.assert_close(
        found.maps["InputXGradient"][0, 0].to(z), (z * slope)[0], rtol=0, atol=tolerance
    )
    assert list(found.maps) == METHODS[:2]
    assert "nn.ReLU" in found.not_applicable["GuidedBackprop"]


def test_ids_alone_and_a_class_by_its_token() -> None:
    model = prompted.network(KINDS[0])
    token = TOKENIZER.decode([2])
    named = compare(model, IDS, PARTS[KINDS[0]][0][0], token, METHODS[:1], tokenizer=TOKENIZER)
    numbered = compare(model, IDS, PARTS[KINDS[0]][0][0], 2, METHODS[:1], tokenizer=TOKENIZER)
    assert torch.equal(named.maps["InputXGradient"], numbered.maps["InputXGradient"])


def test_what_is_no_input_is_refused() -> None:
    with pytest.raises(TypeError, match="or a text as its tokenizer returns it, got"):
        compare(prompted.network(KINDS[0]), 3, "0", 2)
