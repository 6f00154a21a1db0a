"""Routes that are known are found, with all that goes by them."""

import attending
import pytest
import torch

from captum_influence.attr.distributions import Point
from captum_influence.attr.next_token import NextToken
from captum_influence.attr.paths import LinearPath
from captum_influence.attr.prompts import Prompts
from captum_influence.attr.quantities import Function
from captum_influence.circuits.patterns.find import routes
from captum_influence.demo import induction_network

MODEL = induction_network()
CLEAN = torch.tensor([[0, 3, 1, 4, 5, 3], [0, 7, 2, 4, 5, 7]])
OTHER = torch.tensor([[0, 9, 2, 6, 8, 4], [0, 6, 3, 1, 9, 1]])
NEXT = NextToken([1, 2])


@pytest.mark.parametrize("distribution", [None, Point(), LinearPath(n=3)])
def test_the_routes_of_the_induction_network_are_those_it_is_wired_with(distribution) -> None:
    found = routes(MODEL, (CLEAN, OTHER), NEXT, distribution=distribution, controls=3)
    # What stood there before: written down one place on, where it is the key of the second head.
    assert found.route(1) == ("a0.h0@2", "a1.h0@5")
    assert found.route(2) == ("skip@2", "a1.h0@5")  # the answer itself: its value
    assert found.route(5) == ("skip@5", "a1.h0@5")  # the present token: its query
    assert found.share == pytest.approx(1, abs=0.02)
    assert found.faithfulness == pytest.approx(1, abs=1e-2)
    assert float(found.chance.mean()) < 0.5
    assert float(found.alone.max()) < 0.5  # each by itself is not enough


def test_on_a_path_what_tokens_do_adds_up_to_what_the_corruption_takes() -> None:
    model = attending.reader()
    clean, other = torch.tensor([[3, 1, 4]]), torch.tensor([[3, 9, 5]])
    last = Function(lambda scores: scores[:, -1, 7])
    found = routes(model, (clean, other), last, distribution=LinearPath(n=40), controls=1)
    lost = float(found.clean - found.corrupted)
    assert float(found.totals.sum()) == pytest.approx(lost, rel=1e-6)


def test_torch_s_own_attention_and_norms_behind_it_are_passed() -> None:
    encoder = attending.encoder()
    clean, other = (torch.randn(1, 4, attending.WIDTH).double() for _ in range(2))
    last = Function(lambda output: output[:, -1, 3])
    found = routes(encoder, (clean, other), last, controls=2)
    assert len(found) == 4
    assert found.tokens == ("",) * 4
    signs = found.values[:, -1].sign() == found.totals.sign()
    assert bool(signs.all())


def test_the_network_is_left_as_it_was() -> None:
    routes(MODEL, (CLEAN, OTHER), NEXT, controls=1)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in MODEL.modules())
    assert all(parameter.grad is None for parameter in MODEL.parameters())


def test_what_cannot_be_asked_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match="corruption changes"):
        routes(MODEL, (CLEAN, CLEAN), NEXT)
    with pytest.raises(ValueError, match="at least one random"):
        routes(MODEL, (CLEAN, OTHER), NEXT, controls=0)
    with pytest.raises(TypeError, match="did you mean"):
        routes(MODEL, (CLEAN, OTHER), NEXT, sed=1)  # type: ignore[call-arg]
    words = {"a": 1, "b": 2, "c": 3}
    tokenizer = lambda text: {"input_ids": [words[word] for word in text.split()]}  # noqa: E731
    padded = Prompts(tokenizer, ["a b", "a b c"], ["c b", "a a c"])
    with pytest.raises(ValueError, match="one length"):
        routes(MODEL, padded, NEXT)
