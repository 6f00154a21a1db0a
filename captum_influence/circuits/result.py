"""A circuit: the edges that carry a quantity, and what the network answers with them alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from captum_influence.circuits.graph import Graph
from captum_influence.circuits.page import circuit_figure, circuit_page
from captum_influence.data.files import write_bytes, write_json
from captum_influence.data.frames import frame
from captum_influence.data.records import plain
from captum_influence.network.anatomy.split import Split
from captum_influence.network.inputs import network_of
from captum_influence.reports.finding import Finding
from captum_influence.reports.page import Page
from captum_influence.reports.words import counted
from captum_influence.visualization.maps import svg
from captum_influence.visualization.numbers import percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Circuit", "FaithfulnessCurve"]


@dataclass(frozen=True, eq=False, kw_only=True)
class FaithfulnessCurve:
    """How much of what the corruption takes circuits of growing size bring back.

    Attributes:
        sizes: their numbers of edges, growing.
        all_edges: how many there are.
        own: (sizes,) the shares; 1 is all of it, below 0 or above 1 is possible.
        random: (sizes, draws) those of random circuits, connected in the same way.
    """

    sizes: tuple[int, ...]
    all_edges: int
    own: Tensor
    random: Tensor

    @property
    def cpr(self) -> float:
        """The area under the shares, over the share of edges: high is a circuit that performs."""
        return self._area(self.own)

    @property
    def cmd(self) -> float:
        """The area between the shares and 1: low is a circuit that matches the network."""
        return self._area((1 - self.own).abs())

    @property
    def percentile(self) -> Tensor:
        """(sizes,) the share of random circuits that bring back less."""
        return (self.random < self.own[:, None]).double().mean(dim=1)

    def smallest(self, enough: float) -> int:
        """Return the smallest size that brings back enough; if none does, all edges."""
        pairs = zip(self.sizes, self.own.tolist(), strict=True)
        return next((size for size, share in pairs if share >= enough), self.all_edges)

    def _area(self, values: Tensor) -> float:
        shares = torch.tensor(self.sizes, dtype=torch.float64) / self.all_edges
        return float(torch.trapezoid(values, shares))


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Circuit(Finding):
    """Which edges of a transformer carry a quantity.

    Attributes:
        network: the class of the network.
        quantity: what was asked, in words.
        distribution: over which inputs edges were scored, in words.
        graph: all edges.
        scores: (readers, writers) what each is estimated to carry; zero where there is none.
        chosen: bool (readers, writers) the circuit.
        clean: (pairs,) the quantity on the clean inputs.
        corrupted: (pairs,) and on the corrupted ones.
        kept: (pairs,) with the circuit's edges alone.
        chance: (draws,) the shares that random circuits of its size bring back.
        curve: what circuits of each size bring back, beside random ones.
        others: the corrupted inputs, by their names; "" where they have none.
        seconds: how long it took.
    """

    network: str
    quantity: str
    distribution: str
    graph: Graph
    scores: Tensor
    chosen: Tensor
    clean: Tensor
    corrupted: Tensor
    kept: Tensor
    chance: Tensor
    curve: FaithfulnessCurve
    others: dict[str, Tensor]
    seconds: float

    @property
    def edges(self) -> dict[str, float]:
        """The circuit's edges with their scores, those that carry most first."""
        places = self.chosen.nonzero().tolist()
        places.sort(key=lambda place: -abs(float(self.scores[place[0], place[1]])))
        return {self.graph.edge(r, w): float(self.scores[r, w]) for r, w in places}

    @property
    def nodes(self) -> tuple[str, ...]:
        """The writers in the circuit, in the order of writing."""
        heard = self.chosen.any(dim=0).tolist()
        return tuple(name for name, inside in zip(self.graph.writers, heard, strict=True) if inside)

    @property
    def size(self) -> int:
        """The number of its edges."""
        return int(self.chosen.sum())

    def faithfulness(self) -> FaithfulnessCurve:
        """Return what circuits of growing size bring back, beside random ones of the same sizes."""
        return self.curve

    @property
    def share(self) -> float:
        """The share of what the corruption takes that the circuit brings back."""
        lost = self.clean.mean() - self.corrupted.mean()
        return float((self.kept.mean() - self.corrupted.mean()) / lost)

    @contextmanager
    def only(self, model: nn.Module, corrupted: Any = None) -> Iterator[nn.Module]:
        """Yield a copy of the network that runs with the circuit's edges alone.

        The copy shares all parameters with the network, which itself isn't changed. Within the
        block it takes inputs of the shape of the corrupted ones.

        Args:
            model: the network that was asked.
            corrupted: inputs that all other edges carry; None: those that it was asked with.
        """
        given = corrupted if corrupted is not None else self.others.get("", self.others)
        split = Split.of(network_of(model), given)
        with split.without(split.before & ~self.chosen, split.written(given)):
            yield split.network

    def to_mib(self, path: str | PathLike[str]) -> Path:
        """Write the circuit as JSON that the evaluator of the MIB benchmark reads.

        Heads that share keys and values are written with the edges of what they share.

        Raises:
            ValueError: if blocks differ in their heads, which that format has no place for.
        """
        return write_json(path, _as_mib(self))

    def to_svg(self, path: str | PathLike[str]) -> Path:
        """Write the graph of the circuit as SVG, which any size is sharp at."""
        return write_bytes(path, svg(self.plot()))

    @property
    def headline(self) -> str:
        share, size = percent(self.share), self.size
        alone = f"{counted(size, 'edge')} of {self.graph.size}"
        return (
            f"{alone} {'carries' if size == 1 else 'carry'} {share} of what tells the two inputs "
            f"apart. That is measured: with nothing else connected, so much of the difference in "
            f"{self.quantity} comes back; with random circuits of that size "
            f"{percent(float(self.chance.mean()))} does."
        )

    def plot(self) -> Figure:
        """Return the circuit as a graph: writers and readers by block, edges by what they carry."""
        return circuit_figure(self)

    def page(self, command: str | None = None) -> Page:
        return circuit_page(self, command)

    def to_dict(self) -> dict[str, Any]:
        found: dict[str, Any] = plain(
            {
                "headline": self.headline,
                "network": self.network,
                "quantity": self.quantity,
                "distribution": self.distribution,
                "edges": self.edges,
                "nodes": self.nodes,
                "all_edges": self.graph.size,
                "clean": self.clean,
                "corrupted": self.corrupted,
                "kept": self.kept,
                "share": self.share,
                "chance": self.chance,
                "sizes": self.curve.sizes,
                "faithfulness": self.curve.own,
                "random": self.curve.random,
                "cpr": self.curve.cpr,
                "cmd": self.curve.cmd,
                "call": self.call,
                "settings": self.settings,
                "versions": self.asked.versions,
                "seconds": self.seconds,
            }
        )
        return found

    def to_frame(self) -> Any:
        """Return a ``pandas.DataFrame`` with a row per edge of the circuit.

        Raises:
            ImportError: if pandas isn't installed.
        """
        pairs = [edge.split("->") for edge in self.edges]
        return frame(
            {
                "writer": [writer for writer, _ in pairs],
                "reader": [reader for _, reader in pairs],
                "score": list(self.edges.values()),
            }
        )


def _as_mib(found: Circuit) -> dict[str, Any]:
    graph = found.graph
    heads = [name.partition(".h")[0] for name in graph.writers if ".h" in name]
    counts = {block: heads.count(block) for block in heads}
    if len(set(counts.values())) != 1:
        raise ValueError(
            f"expected as many heads in each block, got {counts}, which the format can't hold"
        )
    count, nodes = next(iter(counts.values())), set(found.nodes)
    edges = {
        f"{writer}->{name}": {
            "score": float(found.scores[r, w]),
            "in_graph": bool(found.chosen[r, w]),
        }
        for r, reader in enumerate(graph.readers)
        for name in _sharing(reader, graph, count)
        for w, writer in enumerate(graph.writers)
        if graph.before[r, w]
    }
    blocks = len(counts)
    return {
        "cfg": {"n_layers": blocks, "n_heads": count, "parallel_attn_mlp": False},
        "nodes": {name: {"in_graph": name in nodes} for name in graph.writers}
        | {"logits": {"in_graph": True}},
        "edges": edges,
    }


def _sharing(reader: str, graph: Graph, heads: int) -> list[str]:
    """Return the heads that a reader of keys or values stands for."""
    block, _, rest = reader.partition(".h")
    if not rest:
        return [reader]
    number, _, purpose = rest.partition("<")
    own = sum(name.startswith(f"{block}.h") and name.endswith(purpose) for name in graph.readers)
    each = heads // own
    return [f"{block}.h{h}<{purpose}" for h in range(int(number) * each, (int(number) + 1) * each)]
