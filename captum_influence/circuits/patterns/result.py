"""The routes that tokens take to an answer, and what the network says with these alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor

from captum_influence.circuits.patterns.page import routes_figure, routes_page
from captum_influence.data.frames import frame
from captum_influence.data.records import plain
from captum_influence.reports.finding import Finding
from captum_influence.reports.page import Page
from captum_influence.reports.words import counted
from captum_influence.visualization.numbers import percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Routes"]


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Routes(Finding):
    """By which route each token does most to a quantity.

    Attributes:
        network: the class of the network.
        quantity: what was asked, in words.
        distribution: over which inputs patterns were weighed, in words.
        tokens: the texts of all tokens, "…" where pairs differ.
        blocks: the names of the blocks.
        starts: int64 (routes,), the tokens that do anything, by their positions.
        positions: int64 (routes, blocks), where each route is behind each block.
        heads: int64 (routes, blocks), the head that it passes there; -1: the skip connection.
        values: (routes, blocks), the influence of the pattern up to there; last: of the route.
        totals: (routes,), the influence of the token by whatever way.
        random: (draws, routes), the influence of random routes of the same tokens.
        clean: (pairs,) the quantity on the clean inputs.
        corrupted: (pairs,) and on the corrupted ones.
        kept: (pairs,) with the nodes of all routes alone.
        alone: (routes,) the share of what the corruption takes that each route alone brings back.
        chance: (draws,) the shares that random routes of all tokens bring back together.
        seconds: how long it took.
    """

    network: str
    quantity: str
    distribution: str
    tokens: tuple[str, ...]
    blocks: tuple[str, ...]
    starts: Tensor
    positions: Tensor
    heads: Tensor
    values: Tensor
    totals: Tensor
    random: Tensor
    clean: Tensor
    corrupted: Tensor
    kept: Tensor
    alone: Tensor
    chance: Tensor
    seconds: float

    def __len__(self) -> int:
        """Return how many routes there are."""
        return len(self.starts)

    def route(self, token: int) -> tuple[str, ...]:
        """Return the nodes of a token's route: ``"a0.h1@4"`` is head 1 of block 0 at position 4.

        Raises:
            ValueError: if the token does nothing, so that it has none.
        """
        starts = self.starts.tolist()
        if token not in starts:
            raise ValueError(f"expected the position of one of the tokens {starts}, got {token}")
        row = starts.index(token)
        nodes = zip(self.positions[row].tolist(), self.heads[row].tolist(), strict=True)
        return tuple(
            f"skip@{place}" if head < 0 else f"a{block}.h{head}@{place}"
            for block, (place, head) in enumerate(nodes)
        )

    @property
    def shares(self) -> Tensor:
        """(routes,) the share of each token's influence that its route carries."""
        return self.values[:, -1] / self.totals

    @property
    def share(self) -> float:
        """What all routes carry, as a share of what their tokens do, without signs."""
        return float(self.values[:, -1].abs().sum() / self.totals.abs().sum())

    @property
    def random_share(self) -> float:
        """The same of random routes, on average."""
        carried = self.random.abs().sum(dim=1) / self.totals.abs().sum()
        return float(carried.mean())

    @property
    def faithfulness(self) -> float:
        """The share of what the corruption takes that all routes together bring back."""
        lost = self.clean.mean() - self.corrupted.mean()
        return float((self.kept.mean() - self.corrupted.mean()) / lost)

    @property
    def strongest(self) -> int:
        """The number of the route that carries most."""
        return int(self.values[:, -1].abs().argmax())

    def in_words(self, row: int) -> str:
        """Return a route as a reader calls it."""
        start = int(self.starts[row])
        steps = [
            f"{node.partition('@')[0]} to {node.partition('@')[2]}"
            for node in self.route(start)
            if not node.startswith("skip")
        ]
        text = f", {self.tokens[start]}," if self.tokens[start] else ""
        way = " and ".join(steps) or "skip connections alone"
        return f"token {start}{text} by {way}"

    @property
    def headline(self) -> str:
        share = percent(float(self.shares[self.strongest]))
        return (
            f"The route to {self.quantity} that carries most is that of "
            f"{self.in_words(self.strongest)}: {share} of what that token does. "
            f"{counted(len(self), 'route')}, one for each token that does anything, carry "
            f"{percent(self.share)} of what these tokens do, random routes "
            f"{percent(self.random_share)}. With their nodes alone, "
            f"{percent(self.faithfulness)} of what the corruption takes comes back, with those of "
            f"random routes {percent(float(self.chance.mean()))}."
        )

    def plot(self) -> Figure:
        """Return the routes as a figure: tokens beside one another, blocks from bottom to top."""
        return routes_figure(self)

    def page(self, command: str | None = None) -> Page:
        return routes_page(self, command)

    def to_dict(self) -> dict[str, Any]:
        found: dict[str, Any] = plain(
            {
                "headline": self.headline,
                "network": self.network,
                "quantity": self.quantity,
                "distribution": self.distribution,
                "tokens": self.tokens,
                "blocks": self.blocks,
                "routes": {str(start): self.route(start) for start in self.starts.tolist()},
                "values": self.values,
                "totals": self.totals,
                "share": self.share,
                "random_share": self.random_share,
                "clean": self.clean,
                "corrupted": self.corrupted,
                "kept": self.kept,
                "faithfulness": self.faithfulness,
                "alone": self.alone,
                "chance": self.chance,
                "call": self.call,
                "settings": self.settings,
                "versions": self.asked.versions,
                "seconds": self.seconds,
            }
        )
        return found

    def to_frame(self) -> Any:
        """Return a ``pandas.DataFrame`` with a row per route.

        Raises:
            ImportError: if pandas isn't installed.
        """
        starts = self.starts.tolist()
        return frame(
            {
                "position": starts,
                "token": [self.tokens[start] for start in starts],
                "route": [" ".join(self.route(start)) for start in starts],
                "influence": self.values[:, -1],
                "total": self.totals,
                "share": self.shares,
                "alone": self.alone,
            }
        )
