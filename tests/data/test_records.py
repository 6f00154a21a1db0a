"""A dataclass taken apart and put together again is the same, through JSON and back."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from captum_influence.data.records import apart, plain, together


@dataclass(frozen=True)
class Shape:
    """What other classes are of the kind of."""

    name: str


@dataclass(frozen=True)
class Circle(Shape):
    radius: float


class Word(str):
    """A string that means more."""


@dataclass(frozen=True, eq=False)
class Everything:
    number: float
    word: Word
    maybe: Tensor | None
    array: np.ndarray
    shapes: tuple[Shape, ...]
    pair: tuple[int, Tensor]
    listed: list[Shape]
    named: Mapping[str, Shape]
    counted: Mapping[int, tuple[Tensor, ...]]
    keyed: Mapping[tuple[int, ...], float]
    order: Sequence[Sequence[int]] | None
    made: int = field(default=7, init=False)


def _everything(**changes: Any) -> Everything:
    values: dict[str, Any] = {
        "number": float("inf"),
        "word": Word("code"),
        "maybe": torch.ones(2),
        "array": np.arange(6).reshape(2, 3).T,
        "shapes": (Shape("a"), Circle("b", 2.0)),
        "pair": (3, torch.zeros(1)),
        "listed": [Circle("c", 1.0)],
        "named": {"x": Circle("d", 0.5)},
        "counted": {1: (torch.ones(1), torch.zeros(2)), 0: ()},
        "keyed": {(1, 2): 0.5},
        "order": [[1, 0], [2]],
    }
    return Everything(**{**values, **changes})


def _again(record: Any) -> Any:
    content, tensors = apart(record)
    return together(type(record), json.loads(json.dumps(content)), tensors)


def test_everything_comes_back() -> None:
    before = _everything()
    found = _again(before)
    assert (found.number, found.word, type(found.word)) == (float("inf"), "code", Word)
    assert torch.equal(found.maybe, torch.ones(2))
    assert np.array_equal(found.array, before.array)
    assert (found.shapes, found.listed, found.named) == (before.shapes, before.listed, before.named)
    assert found.pair[0] == 3
    assert torch.equal(found.pair[1], torch.zeros(1))
    assert list(found.counted) == [1, 0]
    assert torch.equal(found.counted[1][1], torch.zeros(2))
    assert found.keyed == {(1, 2): 0.5}
    assert [list(batch) for batch in found.order] == before.order
    assert found.made == 7


def test_what_is_missing_comes_back_missing() -> None:
    found = _again(_everything(maybe=None, order=None, shapes=()))
    assert (found.maybe, found.order, found.shapes) == (None, None, ())


@pytest.mark.parametrize("value", [object(), torch.nn.ReLU(), {1, 2}, print])
def test_what_cannot_be_kept_is_named_with_its_place(value: Any) -> None:
    with pytest.raises(TypeError, match=rf"saved at /number, got a {type(value).__name__}"):
        apart(_everything(number=value))


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.pop("class"),
        lambda content: content.update({"class": "os:system"}),
        lambda content: content["shapes"][0].update({"class": f"{__name__}:Everything"}),
        lambda content: content["shapes"][0].pop("name"),
        lambda content: content.update({"maybe": {"tensor": "/nowhere"}}),
    ],
)
def test_content_that_does_not_fit_is_refused(change: Any) -> None:
    content, tensors = apart(_everything())
    change(content)
    with pytest.raises(ValueError, match="expected the fields of Everything as this version"):
        together(Everything, content, tensors)


def test_plain_values_are_json() -> None:
    found = plain(_everything())
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert (found["number"], found["maybe"], found["keyed"]) == (None, [1.0, 1.0], {"(1, 2)": 0.5})
    assert plain(np.float32(0.5)) == 0.5
