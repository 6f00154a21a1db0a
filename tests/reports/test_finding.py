"""Every kind of finding keeps the contract of all."""

import importlib
import inspect
import pkgutil
from collections.abc import Iterator

import pytest
from examples import EXAMPLES

import captum_influence
from captum_influence.reports.finding import Finding
from captum_influence.testing import check_finding


def _kinds(kind: type = Finding) -> Iterator[type]:
    for child in kind.__subclasses__():
        if child.__module__.startswith("captum_influence.") and not inspect.isabstract(child):
            yield child
        yield from _kinds(child)


@pytest.mark.parametrize("name", EXAMPLES)
def test_it_keeps_what_every_finding_promises(name: str) -> None:
    example = EXAMPLES[name]
    found = example.make()
    assert type(found).__name__ == name.split()[0]
    check_finding(found, example.names)


def test_no_kind_is_left_out() -> None:
    for module in pkgutil.walk_packages(captum_influence.__path__, "captum_influence."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    assert {kind.__name__ for kind in _kinds()} == {name.split()[0] for name in EXAMPLES}
