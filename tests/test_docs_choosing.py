"""docs/choosing.md and its picture lead to every verb."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).resolve().parent.parent / "docs"
VERBS = [
    "DistributionalInfluence",
    "InfluenceProfile",
    "LayerInfluence",
    "Dictionary",
    "Expert",
    "circuit",
    "compare",
    "counterfactual",
    "essence",
    "explain",
    "explain_text",
    "pair",
    "prototype",
    "routes",
]


@pytest.fixture(scope="module")
def ladders() -> Any:
    spec = importlib.util.spec_from_file_location("flow", DOCS / "_figures" / "flow.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return dict(module.LADDERS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_is_led_to(verb: str, ladders: Any) -> None:
    table = (DOCS / "choosing.md").read_text("utf-8").partition("## Which tool?")[2]
    assert f"| `{verb}` |" in table.partition("## Which distribution")[0]
    answers = [answer for _, answer in ladders["What is it about?"]]
    assert verb in ", ".join(answers).split(", ")
