"""The route that each token takes to the answer, and what the network says with routes alone."""

from __future__ import annotations

import time
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from captum_influence.attr.distributions import Distribution
from captum_influence.attr.paths import LinearPath
from captum_influence.attr.prompts import Prompts
from captum_influence.attr.run import Run
from captum_influence.attr.tokens import shown
from captum_influence.circuits.options import CircuitOptions
from captum_influence.circuits.pairs import Pairs, PairsLike
from captum_influence.circuits.patterns.refining import at_random, greedy, refined
from captum_influence.circuits.patterns.result import Routes
from captum_influence.circuits.patterns.study import Study
from captum_influence.network.inputs import network_of
from captum_influence.reports.asked import Asked
from captum_influence.units.options import check_options, collected
from captum_influence.units.targets import TargetLike, question

__all__ = ["routes"]

_ROWS = 64  # in forward mode, at once
_NEGLIGIBLE = 1e-9  # of the largest influence of a token
_GAP = 1e-3  # likewise, of what nodes of a block don't account for


def routes(
    model: nn.Module,
    prompts: PairsLike,
    quantity: TargetLike,
    *,
    distribution: Distribution | None = None,
    controls: int = 20,
    **options: Unpack[CircuitOptions],
) -> Routes:
    r"""Find the route by which each token does most to a quantity, and run routes alone.

    A pattern :math:`\pi` is a token and a node in each block, and its influence

    .. math:: E_{x \sim P}\left[\prod_i \frac{\partial \pi_{i+1}}{\partial \pi_i}\right]
       \cdot (x - x')

    what passes through these nodes alone. Guided refinement chooses them block by block: of all
    heads at all positions, and the skip connection where the route is, the one through which most
    passes, of the sign of what the token does (Lu et al., 2021). Then the network is run with the
    nodes of the routes alone, beside random routes of the same length between the same ends.

    Args:
        model: a transformer of one residual stream, of blocks with one attention each.
        prompts: :class:`Prompts`, or clean and corrupted inputs of equal shapes, without pads. Of
            several pairs, influences are meaned position by position.
        quantity: what is asked, as by :class:`NextToken`; or a class.
        distribution: P, at what enters the first block; None: eight points from the corrupted to
            the clean input. A path without a baseline begins at the corrupted input.
        controls: random routes for each token.
        options: see :class:`CircuitOptions`.

    Raises:
        ValueError: if the network can't be read, prompts are padded, or the quantity is the same
            for both inputs.

    Example:
        >>> from captum_influence.demo import induction_network
        >>> from captum_influence import NextToken
        >>> clean = torch.tensor([[0, 3, 1, 4, 5, 3]])  # 3 was followed by 1
        >>> corrupted = torch.tensor([[0, 9, 2, 6, 8, 4]])
        >>> found = routes(induction_network(), (clean, corrupted), NextToken(1), controls=2)
        >>> found.route(1), found.route(2)
        (('a0.h0@2', 'a1.h0@5'), ('skip@2', 'a1.h0@5'))
    """
    asked, began = Asked.of(routes, locals()), time.perf_counter()
    check_options("routes", options, CircuitOptions)
    if controls < 1:
        raise ValueError(f"expected at least one random route of each token, got {controls}")
    run, pairs = collected("routes", "run", Run, options), Pairs.ensure(prompts)
    _check_unpadded(pairs)
    network, wanted = network_of(model), question(quantity)
    over = LinearPath(n=8) if distribution is None else distribution
    with run.seeded():
        study = Study.of(network, pairs, wanted)
        said = _measured(study, over, controls, run)
    return Routes(
        asked=asked,
        network=type(network).__name__,
        quantity=wanted.in_words(),
        distribution=over.in_words(),
        tokens=_texts(prompts, pairs),
        blocks=tuple(level.name for level in study.course.levels),
        clean=study.own,
        corrupted=study.other,
        seconds=time.perf_counter() - began,
        **said,
    )


def _measured(study: Study, over: Distribution, controls: int, run: Run) -> dict[str, Tensor]:
    """Return what was measured, by the names of the finding's attributes."""
    where = study.field(over)
    totals = where.totals
    # The tokens that do anything: what clean and corrupted inputs share begins no route.
    starts = (totals.abs() > _NEGLIGIBLE * totals.abs().max()).nonzero()[:, 0]
    rows = run.internal_batch_size or _ROWS
    best = refined(where, starts, greedy, rows)
    draws = torch.Generator().manual_seed(run.seed)
    random = refined(where, starts.repeat(controls), at_random(draws), rows)
    _check_whole(max(best.gap, random.gap), totals)
    kept = study.kept(starts, best, random, controls)
    alone = 1 + len(starts)
    return {
        "starts": starts,
        "positions": best.positions,
        "heads": best.heads,
        "values": best.values,
        "totals": totals[starts],
        "random": random.values[:, -1].view(controls, -1),
        "kept": kept[0],
        "alone": study.shares(kept[1:alone]),
        "chance": study.shares(kept[alone:]),
    }


def _check_whole(gap: float, totals: Tensor) -> None:
    """Refuse a network in which something goes round the nodes."""
    share = gap / float(totals.abs().max())
    if share > _GAP:
        raise ValueError(
            "expected that all passes the blocks one after the other, by heads or their skip "
            f"connections, got {share:.1%} of a token's influence that doesn't: name layers "
            "yourself, as by DistributionalInfluence(model, layer, through=[...])"
        )


def _check_unpadded(pairs: Pairs) -> None:
    mask = pairs.clean.get("attention_mask") if isinstance(pairs.clean, dict) else None
    if isinstance(mask, Tensor) and not bool(mask.all()):
        raise ValueError(
            "expected prompts of one length, got pads: routes of several pairs are meaned position "
            "by position; ask prompts of each length by themselves"
        )


def _texts(prompts: Any, pairs: Pairs) -> tuple[str, ...]:
    """Return what the tokens are called: those that all pairs share by their texts."""
    given = pairs.clean
    ids = given.get("input_ids") if isinstance(given, dict) else given
    if not isinstance(ids, Tensor) or ids.is_floating_point() or ids.ndim != 2:
        length = next(iter(given.values())).shape[1] if isinstance(given, dict) else given.shape[1]  # type: ignore[union-attr]  # a tensor
        return ("",) * length
    first = ids[0].tolist()
    names = shown(prompts.tokenizer, first) if isinstance(prompts, Prompts) else map(str, first)
    same = (ids == ids[0]).all(dim=0).tolist()
    return tuple(name if one else "…" for name, one in zip(names, same, strict=True))
