"""The hand-wired transformer continues what it has read once."""

import torch

from captum_influence.demo.induction import induction_network


def test_it_says_what_followed_the_last_token() -> None:
    model, draws = induction_network(), torch.Generator().manual_seed(0)
    for _ in range(20):
        words = torch.randperm(9, generator=draws)[:6] + 1
        place = int(torch.randint(5, (1,), generator=draws))
        text = torch.cat([torch.tensor([0]), words, words[place : place + 1]])
        assert int(model(text[None])[0, -1].argmax()) == int(words[place + 1])


def test_it_is_small_and_in_evaluation_mode() -> None:
    model = induction_network()
    assert not model.training
    assert sum(p.numel() * p.element_size() for p in model.parameters()) < 300_000
