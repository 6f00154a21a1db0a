"""Units of a prompt by name, and the tokens that each of them speaks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from captum_influence.network.cuts import Cut
from captum_influence.network.modes import without_graph
from captum_influence.network.outputs import tensor_of
from captum_influence.units.prompts.prompt import Prompt, passing
from captum_influence.units.prompts.sites import Kind, Site

__all__ = ["PromptUnit", "promoted", "written"]


@dataclass(frozen=True, kw_only=True)
class PromptUnit:
    """A token, head or neuron, what was estimated of it and what replacing it did.

    Attributes:
        kind: ``"token"``, ``"head"`` or ``"neuron"``.
        layer: the block that it is in; of a token ``"embedding"``.
        index: which one there.
        name: what it is called.
        estimate: its contribution.
        effect: what the quantity loses when its activation is replaced.
        at: the position where its contribution is largest.
        promotes: the tokens whose scores it raises most by what it writes there.
    """

    kind: Kind
    layer: str
    index: int
    name: str
    estimate: float
    effect: float
    at: int
    promotes: tuple[str, ...] = ()


def written(network: nn.Module, site: Site, displacement: Tensor, unit: int) -> Tensor:
    """Return what a head or a neuron adds to the stream at a position, (features of the stream,).

    Args:
        network: the network.
        site: where the unit is.
        displacement: (features,) of the site at the position: its activation less what it is
            compared with.
        unit: which one.
    """
    projection = network.get_submodule(str(site.output))
    chosen = torch.zeros(1, site.count, dtype=torch.bool)
    chosen[0, unit] = True
    own = site.axis.spread(chosen)[0, 0].to(displacement.device)
    rows = torch.stack([displacement * own, displacement * 0])[:, None]  # (2, 1, features)
    with without_graph():
        with_unit, without = projection(rows)[:, 0]
    found: Tensor = with_unit - without
    return found


def promoted(
    network: nn.Module,
    prompt: Prompt,
    last: Cut,
    directions: Sequence[tuple[int, Tensor]],
    count: int,
) -> list[tuple[str, ...]]:
    """Return the tokens whose scores lose most without each direction in the last block's output.

    What follows that block is run as it is, its norm and the table of scores (the logit lens).
    Where a network doesn't score tokens at every position, there are none.

    Args:
        network: the network.
        prompt: the prompt.
        last: the last block's output.
        directions: a position, and what is written there, for each unit.
        count: how many tokens.
    """
    if not directions:
        return []
    places = torch.tensor([position for position, _ in directions])
    rows = torch.arange(len(directions))

    def less(stream: Tensor) -> Tensor:
        changed = stream.clone()
        changed[rows, places] -= torch.stack([direction for _, direction in directions])
        return changed

    scores, (left, _) = (
        tensor_of(passing(network, prompt.inputs)[0]),
        passing(network, prompt.inputs, {last: less}, rows=len(rows)),
    )
    if scores.ndim != 3 or scores.shape[1] != len(prompt.tokens):
        return [()] * len(directions)
    gains = scores[0, places] - tensor_of(left)[rows, places]
    best = gains.topk(min(count, gains.shape[-1]), dim=-1).indices.tolist()
    return [tuple(map(prompt.text_of, tokens)) for tokens in best]
