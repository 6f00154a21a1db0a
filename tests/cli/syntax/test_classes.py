"""Subcommands about classes: their demo and their rankings are there."""

from captum_influence.cli.syntax.classes import DEMO_CLASS, DEMO_PAIR, DEMO_PROTOTYPE, RANKINGS
from captum_influence.demo.objects import CLASSES
from captum_influence.experts.rankings import EVERY


def test_the_rankings_are_all_that_there_are() -> None:
    assert RANKINGS == EVERY


def test_the_demo_knows_its_classes() -> None:
    assert {DEMO_CLASS, *DEMO_PAIR, DEMO_PROTOTYPE} <= set(CLASSES)
