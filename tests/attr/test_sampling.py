"""Points live at what they move: floats, or the embedding of whole numbers."""

import logging
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from captum_influence.attr.calls import Call
from captum_influence.attr.distributions import Baselines, Distribution, Mixture, Noise, Point
from captum_influence.attr.inputs import Inputs
from captum_influence.attr.paths import LinearPath, StratifiedPath
from captum_influence.attr.sampling import Sampling
from captum_influence.data.items import Accepts
from captum_influence.network.cuts import Cut

IDS, PIXELS = torch.tensor([[1, 2, 3], [4, 5, 0]]), torch.rand(2, 4)
MASK = torch.ones(2, 3).long()


class Both(nn.Module):
    """Reads ids and sees pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(9, 4)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, pixels: Tensor | None = None
    ) -> Tensor:
        read = self.table(input_ids).sum(1)
        return read if pixels is None else read * pixels


MODEL = Both()


def _where(inputs: Any, distribution: Distribution, sample_at: Cut | None = None) -> Sampling:
    call = Call.of(inputs, (), {}, Accepts.of(MODEL))
    return Sampling.of(call, distribution, sample_at, MODEL)


@pytest.mark.parametrize(
    "distribution",
    [
        LinearPath(),
        LinearPath(Inputs(IDS + 1)),
        StratifiedPath(Inputs({"input_ids": IDS + 1})),
        Noise(0.1, 3),
        Baselines(Inputs(IDS[:1] + 1)),
        Mixture([(0.5, Point()), (0.5, Noise(0.1, 3))]),
    ],
)
def test_between_ids_there_is_nothing(
    distribution: Distribution, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        found = _where({"input_ids": IDS, "attention_mask": MASK}, distribution)
    assert found.moved == ("input_ids",)
    assert found.sample_at is not None
    assert found.sample_at.module is MODEL.table
    assert "the points live at the output of Embedding" in caplog.text


@pytest.mark.parametrize("distribution", [Point(), Mixture([(1.0, Point())])])
def test_points_that_are_inputs_live_there(distribution: Distribution) -> None:
    found = _where({"input_ids": IDS}, distribution)
    assert (found.moved, found.sample_at) == (("input_ids",), None)


def test_what_the_user_says_holds() -> None:
    cut = Cut("table")
    assert _where(IDS, LinearPath(), cut).sample_at is cut


@pytest.mark.parametrize(
    ("inputs", "start", "moved"),
    [
        ({"input_ids": IDS, "pixels": PIXELS}, 0.0, ("pixels",)),
        ({"input_ids": IDS, "pixels": PIXELS}, {"pixels": 0.0}, ("pixels",)),
        ({"input_ids": IDS, "pixels": PIXELS}, {"input_ids": IDS + 1}, ("input_ids",)),
        # Of a corrupted batch, that which differs.
        ({"input_ids": IDS, "pixels": PIXELS}, {"input_ids": IDS, "pixels": -PIXELS}, ("pixels",)),
        (
            {"input_ids": IDS, "pixels": PIXELS},
            {"input_ids": IDS + 1, "pixels": PIXELS},
            ("input_ids",),
        ),
        (
            {"input_ids": IDS, "attention_mask": MASK},
            {"input_ids": IDS, "attention_mask": MASK},
            ("input_ids",),
        ),
        ((IDS, MASK, PIXELS), (None, None, 0.0), (2,)),
        ((IDS, MASK, PIXELS), (IDS + 1, None, None), (0,)),
    ],
)
def test_what_they_move(inputs: Any, start: Any, moved: tuple[Any, ...]) -> None:
    start = start if isinstance(start, float | tuple) else Inputs(start)
    found = _where(inputs, LinearPath(start))
    assert found.moved == moved
    assert (found.sample_at is None) == (moved not in (("input_ids",), (0,)))


@pytest.mark.parametrize("start", [0.0, Inputs((IDS + 1, None, -PIXELS))])
def test_floats_and_ids_at_once_are_refused(start: Any) -> None:
    with pytest.raises(TypeError, match="name those that move, as by Inputs"):
        _where((IDS, MASK, PIXELS), LinearPath(start))
