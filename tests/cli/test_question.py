"""The question that the shell's words ask."""

import pytest
import torch

from captum_influence import LinearPath, Noise, Point
from captum_influence.cli.options import QuestionOptions
from captum_influence.cli.program import parsed
from captum_influence.cli.question import chosen_distribution, chosen_quantity


def _asked(words: str = "") -> QuestionOptions:
    (found,) = (g for g in parsed(["explain", *words.split()])[1] if isinstance(g, QuestionOptions))
    return found


@pytest.mark.parametrize(
    ("words", "kind"),
    [("--distribution point", Point), ("--points 7", LinearPath), ("--distribution noise", Noise)],
)
def test_distributions(words: str, kind: type) -> None:
    inputs = torch.rand(1, 3, 8, 8)
    found = chosen_distribution(_asked(words), inputs)
    assert isinstance(found, kind)
    assert sum(point.weight for point in found.points((inputs,))) == pytest.approx(1)


def test_nothing_said_leaves_the_default() -> None:
    assert chosen_distribution(_asked(), torch.rand(1, 3, 8, 8)) is None


def test_noise_is_measured_by_the_inputs_range() -> None:
    inputs = torch.tensor([-120.0, 130.0]).reshape(1, 1, 1, 2)
    found = chosen_distribution(_asked("--distribution noise --noise 0.1"), inputs, seed=4)
    assert isinstance(found, Noise)
    assert found.noise == pytest.approx(25)
    assert found.seed == 4


@pytest.mark.parametrize("baseline", ["zero", "mean", "blur"])
def test_a_flat_picture_is_its_own_mean_and_blur(baseline: str) -> None:
    flat = torch.tensor([3.0, -2.0, 7.0]).reshape(1, 3, 1, 1).expand(1, 3, 30, 20)
    found = chosen_distribution(_asked(f"--baseline {baseline}"), flat)
    assert found is not None
    (start,) = found.reference((flat,))
    expected = torch.zeros_like(flat) if baseline == "zero" else flat
    torch.testing.assert_close(start.expand_as(flat), expected)


def test_blur_keeps_the_mean_colour_and_takes_the_detail() -> None:
    noise = torch.rand(1, 3, 40, 40, generator=torch.Generator().manual_seed(0))
    found = chosen_distribution(_asked("--baseline blur"), noise)
    assert found is not None
    (start,) = found.reference((noise,))
    assert start.std() < noise.std() / 5
    torch.testing.assert_close(start.mean(), noise.mean(), atol=0.02, rtol=0)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--distribution point --points 3", "--distribution path or noise"),
        ("--distribution noise --baseline mean", "--distribution path"),
        ("--noise 0.2", "--distribution noise, got it with point"),
        ("--distribution noise --noise 0", "positive number as --noise"),
    ],
)
def test_what_does_not_go_together(words: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        chosen_distribution(_asked(words), torch.rand(1, 3, 8, 8))


@pytest.mark.parametrize(
    ("words", "value"),
    [("", 3.0), ("--target 0", 1.0), ("--target 0 --versus 1", -2.0), ("--versus 2", 1.0)],
)
def test_quantities(words: str, value: float) -> None:
    scores = torch.tensor([[1.0, 3.0, 2.0]])
    found = chosen_quantity(_asked(words), None, 3)
    assert found.resolve(scores)(scores).tolist() == [value]
