"""Subcommands about whole data sets: what they name is there."""

from captum_influence.cli.syntax import data_sets
from captum_influence.training.bias import disturbances


def test_the_disturbances_are_all_that_there_are() -> None:
    assert tuple(disturbances.DISTURBANCES) == data_sets.DISTURBANCES
    assert set(data_sets.DISTURB) <= set(data_sets.DISTURBANCES)
