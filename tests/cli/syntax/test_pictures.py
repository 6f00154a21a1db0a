"""Subcommands about one picture: what their words allow is what the verbs allow."""

from typing import get_args

from captum_influence.cli.syntax.pictures import SearchOptions
from captum_influence.explanations.counterfactuals.goals import Until
from captum_influence.explanations.counterfactuals.search import SearchName


def test_the_choices_are_those_of_the_verb() -> None:
    for name, kind in {"until": Until, "search": SearchName}.items():
        declared = SearchOptions.__dataclass_fields__[name].metadata["how"]["choices"]
        assert set(declared) == set(get_args(kind))
