r"""Guided refinement: from a token on, block by block, the node that carries most is chosen.

All of it is one pass in forward mode. What moves at a token's embedding moves heads; each head's
rate, times the slope of the quantity there, is what passes through it. Rows come in twos: in one,
what moves goes on by the skip connection alone, in the other through the chosen head alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from captum_influence.attr.quantities import Quantity
from captum_influence.circuits.pairs import Pairs
from captum_influence.circuits.patterns.course import Course, Passed
from captum_influence.network.cuts import Cut
from captum_influence.network.passes.tangents import apart, forward_mode, moving

__all__ = ["Field", "Refined", "at_random", "greedy", "refined"]

SKIP = -1

Scores = Callable[[Tensor, Tensor], Tensor]
"""From values (routes, nodes) and totals (routes, 1) to scores (routes, nodes)."""


@dataclass(frozen=True, eq=False)
class Field:
    """Where patterns are weighed: points, slopes of the quantity there, and what moves.

    Attributes:
        course: the network.
        pairs: whose rows they are.
        weights: float64 (rows,), of each point of each pair; they add up to 1.
        moved: (rows, positions, width) clean less corrupted, at what enters the first block.
        points: (rows, positions, width) there.
        slopes: of the quantity, in each row.
    """

    course: Course
    pairs: Pairs
    weights: Tensor
    moved: Tensor
    points: Tensor
    slopes: Passed

    @staticmethod
    def of(
        course: Course,
        pairs: Pairs,
        quantity: Quantity,
        moved: Tensor,
        points: list[tuple[float, Tensor]],
    ) -> Field:
        """Take the slopes at weighted points, (pairs, positions, width) each."""
        numbers, found = torch.arange(len(pairs)), []
        for _, point in points:
            entry = point.detach().clone().requires_grad_()
            passed = course.passed(pairs.clean, entry, graph=True)
            value = quantity.rows(numbers)(passed.output).sum()
            found.append(torch.autograd.grad(value, passed.tensors, materialize_grads=True))
        weights = [torch.full((len(pairs),), w / len(pairs)).double() for w, _ in points]
        joined = [torch.cat(column) for column in zip(*found, strict=True)]
        return Field(
            course=course,
            pairs=pairs.rows(numbers.repeat(len(points))),
            weights=torch.cat(weights),
            moved=moved.repeat(len(points), 1, 1),
            points=torch.cat([point for _, point in points]),
            slopes=Passed.of(joined),
        )

    @property
    def totals(self) -> Tensor:
        """float64 (positions,), the influence of each token by whatever way."""
        return self.weighed("rtc,rtc,r->t", self.moved, self.slopes.entry)

    def weighed(self, indices: str, rates: Tensor, slopes: Tensor) -> Tensor:
        """Return rates times slopes, added up over rows by their weights."""
        weights = self.weights.to(rates.device)
        return torch.einsum(indices, rates.double(), slopes.double(), weights).cpu()


@dataclass(frozen=True, eq=False)
class Refined:
    """Routes, one for each token that they begin at.

    Attributes:
        positions: int64 (routes, blocks), where each is behind each block.
        heads: int64 (routes, blocks), the head that it passes there; -1: the skip connection.
        values: float64 (routes, blocks), the influence of the pattern up to each block.
        gap: the largest difference between a pattern and the sum over the nodes that refine it.
    """

    positions: Tensor
    heads: Tensor
    values: Tensor
    gap: float


def greedy(values: Tensor, totals: Tensor) -> Tensor:
    """Score nodes by what passes through them, of the sign of what the token does."""
    return values * totals.sign()


def at_random(generator: torch.Generator) -> Scores:
    """Return a score by chance for all nodes that anything passes through."""

    def scores(values: Tensor, totals: Tensor) -> Tensor:
        return torch.rand(values.shape, generator=generator).double().where(values != 0, -torch.inf)

    return scores


def refined(where: Field, starts: Tensor, choose: Scores, rows: int) -> Refined:
    """Return a route for each token, int64 (routes,), chosen node by node.

    Args:
        where: what is asked.
        starts: the tokens' positions.
        choose: scores nodes; the best is taken.
        rows: how many go through the network at once, if it is as many as one route needs.
    """
    each = max(rows // (2 * len(where.weights)), 1)
    found = [_Steps(where, part, choose).run() for part in torch.split(starts, each)]
    return Refined(
        torch.cat([one.positions for one in found]),
        torch.cat([one.heads for one in found]),
        torch.cat([one.values for one in found]),
        max(one.gap for one in found),
    )


@dataclass(eq=False)
class _Steps:
    """A pass in forward mode, and what is chosen on its way. Rows: (2, routes, rows of points)."""

    where: Field
    starts: Tensor
    choose: Scores
    positions: list[Tensor] = field(default_factory=list)
    heads: list[Tensor] = field(default_factory=list)
    values: list[Tensor] = field(default_factory=list)
    gap: float = 0.0
    # Of the patterns so far: their influence, and where they are; of the next block's heads, what
    # passes through them (routes, positions, heads), which is best, and its score.
    now: Tensor = field(init=False)
    place: Tensor = field(init=False)
    through: Tensor = field(init=False)
    best: Tensor = field(init=False)
    score: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.totals = self.where.totals[self.starts]
        self.now, self.place = self.totals, self.starts

    def run(self) -> Refined:
        """Go through the network once."""
        course, routes, rows = self.where.course, len(self.starts), len(self.where.weights)
        changes: dict[Cut, Callable[[Tensor], Tensor]] = {course.entry: self._enter}
        for number, level in enumerate(course.levels):
            changes[level.heads] = partial(self._at_heads, number)
            changes[level.end] = partial(self._at_end, number)
        numbers = torch.arange(rows).repeat(2 * routes)
        with forward_mode():
            course.run(self.where.pairs.rows(numbers).clean, changes)
        return Refined(
            torch.stack(self.positions, dim=1),
            torch.stack(self.heads, dim=1),
            torch.stack(self.values, dim=1),
            self.gap,
        )

    def _enter(self, z: Tensor) -> Tensor:
        at, moved = self.starts, self.where.moved
        here = torch.nn.functional.one_hot(at, moved.shape[1]).to(moved)
        tangent = torch.einsum("rtc,st->srtc", moved, here)
        points = self.where.points.repeat(2 * len(at), 1, 1)
        return moving(points, self._joined(tangent, torch.zeros_like(tangent)))

    def _at_heads(self, number: int, z: Tensor) -> Tensor:
        values, rates = apart(z)
        level = self.where.course.levels[number]
        slopes = level.apart(self.where.slopes.heads[number])
        parts = level.apart(self._rows(rates)[0])
        self.through = self.where.weighed("srthf,rthf,r->sth", parts, slopes)
        flat = self.through.flatten(1)
        self.score, self.best = self.choose(flat, self.totals[:, None]).max(dim=1)
        chosen = torch.nn.functional.one_hot(self.best, flat.shape[1]).bool()
        mask = chosen.view(self.through.shape)[:, None, ..., None].to(parts.device)
        alone = torch.where(mask, parts, 0).flatten(-2)
        return moving(values, self._joined(torch.zeros_like(alone), alone))

    def _at_end(self, number: int, z: Tensor) -> Tensor:
        values, rates = apart(z)
        skip, head = self._rows(rates)
        passing = self.where.weighed("srtc,rtc,r->s", skip, self.where.slopes.ends[number])
        gap = (self.now - passing - self.through.sum(dim=(1, 2))).abs()
        self.gap = max(self.gap, float(gap.max()))
        by_head = self.score > self.choose(passing[:, None], self.totals[:, None])[:, 0]
        heads = self.through.shape[2]
        of_head = self.through.flatten(1).gather(1, self.best[:, None])[:, 0]
        self.place = torch.where(by_head, self.best // heads, self.place)
        self.now = torch.where(by_head, of_head, passing)
        self.positions.append(self.place)
        self.heads.append(torch.where(by_head, self.best % heads, SKIP))
        self.values.append(self.now)
        going = torch.where(by_head.view(-1, 1, 1, 1).to(skip.device), head, skip)
        return moving(values, self._joined(going, torch.zeros_like(going)))

    def _rows(self, rates: Tensor) -> Tensor:
        return torch.unflatten(rates, 0, (2, len(self.starts), -1))

    def _joined(self, skip: Tensor, head: Tensor) -> Tensor:
        return torch.stack([skip, head]).flatten(0, 2)
