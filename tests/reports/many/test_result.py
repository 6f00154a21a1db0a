"""Many findings in one: what is said of them all, their lines, their order."""

import math

import torch
from examples import EXAMPLES, PICTURES

from captum_influence.reports.many.result import Entry, Findings
from captum_influence.reports.summary import Summary


def entry(name: str, says: str, effect: float | None, picture: torch.Tensor | None = None) -> Entry:
    columns = {"says": says, "its effect": effect}
    summary = Summary(
        sentence=f"{says}.", columns=columns, about="", main="its effect", picture=picture
    )
    return Entry.of(summary, name, None, 0.0)


def findings(*entries: Entry) -> Findings:
    asked = EXAMPLES["Findings"].make().asked
    return Findings(
        asked=asked, network="Net", verb="explain", entries=entries, left_out=(), notes=()
    )


def test_the_headline_counts_words_and_orders_numbers() -> None:
    found = findings(entry("a", "cat", 1.0), entry("b", "dog", 4.0), entry("c", "cat", 2.0))
    assert found.headline == (
        "3 inputs, one by one: says cat (2 of 3). "
        "Medians, least and most: its effect 2.00 (1.00 to 4.00)."
    )
    apart = findings(entry("a", "x", 1.0), entry("b", "y", 1.0)).headline
    assert apart.startswith("2 inputs, one by one. ")


def test_the_largest_comes_first_and_what_has_no_number_last() -> None:
    found = findings(entry("a", "x", None), entry("b", "x", -1.0), entry("c", "x", 3.0))
    assert [one.name for one in found.ordered()] == ["c", "b", "a"]
    assert math.isnan(found.entries[0].size)
    assert list(found.to_frame().columns) == ["name", "says", "its effect", "page"]


def test_a_small_picture_is_kept() -> None:
    large = torch.rand(3, 200, 100)
    small = entry("a", "x", 1.0, large).picture
    assert (small.shape, small.dtype) == ((3, 72, 36), torch.uint8)
    kept = entry("a", "x", 1.0, PICTURES[0]).picture
    assert torch.equal(kept, (255 * PICTURES[0]).round().byte())
