"""A pass equals influences computed one by one, however it is cut up, and goes on where it was."""

from pathlib import Path
from typing import Any

import profiled
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from captum_influence import (
    Baselines,
    ClassScore,
    Cut,
    DistributionalInfluence,
    InfluenceProfile,
    Noise,
    Point,
    PredictedClass,
)
from captum_influence.attr import StratifiedPath


@pytest.mark.parametrize("batch", [1, 7, 30])
def test_batches_do_not_matter(batch: int) -> None:
    influence = DistributionalInfluence(profiled.model(), "1", distribution=Point())
    whole = InfluenceProfile.over(influence, profiled.loader(30), group_by="label")
    parts = InfluenceProfile.over(influence, profiled.loader(batch), group_by="label")
    assert profiled.same(whole, parts, tolerance=1e-12)


def test_without_a_quantity_the_label_is_asked_for() -> None:
    model, (images, labels) = profiled.model(), profiled.data().tensors
    influence = DistributionalInfluence(model, "3", distribution=Point())
    profile = InfluenceProfile.over(influence, profiled.loader())
    expected = influence.attribute(images, target=labels).sum(dim=(2, 3)).mean(dim=0)
    assert torch.allclose(profile.mean(), expected, atol=1e-13)


@pytest.mark.parametrize("how", ["sum", "mean", "max"])
def test_positions_are_summed_up(how: str) -> None:
    model, (images, _) = profiled.model(), profiled.data().tensors
    influence = DistributionalInfluence(model, "1", distribution=Point(), quantity=ClassScore(1))
    profile = InfluenceProfile.over(influence, profiled.loader(), aggregate=how)
    flat = influence.attribute(images).flatten(2)
    expected = flat.amax(2) if how == "max" else getattr(flat, how)(2)
    assert torch.allclose(profile.mean(), expected.mean(dim=0), atol=1e-13)
    own = InfluenceProfile.over(
        influence, profiled.loader(), aggregate=lambda flat: flat.abs().sum(dim=-1)
    )
    assert torch.allclose(own.mean(), flat.abs().sum(2).mean(0), atol=1e-13)


def test_another_axis_counts_units() -> None:
    influence = DistributionalInfluence(
        profiled.model(), "1", distribution=Point(), quantity=ClassScore(1)
    )
    profile = InfluenceProfile.over(influence, profiled.loader(), axis=2)
    expected = influence.attribute(profiled.data().tensors[0]).sum(dim=(1, 3)).mean(dim=0)
    assert torch.allclose(profile.mean(), expected, atol=1e-13)
    with pytest.raises(ValueError, match="expected axis"):
        InfluenceProfile.over(influence, profiled.loader(), axis=4)


def test_layers_without_positions_count_as_they_are() -> None:
    influence = DistributionalInfluence(
        profiled.model(), ["4", "5"], distribution=Point(), quantity=ClassScore(1)
    )
    profile = InfluenceProfile.over(influence, profiled.loader())
    for layer, found in zip(
        ["4", "5"], influence.attribute(profiled.data().tensors[0]), strict=True
    ):
        assert torch.allclose(profile.mean(layer=layer), found.mean(dim=0), atol=1e-13)


def test_groups_by_prediction_and_by_a_function() -> None:
    model, (images, _) = profiled.model(), profiled.data().tensors
    influence = DistributionalInfluence(model, "1", distribution=Point(), quantity=PredictedClass())
    predicted = InfluenceProfile.over(influence, profiled.loader(), group_by="predicted")
    counts = model(images).argmax(dim=1).bincount(minlength=3)
    assert [predicted.count(g) for g in predicted.groups] == counts[counts > 0].tolist()
    halves = InfluenceProfile.over(
        influence,
        profiled.loader(),
        group_by=lambda inputs, labels: ["bright" if x.mean() > 0 else "dark" for x in inputs[0]],
    )
    assert halves.groups == ("bright", "dark")


def test_draws_differ_from_batch_to_batch_and_stay_the_same_from_run_to_run() -> None:
    images = torch.zeros(8, 2, 6, 6, dtype=torch.float64)
    loader = DataLoader(TensorDataset(images), batch_size=4)
    for distribution in (Noise(1.0, 3), Baselines(torch.randn(5, 2, 6, 6), 3)):
        influence = DistributionalInfluence(
            profiled.model(), Cut("0", "input"), distribution=distribution, quantity=ClassScore(1)
        )
        profiles = [InfluenceProfile.over(influence, loader) for _ in range(2)]
        assert profiled.same(*profiles)
        first = InfluenceProfile.over(influence, [images[:4]])
        assert not torch.allclose(first.mean(), profiles[0].mean())


def test_shared_paths_count_through_the_data_set() -> None:
    model, (images, _) = profiled.model(), profiled.data().tensors
    influence = DistributionalInfluence(
        model, "1", distribution=StratifiedPath(0.0, 2), quantity=ClassScore(1)
    )
    profile = InfluenceProfile.over(influence, profiled.loader(7))
    expected = influence.attribute(images).sum(dim=(2, 3)).mean(dim=0)
    assert torch.allclose(profile.mean(), expected, atol=1e-13)


# Killed, resumed ---------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [0, 1, 5, 9])
def test_an_interrupted_pass_is_taken_up_bit_by_bit(tmp_path: Path, after: int) -> None:
    influence = DistributionalInfluence(profiled.model(), "1", distribution=Noise(0.3, 2))
    batches = list(profiled.loader(3))
    whole = InfluenceProfile.over(influence, batches, group_by="label")
    path = tmp_path / "checkpoint"
    settings: dict[str, Any] = {"group_by": "label", "checkpoint": path, "checkpoint_every": 2}
    with pytest.raises(profiled.Interrupted):
        InfluenceProfile.over(influence, profiled.breaking(profiled.loader(3), after), **settings)
    assert path.exists() == (after >= 2)
    assert profiled.same(whole, InfluenceProfile.over(influence, batches, **settings))
    assert not path.exists()


def test_a_shuffled_loader_is_taken_up_in_its_own_order(tmp_path: Path) -> None:
    class Falling(TensorDataset):
        reads = 0

        def __getitem__(self, index: int) -> Any:
            Falling.reads += 1
            if Falling.reads == 16:
                raise profiled.Interrupted
            return super().__getitem__(index)

    influence = DistributionalInfluence(profiled.model(), "1", distribution=Point())
    path = tmp_path / "checkpoint"
    torch.manual_seed(4)
    loader = DataLoader(Falling(*profiled.data().tensors), batch_size=5, shuffle=True)
    settings: dict[str, Any] = {"group_by": "label", "checkpoint": path, "checkpoint_every": 1}
    with pytest.raises(profiled.Interrupted):
        InfluenceProfile.over(influence, loader, **settings)
    resumed = InfluenceProfile.over(influence, loader, **settings)
    assert sum(resumed.count(group) for group in resumed.groups) == profiled.COUNT
    whole = InfluenceProfile.over(influence, profiled.loader(), group_by="label")
    assert profiled.same(whole, resumed, tolerance=1e-12)


def test_a_checkpoint_of_another_question_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    influence = DistributionalInfluence(profiled.model(), "1", distribution=Point())
    with pytest.raises(profiled.Interrupted):
        InfluenceProfile.over(
            influence, profiled.breaking(profiled.loader(3), 4), checkpoint=path, checkpoint_every=1
        )
    other = DistributionalInfluence(profiled.model(), "3", distribution=Point())
    with pytest.raises(ValueError, match="another question: layers"):
        InfluenceProfile.over(other, profiled.loader(3), checkpoint=path)
    with pytest.raises(ValueError, match=r"another question: axis \(1 there, 2 here\)"):
        InfluenceProfile.over(influence, profiled.loader(3), checkpoint=path, axis=2)


@pytest.mark.parametrize(
    ("then", "now", "differ"),
    [
        ({"quantity": ClassScore(0)}, {"quantity": ClassScore(1)}, "quantity"),
        ({"quantity": lambda y: y[:, 0]}, {"quantity": lambda y: y[:, 1]}, "quantity"),
        (
            {"distribution": Noise(0.1, 2, seed=0)},
            {"distribution": Noise(0.1, 2, seed=1)},
            "distribution",
        ),
        (
            {"distribution": Baselines(torch.zeros(1, 2, 6, 6), 2)},
            {"distribution": Baselines(torch.ones(1, 2, 6, 6), 2)},
            "distribution",
        ),
    ],
)
def test_a_checkpoint_is_not_mixed_with_another_quantity_or_distribution(
    tmp_path: Path, then: dict[str, Any], now: dict[str, Any], differ: str
) -> None:
    path, common = tmp_path / "checkpoint", {"quantity": ClassScore(0), "distribution": Point()}
    with pytest.raises(profiled.Interrupted):
        InfluenceProfile.over(
            DistributionalInfluence(profiled.model(), "1", **{**common, **then}),
            profiled.breaking(profiled.loader(3), 4),
            checkpoint=path,
            checkpoint_every=1,
        )
    other = DistributionalInfluence(profiled.model(), "1", **{**common, **now})
    with pytest.raises(ValueError, match=f"another question: {differ}"):
        InfluenceProfile.over(other, profiled.loader(3), checkpoint=path)


# Bad input ----------------------------------------------------------------------------------------


def test_bad_questions_are_refused() -> None:
    influence = DistributionalInfluence(
        profiled.model(), "1", distribution=Point(), quantity=ClassScore(0)
    )
    with pytest.raises(ValueError, match="patience as a positive number"):
        InfluenceProfile.over(influence, profiled.loader(), patience=0)
    with pytest.raises(ValueError, match="the loader is empty"):
        InfluenceProfile.over(influence, [])
    with pytest.raises(ValueError, match="expected aggregate"):
        InfluenceProfile.over(influence, profiled.loader(), aggregate="median")
    with pytest.raises(ValueError, match="expected group_by"):
        InfluenceProfile.over(influence, profiled.loader(), group_by="class")
    with pytest.raises(ValueError, match="yields \\(inputs, labels\\)"):
        InfluenceProfile.over(influence, [profiled.data().tensors[0]], group_by="label")
    with pytest.raises(ValueError, match="a group for each of 8"):
        InfluenceProfile.over(influence, profiled.loader(), group_by=lambda inputs, labels: ["one"])
    columns = [(x, y[:, None]) for x, y in profiled.loader()]
    with pytest.raises(ValueError, match="as each example's group, got list"):
        InfluenceProfile.over(influence, columns, group_by="label")
    halves = [(x, y + 0.5) for x, y in profiled.loader()]
    with pytest.raises(ValueError, match=r"as each example's group, got 0\.5"):
        InfluenceProfile.over(influence, halves, group_by="label")
    flat = DistributionalInfluence(
        nn.Sequential(profiled.model(), nn.Flatten(0)),
        "0.1",
        distribution=Point(),
        quantity=lambda out: out[:1],
    )
    with pytest.raises(TypeError, match=r"scores \(examples, classes\), got \("):
        InfluenceProfile.over(flat, profiled.loader(), group_by="predicted")
    with pytest.raises(TypeError, match="got a mapping with"):
        InfluenceProfile.over(influence, [{"image": "cat.png"}])


def test_a_layer_of_several_tensors_is_refused() -> None:
    class Two(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return x, 2 * x

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.two = Two()

        def forward(self, x: Tensor) -> Tensor:
            a, b = self.two(x)
            return (a + b).flatten(1)

    influence = DistributionalInfluence(Net(), "two", distribution=Point(), quantity=ClassScore(0))
    with pytest.raises(TypeError, match="several tensors"):
        InfluenceProfile.over(influence, profiled.loader())
