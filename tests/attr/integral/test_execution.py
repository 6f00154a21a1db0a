"""Choices of how it is computed are checked when they are made."""

import copy
import pickle
import threading

import pytest
from torch import nn, ones

from captum_influence import DistributionalInfluence
from captum_influence.attr import Computation, Execution


@pytest.mark.parametrize(
    "wrong",
    [
        {"memory_format": "nhwc"},
        {"quantities": "vmap"},
        {"compile": "fast"},
        {"pooled": "always"},
        {"precision": "int8"},
    ],
)
def test_unknown_choices_are_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(
        ValueError, match=rf"expected {next(iter(wrong))}=.*got '{next(iter(wrong.values()))}'"
    ):
        Execution(**wrong)


def test_known_choices_are_kept_and_compare_by_value() -> None:
    made = Execution(memory_format="channels_last", compile="default", pooled=True)
    assert made == Execution("channels_last", "auto", "default", True)
    assert made != Execution()
    assert (Execution().quantities, Execution().compile) == ("auto", None)


def test_the_plain_way_leaves_nothing_to_choose() -> None:
    plain = Execution.plain()
    assert "auto" not in (plain.memory_format, plain.quantities, plain.pooled)


def test_each_thread_and_each_copy_knows_its_own_call() -> None:
    influence = DistributionalInfluence(nn.Sequential(nn.Linear(3, 2)), "0")
    assert influence.chosen is None
    influence.attribute(ones(1, 3), target=0, internal_batch_size=5)
    seen: list[Computation | None] = []
    thread = threading.Thread(target=lambda: seen.append(influence.chosen))
    thread.start()
    thread.join()
    assert seen == [None]
    assert influence.chosen is not None
    assert influence.chosen.rows == 5
    for other in (copy.deepcopy(influence), pickle.loads(pickle.dumps(influence))):
        assert other.chosen is None


def test_a_choice_is_printed_with_its_reasons() -> None:
    made = Computation(8, "preserve", "loop", False, "bfloat16", ("because",), 0.0123)
    assert str(made).splitlines() == [
        "8 rows at once, preserve, quantities loop, memory not pooled, bfloat16 (relative error "
        "1.2%)",
        "- because",
    ]
