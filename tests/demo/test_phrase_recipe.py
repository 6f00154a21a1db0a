"""The texts that the demo of text learns from, and how well it did."""

import torch

from captum_influence.demo.phrase_net import PLACES, load_phrase_network
from captum_influence.demo.phrase_recipe import accuracy, main, phrases, train


def test_what_is_known_of_a_text_follows_from_it() -> None:
    words, known = phrases(200, torch.Generator().manual_seed(3))
    assert words.shape == (200, PLACES)
    assert known.shape == (200, PLACES - 2)
    for text, marks in zip(words.tolist(), known.tolist(), strict=True):
        assert text[0] == 0
        for place, mark in enumerate(marks, start=2):  # of the word that is to be said
            before = [text[i] for i in range(2, place) if text[i - 1] == text[place - 1]]
            assert (before == [text[place]] * len(before)) or not mark
            assert not mark or before


def test_the_packaged_network_has_learnt_it() -> None:
    assert accuracy(load_phrase_network(), count=200) > 0.999


def test_training_starts_from_its_seed_and_leaves_the_random_state() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, second = train(steps=3, seed=1), train(steps=3, seed=1)
    assert torch.equal(before, torch.get_rng_state())
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)


def test_the_script_writes_weights_that_load(tmp_path, capsys) -> None:
    file = tmp_path / "weights.pt"
    assert main(["--steps", "2", "--out", str(file)]) == 0
    assert "of what follows from the text" in capsys.readouterr().out
    assert not load_phrase_network(file).training
