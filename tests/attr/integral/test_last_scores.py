"""Only the last position is scored where only it is read: the same numbers, and fewer scores."""

from typing import Any

import pytest
import torch
import transformed
from torch import nn

from captum_influence.attr.influence import DistributionalInfluence
from captum_influence.attr.inputs import Inputs
from captum_influence.attr.log_probability import KLDivergence, LogProbability
from captum_influence.attr.next_token import NextToken
from captum_influence.attr.paths import LinearPath
from captum_influence.attr.quantities import Function

LAYER = "transformer.h.1"


@pytest.fixture
def scored() -> list[int]:
    """The number of positions that each pass scored."""
    return []


def _asked(
    model: nn.Module, quantity: Any, batch: Any, scored: list[int], layer: str = LAYER
) -> Any:
    def note(module: nn.Module, args: Any, output: Any) -> None:
        scored.append(output.shape[1])

    prompts = {name: batch[name] for name in ("input_ids", "attention_mask")}
    path = LinearPath(Inputs(transformed.corrupted("GPT-2", prompts)), n=3)
    influence = DistributionalInfluence(
        model, layer, distribution=path, quantity=quantity, multiply_by_inputs=True
    )
    influence.attribute(batch)  # which finds out
    handle = model.get_submodule("lm_head").register_forward_hook(note)
    scored.clear()
    try:
        return influence.attribute(batch)
    finally:
        handle.remove()


def _last(token: int) -> Function:
    return Function(lambda output: output.logits[:, -1, token])


def test_the_last_token_alone_is_scored(scored: list[int]) -> None:
    model, batch = transformed.built("GPT-2"), transformed.batch("GPT-2")
    whole = _asked(model, _last(3) - _last(5), batch, scored)
    assert set(scored) == {6}
    short = _asked(model, NextToken(3) - NextToken(5), batch, scored)
    assert set(scored) == {1}
    assert torch.allclose(short, whole, atol=1e-13)
    _asked(model, LogProbability(3, at="last"), batch, scored)
    assert set(scored) == {1}
    _asked(model, KLDivergence(at="last"), batch, scored)
    assert set(scored) == {1}


def test_finding_out_scores_all_positions_of_one_row_at_most() -> None:
    model, batch = transformed.built("GPT-2"), transformed.batch("GPT-2")
    shapes: list[tuple[int, int]] = []
    model.get_submodule("lm_head").register_forward_hook(
        lambda module, args, output: shapes.append((output.shape[0], output.shape[1]))
    )
    prompts = {name: batch[name] for name in ("input_ids", "attention_mask")}
    path = LinearPath(Inputs(transformed.corrupted("GPT-2", prompts)), n=3)
    DistributionalInfluence(model, LAYER, distribution=path, quantity=NextToken(3)).attribute(batch)
    assert {rows for rows, positions in shapes if positions > 1} == {1}
    assert any(rows > 1 for rows, positions in shapes if positions == 1)


def test_what_needs_more_gets_it(scored: list[int]) -> None:
    model, batch = transformed.built("GPT-2"), transformed.batch("GPT-2")
    _asked(model, NextToken(3) - NextToken(5, at=2), batch, scored)
    assert set(scored) == {6}
    right = {**batch, "attention_mask": batch["attention_mask"].clone()}
    right["attention_mask"][0, 4:] = 0
    _asked(model, NextToken(3), right, scored)
    assert set(scored) == {6}
    left = {**batch, "attention_mask": batch["attention_mask"].clone()}
    left["attention_mask"][0, :2] = 0
    _asked(model, NextToken(3), left, scored)
    assert set(scored) == {1}


def test_a_layer_that_would_change_shape_is_left_whole(scored: list[int]) -> None:
    model, batch = transformed.built("GPT-2"), transformed.batch("GPT-2")
    found = _asked(model, NextToken(3), batch, scored, "lm_head")
    assert found.shape == (2, 6, transformed.VOCABULARY)
    assert set(scored) == {6}


def test_what_the_user_says_holds(scored: list[int]) -> None:
    model, batch = transformed.built("GPT-2"), transformed.batch("GPT-2")
    _asked(model, NextToken(3), {**batch, "logits_to_keep": 2}, scored)
    assert set(scored) == {2}
