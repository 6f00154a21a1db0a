"""What a circuit says of itself, and does."""

import json

import attending
import pytest
import torch

from captum_influence.attr.next_token import NextToken
from captum_influence.attr.quantities import Function
from captum_influence.circuits.find import circuit
from captum_influence.circuits.result import Circuit, FaithfulnessCurve
from captum_influence.demo import induction_network

MODEL = induction_network()
CLEAN, OTHER = torch.tensor([[0, 3, 1, 4, 5, 3]]), torch.tensor([[0, 9, 2, 6, 8, 4]])


def found(**options) -> Circuit:
    return circuit(MODEL, (CLEAN, OTHER), NextToken(1), controls=2, **options)


def test_its_graph_is_written_as_svg(tmp_path) -> None:
    part = found(edges=2, sizes=[2])
    drawn = part.to_svg(tmp_path / "circuit.svg").read_text("utf-8")
    assert "<svg" in drawn


def test_only_its_edges_run_within_the_block() -> None:
    part = found(edges=2, sizes=[2])
    with part.only(MODEL) as network:
        alone = network(CLEAN)[0, -1, 1].item()
    assert alone == pytest.approx(float(part.kept[0]))
    with found().only(MODEL, OTHER) as network:
        torch.testing.assert_close(network(CLEAN)[:, -1], MODEL(CLEAN)[:, -1])


def test_inputs_of_another_shape_want_corrupted_ones_of_that_shape() -> None:
    pairs = (CLEAN.repeat(2, 1), OTHER.repeat(2, 1))
    two = circuit(MODEL, pairs, NextToken(1), controls=2)
    with (
        two.only(MODEL) as network,
        pytest.raises(ValueError, match=r"expected inputs of \(2, 6\) .* got \(1, 6\)"),
    ):
        network(CLEAN)
    with two.only(MODEL, OTHER) as network:  # the cure, and one for all
        torch.testing.assert_close(network(CLEAN)[:, -1], MODEL(CLEAN)[:, -1])
        torch.testing.assert_close(network(pairs[0])[:, -1], MODEL(pairs[0])[:, -1])


def test_areas_are_those_of_the_curve() -> None:
    curve = FaithfulnessCurve(
        sizes=(1, 2, 4),
        all_edges=4,
        own=torch.tensor([0.0, 1.2, 1.0], dtype=torch.float64),
        random=torch.tensor([[0.1, -0.1], [0.5, 1.3], [1.0, 1.0]], dtype=torch.float64),
    )
    assert curve.cpr == pytest.approx(0.25 * 0.6 + 0.5 * 1.1)
    assert curve.cmd == pytest.approx(0.25 * 0.6 + 0.5 * 0.1)
    assert curve.percentile.tolist() == [0.5, 0.5, 0.0]
    assert (curve.smallest(0.9), curve.smallest(2.0)) == (2, 4)


def test_the_benchmark_s_file_names_every_edge(tmp_path) -> None:
    model = attending.reader()
    ids, other = torch.tensor([[3, 1, 4, 1, 5]]), torch.tensor([[3, 9, 4, 9, 5]])
    last = Function(lambda scores: scores[:, -1, 7])
    shared = circuit(model, (ids, other), last, edges=12, sizes=[12], controls=1)
    written = json.loads(shared.to_mib(tmp_path / "circuit.json").read_text())
    assert written["cfg"]["n_layers"] == 2
    assert written["cfg"]["n_heads"] == 4
    # Four heads read by queries, keys and values each, though two share keys and values.
    blocks = 12 * 1 + 5 + 12 * 6 + 10
    assert len(written["edges"]) == blocks + 11
    pairs = [written["edges"][f"input->a0.h{head}<k>"] for head in (0, 1)]
    assert pairs[0] == pairs[1]
    inside = {name for name, node in written["nodes"].items() if node["in_graph"]}
    assert inside == {*shared.nodes, "logits"}
