"""What a loader yields is told apart by its form, its names, and what the network takes."""

from collections import UserDict
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from captum_influence.data.items import Accepts, Item, by_name, columns, image_pair, pair

X, Z, Y = torch.rand(2, 3), torch.rand(2, 3), torch.tensor([0, 1])
IDS, MASK = torch.ones(2, 5).long(), torch.ones(2, 5).long()


class Two(nn.Module):
    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        return first + second


class Text(nn.Module):
    """Takes what most language models do."""

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        positions: Tensor | None = None,
        labels: Tensor | None = None,
    ) -> Tensor:
        return input_ids


ONE = Accepts.of(nn.Linear(3, 2))
TWO, TEXT = Accepts.of(Two()), Accepts.of(Text())


def _same(found: Item, inputs: tuple[Any, ...], target: Any, further: tuple[Any, ...] = ()) -> bool:
    pairs = zip((*found.inputs, *found.further), (*inputs, *further), strict=True)
    told = (found.target is None) == (target is None)
    return len(found.inputs) == len(inputs) and all(a is b for a, b in pairs) and told


@pytest.mark.parametrize(
    ("network", "names", "required", "most"),
    [
        (nn.Sequential(nn.ReLU()), ("input",), 1, 1),
        (Text(), ("input_ids", "attention_mask", "positions", "labels"), 1, 4),
        (lambda x, *rest: x, ("x",), 1, None),
        (partial(Two().forward, second=Z), ("first",), 1, 1),
        (max, (), 0, None),  # which has no signature
    ],
)
def test_what_a_network_takes(
    network: Callable[..., Any], names: tuple[str, ...], required: int, most: int | None
) -> None:
    found = Accepts.of(network)
    assert (found.names, found.required, found.most) == (names, required, most)


def test_how_many_are_taken_in_words() -> None:
    assert ONE.in_words == "1 input"
    assert TWO.in_words == "2 inputs"
    assert TEXT.in_words == "1 to 4 inputs"
    assert Accepts().in_words == "0 inputs or more"


@pytest.mark.parametrize(
    ("item", "accepts", "inputs", "labelled"),
    [
        (X, ONE, (X,), False),
        ([X], ONE, (X,), False),
        ((X, Y), ONE, (X,), True),
        ((X, Z), ONE, (X,), True),  # a network of one input: targets of a regression
        ((X, Z), TWO, (X, Z), False),
        ((X, Y), TWO, (X, Y), False),  # a second input of whole numbers
        ((X, Z, Y), TWO, (X, Z), True),
        ((IDS, Y), TEXT, (IDS,), True),
        ((IDS, MASK, Y), TEXT, (IDS, MASK), True),
        (((X, Z), Y), ONE, (X, Z), True),
        (((X, Z),), TEXT, (X, Z), False),
        (((X,), Z), TEXT, (X,), True),
        ((X, [0, 1]), Accepts(), (X,), True),
    ],
)
def test_inputs_and_labels(
    item: Any, accepts: Accepts, inputs: tuple[Tensor, ...], labelled: bool
) -> None:
    found = pair(item, accepts)
    assert _same(found, inputs, True if labelled else None)
    assert found.target is None or isinstance(found.target, Tensor)


@pytest.mark.parametrize(
    ("item", "accepts", "message"),
    [
        ((X, Z), TEXT, r"shapes \[\(2, 3\), \(2, 3\)\], whose last may be another input"),
        ((IDS, MASK), TEXT, r"yield \(\(first, second\),\) for two inputs"),
        ((X, Z), Accepts(), "labels as whole numbers, one per example"),
        ((X, Y, Z), ONE, "got 3 elements, and the network takes 1 input:"),
        (((X, Z), Y, Y), TWO, r"expected \(\(inputs, ...\), labels\), got 3 elements"),
        ((X, ["a", "b"]), ONE, "labels as numbers, one per example, got a list"),
        ("cat", ONE, r"got str of \['str'\]"),
        ((), ONE, r"got tuple of \[\]"),
        ({"name": ["a"]}, ONE, r"got a mapping with \['name'\]"),
        ({"x": X, "label": Y, "target": Y}, ONE, "expected one label, got a mapping"),
        ({"a": X, "b": Z}, TWO, r"names of the network's arguments, \['first', 'second'\]"),
        ({"input_ids": IDS, "other": MASK}, TEXT, r"got \['input_ids', 'other'\]"),
        ({"second": Z}, TWO, r"a mapping with \['first'\] too"),
    ],
)
def test_what_cannot_be_known_is_asked_for(item: Any, accepts: Accepts, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        pair(item, accepts)


def test_the_cure_for_two_inputs_runs() -> None:
    loader = [(X, Z)]
    (found,) = (pair(item, TEXT) for item in (((x, z),) for x, z in loader))
    assert _same(found, (X, Z), None)


@pytest.mark.parametrize("kind", [dict, UserDict])
@pytest.mark.parametrize("key", ["labels", "label", "target"])
def test_mappings_name_the_label(kind: Any, key: str) -> None:
    found = pair(kind({"pixels": X, key: Y, "names": ["a", "b"]}), ONE)
    assert _same(found, (X,), Y)
    assert found.target is Y
    assert _same(columns(kind({key: Y, "pixels": X}), ONE), (X,), Y)


def test_mappings_are_handed_on_in_the_network_s_order() -> None:
    assert _same(pair({"second": Z, "first": X, "labels": Y}, TWO), (X, Z), Y)
    tokens = {"attention_mask": MASK, "input_ids": IDS, "labels": Y}
    assert _same(pair(tokens, TEXT), (IDS, MASK), Y)
    assert _same(pair({"input_ids": IDS, "positions": MASK}, TEXT), (IDS,), None, (None, MASK))
    assert _same(pair(({"input_ids": IDS}, Y), TEXT), (IDS,), Y)


def test_a_mask_beside_floats_follows_the_inputs() -> None:
    found = pair({"attention_mask": MASK, "input_ids": X}, TEXT)
    assert _same(found, (X,), None, (MASK,))


def test_a_label_that_the_network_needs_is_an_input() -> None:
    class Conditional(nn.Module):
        def forward(self, x: Tensor, label: Tensor) -> Tensor:
            return x + label

    assert _same(pair({"x": X, "label": Z}, Accepts.of(Conditional())), (X, Z), None)


def test_columns_whose_last_is_the_target() -> None:
    assert _same(columns([X, Z, Y]), (X, Z), Y)
    assert _same(columns(((X, Z), Y), TWO), (X, Z), Y)
    assert columns(((X, Z), Y), ONE).inputs == ((X, Z),)
    assert _same(columns(({"input_ids": IDS}, Y), TEXT), (IDS,), Y)
    with pytest.raises(TypeError, match=r"at least two elements.*got Tensor"):
        columns(X)
    with pytest.raises(TypeError, match="got 1 elements"):
        columns((X,))
    with pytest.raises(TypeError, match=r"with a target, got a mapping with \['x'\]: name"):
        columns({"x": X})


def test_images_with_and_without_class_numbers() -> None:
    images = torch.rand(2, 3, 4, 4)
    for item in (images, (images, Y), {"image": images}, {"image": images, "label": Y}):
        assert image_pair(item)[0] is images
    assert image_pair({"image": images, "label": Y})[1] is Y
    assert image_pair((images, Y))[1] is Y
    assert image_pair((images, Y.float()))[1] is None
    assert image_pair((images, {"name": "x"}))[1] is None
    with pytest.raises(TypeError, match=r"yield images .* a mapping with \['a', 'b'\]: give"):
        image_pair({"a": images, "b": images})


def test_next_tokens_of_prompts_may_be_texts() -> None:
    ids = torch.ones(2, 3, dtype=torch.long)
    assert pair((ids, ("a", "b"))).target == ["a", "b"]
    named = by_name(({"input_ids": ids}, ["a", "b"]), Accepts(names=("input_ids",)))
    assert named.target == ["a", "b"]
