"""Networks of libraries go in as they are, and the channels that are named are theirs."""

from typing import Any

import pytest
import torch
from torch import Tensor

from captum_influence import compare, counterfactual, explain

AWAY = "benchmarks lie in the checkout: python -m pytest, there"
families = pytest.importorskip("benchmarks.families", reason=AWAY)
tables = pytest.importorskip("benchmarks.tables", reason=AWAY)

# Channels last; put first for the head; a convolutional one; tokens; dataclasses returned.
KINDS = (
    "swin_tiny_patch4_window7_224",
    "swin_t",
    "mobilenet_v3_small",
    "ViTForImage",
    "CLIPVision",
)


def _of(name: str) -> Any:
    family = next(one for one in families.FAMILIES if one.name.startswith(name))
    pytest.importorskip(family.library, reason=f"{family.library} is not installed")
    return family


@pytest.mark.parametrize("kind", KINDS)
def test_the_units_are_the_channels_of_the_last_stage(kind: str) -> None:
    family = _of(kind)
    network, picture = family.build(), family.picture()
    given = {} if family.output is None else {"output": family.output}
    found = explain(network, picture, top=1, overlay=False, **given)
    assert found.values.shape == (family.width,)
    place = found.facts["units"]
    assert place in found.headline
    dimension = int(place.split("dimension ")[1][0])
    assert place.startswith(f"{family.width} channels along")

    # Zeroing that channel by hand, along that dimension, loses what the finding says it loses.
    (unit,) = found.units[0].unit.index

    def without(module: Any, args: Any, output: Tensor) -> Tensor:
        return output.index_fill(dimension, torch.tensor([unit]), 0.0)

    def score() -> float:
        with torch.no_grad():
            returned = network(picture[None])
        scores = returned if isinstance(returned, Tensor) else returned[family.output or "logits"]
        return float(scores[0, found.targets[0]])

    before = score()
    handle = network.get_submodule(found.layer).register_forward_hook(without)
    lost = before - score()
    handle.remove()
    assert found.effects.alone[0] == pytest.approx(lost, abs=1e-5)


@pytest.mark.parametrize("kind", ["swin_tiny_patch4_window7_224", "SwinForImage"])
def test_the_other_verbs_take_the_same_layer_and_say_its_channels(kind: str) -> None:
    family = _of(kind)
    network, picture = family.build(), family.picture()
    found = compare(network, picture, methods=["influence", "LayerGradCam"], points=1)
    assert found.channels.startswith(f"{family.width} channels along")
    assert found.channels in found.headline
    wrong = counterfactual(
        network, picture, true=int(found.target[0] + 1) % 10, max_units=1, controls=0,
        wrong_classes=False, interpret=False,
    )  # fmt: skip
    assert wrong.layer == found.layer
    assert wrong.axis.in_words() == found.channels


def test_the_benchmark_keeps_what_fails_and_becomes_a_table() -> None:
    family = _of("ViTForImage")
    row = families.measured(family, points=1)
    assert row["right"]
    assert [verb for verb, found in row["verbs"].items() if "error" in found] == []
    broken = {**row, "verbs": {**row["verbs"], "compare": families._asked(lambda: 1 / 0)}}
    shown = tables.families({"rows": [row, broken], "points": 1}).splitlines()
    assert len(shown) == 4
    assert "ZeroDivisionError" in shown[3]
