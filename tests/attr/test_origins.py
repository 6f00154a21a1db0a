"""Where a path begins: activations and answers there, by hand."""

import torch
from torch import Tensor, nn

from captum_influence import Cut, Inputs, LinearPath, Noise, Point
from captum_influence.attr.origins import at_start, begins_somewhere, first_floats

IDS = torch.tensor([[1, 2, 3]])
EMBEDDING = nn.Embedding(5, 4, dtype=torch.float64)
MODEL = nn.Sequential(EMBEDDING, nn.Flatten(), nn.Linear(12, 2).double(), nn.Tanh())


def test_only_paths_begin_somewhere() -> None:
    for inputs in (IDS, torch.rand(1, 3)):
        assert begins_somewhere(LinearPath(), inputs)
        assert not begins_somewhere(Point(), inputs)
        assert not begins_somewhere(Noise(0.1), inputs)
        assert at_start(MODEL, IDS, Point()) is None


def test_token_ids_are_floats_behind_their_embedding() -> None:
    assert first_floats(MODEL, IDS).module is EMBEDDING
    found = first_floats(MODEL, torch.rand(1, 3))
    assert (found.module, found.side) == (MODEL, "input")


def test_a_path_between_tokens_begins_at_their_embeddings() -> None:
    zero, other = torch.zeros(1, 3, 4, dtype=torch.float64), torch.tensor([[4, 2, 0]])
    pairs = [(LinearPath(), zero), (LinearPath(Inputs(other)), EMBEDDING(other))]
    for path, begin in pairs:
        found = at_start(MODEL, IDS, path, Cut("2"))
        assert found is not None
        expected = MODEL[2](begin.flatten(1))
        torch.testing.assert_close(found.cuts[0][0], expected, rtol=0, atol=1e-15)
        torch.testing.assert_close(found.output, expected.tanh(), rtol=0, atol=1e-15)


def test_a_path_between_pictures_begins_at_its_baseline() -> None:
    model, picture, start = nn.Linear(3, 2), torch.rand(1, 3), torch.rand(1, 3)
    found = at_start(model, picture, LinearPath(start))
    assert found is not None
    torch.testing.assert_close(found.output, model(start))


def test_a_path_of_the_users_own_may_begin_nowhere() -> None:
    class Aimless(LinearPath):
        def reference(self, origin: tuple[Tensor, ...]) -> None:  # type: ignore[override]
            return None

    assert at_start(MODEL, IDS, Aimless()) is None
