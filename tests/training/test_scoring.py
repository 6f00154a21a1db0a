"""Raw scores add up over layers and checkpoints, and are normalised where that is defined."""

import pytest
import torch

from captum_influence.training.scoring import RawScores


def _scores(seed: int = 0) -> RawScores:
    generator = torch.Generator().manual_seed(seed)
    return RawScores(
        {
            name: torch.randn(2, 5, generator=generator, dtype=torch.float64)
            for name in ("conv/1", "")
        },
        {name: torch.rand(5, generator=generator, dtype=torch.float64) for name in ("conv/1", "")},
    )


def test_layers_and_checkpoints_add_up() -> None:
    a, b = _scores(0), _scores(1)
    assert a.layers == ("conv/1", "")
    torch.testing.assert_close(a.of(None, normalized=False), a.scores["conv/1"] + a.scores[""])
    torch.testing.assert_close(a.self_of(None), a.self_of("conv/1") + a.self_of(""))
    for layer in (None, "conv/1", ""):
        both = (a + b).of(layer, normalized=False)
        torch.testing.assert_close(
            both, a.of(layer, normalized=False) + b.of(layer, normalized=False)
        )


@pytest.mark.parametrize("layer", [None, ""])
def test_normalised_scores_are_over_the_root_of_self_influence(layer: str | None) -> None:
    scores = _scores()
    wanted = scores.of(layer, normalized=False) / scores.self_of(layer).sqrt()
    torch.testing.assert_close(scores.of(layer, normalized=True), wanted)


def test_an_example_without_a_gradient_has_score_zero() -> None:
    scores = RawScores({"a": torch.zeros(1, 1)}, {"a": torch.zeros(1)})
    assert scores.of("a", normalized=True).item() == 0.0


def test_strength_is_the_sum_of_absolute_scores() -> None:
    scores = RawScores({"a": torch.tensor([[1.0, -2.0]]), "b": torch.tensor([[2.0, 2.0]])}, {})
    assert (scores.strength("a").tolist(), scores.strength(None).tolist()) == ([3.0], [3.0])


def test_rows_are_queries() -> None:
    scores = _scores()
    part = scores.rows(slice(1, 2))
    assert torch.equal(part.scores[""], scores.scores[""][1:])
    assert torch.equal(part.self_of(""), scores.self_of(""))
