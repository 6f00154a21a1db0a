"""Clean and corrupted inputs stay side by side."""

import pytest
import torch

from captum_influence.attr.prompts import Prompts
from captum_influence.circuits.pairs import Pairs

CLEAN, OTHER = torch.arange(15).view(5, 3), torch.arange(15).view(5, 3) + 1


def tokenizer(text: str) -> dict[str, list[int]]:
    return {"input_ids": [len(word) for word in text.split()]}


def test_they_come_from_tensors_mappings_and_prompts() -> None:
    assert len(Pairs.ensure((CLEAN, OTHER))) == 5
    assert len(Pairs.ensure(({"ids": CLEAN}, {"ids": OTHER}))) == 5
    found = Pairs.ensure(Prompts(tokenizer, ["a bc", "a"], ["abc d", "ab"]))
    assert found.corrupted["input_ids"].tolist() == [[3, 1], [2, 0]]


def test_a_few_at_a_time() -> None:
    given = {"ids": CLEAN, "mask": torch.ones(5, 3), "scale": 2.0}
    parts = list(Pairs(given, {**given, "ids": OTHER}).split(2))
    assert [numbers.tolist() for numbers, _ in parts] == [[0, 1], [2, 3], [4]]
    _, last = parts[-1]
    assert last.clean["ids"].tolist() == CLEAN[4:].tolist()
    assert last.corrupted["ids"].tolist() == OTHER[4:].tolist()
    assert last.clean["scale"] == 2.0


def test_others_are_refused_in_words() -> None:
    with pytest.raises(TypeError, match="Prompts"):
        Pairs.ensure(CLEAN)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="equally long"):
        Pairs.ensure((CLEAN, OTHER[:, :2]))
    with pytest.raises(TypeError, match="tensor"):
        Pairs.ensure(("a", "b"))  # type: ignore[arg-type]
