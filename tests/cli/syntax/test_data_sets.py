"""Subcommands about whole data sets: what they name is there."""

import pytest

from captum_influence.cli.program import parsed
from captum_influence.cli.syntax import data_sets
from captum_influence.training.bias import disturbances


def test_the_disturbances_are_all_that_there_are() -> None:
    assert tuple(disturbances.DISTURBANCES) == data_sets.DISTURBANCES
    assert set(data_sets.DISTURB) <= set(data_sets.DISTURBANCES)


@pytest.mark.parametrize("command", ["profile", "train-influence"])
@pytest.mark.parametrize(
    ("words", "layers"),
    [
        ("", None),
        ("--layer conv1", ["conv1"]),
        ("--layer conv1,block.2 --layer fc", ["conv1", "block.2", "fc"]),
    ],
)
def test_layers_are_given_with_commas_or_again(
    command: str, words: str, layers: list[str] | None
) -> None:
    _, groups = parsed([command, *words.split()])
    (found,) = (group.layers for group in groups if hasattr(group, "layers"))
    assert found == layers
