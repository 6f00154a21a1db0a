"""Coordinates against a slow replica: the root of H⁻¹, as a matrix."""

from __future__ import annotations

import influenced
import pytest
import torch
from torch import nn

from captum_influence import LayerInfluence
from captum_influence.network.recording import Record
from captum_influence.training import EKFAC, Curvature, DenseGGN
from captum_influence.training.gradients import gradient_of
from captum_influence.training.index.coordinates import Coordinates, KroneckerCoordinates
from captum_influence.training.scoring import Group


@pytest.mark.parametrize("curvature", [EKFAC(), EKFAC(max_factor=5), DenseGGN()])
@pytest.mark.parametrize("name", ["conv", "hidden"])
def test_they_are_entries_of_the_root(curvature: Curvature, name: str) -> None:
    """H⁻¹ is what ``solve`` makes of unit vectors; the directions where it is least are kept."""
    model, data, _ = influenced.problem()
    influence = LayerInfluence(
        model, data, layers=[name], loss_fn=nn.CrossEntropyLoss(), curvature=curvature
    ).fit()
    [[group]] = influence._stream.groups()
    layer = group.layers[0]
    inverse = group.block.solve(torch.eye(layer.size, dtype=torch.float64))
    values, vectors = torch.linalg.eigh(inverse)
    with influence._fit.recording(None) as recorder:
        output = recorder.recorder.run((data.tensors[0],))
        records = recorder.pull_back(output, torch.ones_like(output), last=True)
    gradients = layer.flat(records[name]).detach()
    for kept in (4, 11, None):
        coordinates = Coordinates.of(group, kept)
        found = coordinates.read(records[name]).detach()
        assert found.shape == (influenced.N, coordinates.size)
        root = vectors[:, :kept] * values[:kept].clamp(min=0).sqrt()
        wanted = (gradients @ root) @ (gradients @ root).mT
        torch.testing.assert_close(found @ found.mT, wanted)


def test_sums_are_over_the_positions() -> None:
    torch.manual_seed(0)
    layer = gradient_of("layer", nn.Linear(6, 5).double())
    rows, columns = torch.randn(1, 5, 3).double(), torch.randn(1, 7, 4).double()
    places = torch.tensor([[0, 0], [2, 1], [3, 0]])
    found = KroneckerCoordinates(layer, rows, columns, places, torch.tensor([2.0, 4.0]).double())
    a, d = (torch.randn(3, 9, n, dtype=torch.float64) for n in (6, 5))
    ones = torch.cat([a, torch.ones(3, 9, 1)], 2)
    whole = torch.einsum("btj,jc,bti,ir->brc", ones, columns[0], d, rows[0])
    wanted = torch.stack([whole[:, 2, 3] / 2, whole[:, 1, 0] / 4], 1)
    torch.testing.assert_close(found.read(Record((a,), (d,))), wanted)


def test_a_block_of_ones_own_is_refused() -> None:
    class Own:
        """Not a block with an eigenbasis."""

    layer = gradient_of("layer", nn.Linear(6, 5))
    with pytest.raises(ValueError, match="an eigenbasis, of which layer 'layer'"):
        Coordinates.of(Group((layer,), Own()), None)
