"""What a profile says equals the statistics of influences computed one by one."""

from pathlib import Path

import damage
import profiled
import pytest
import torch

from captum_influence import (
    ClassScore,
    DistributionalInfluence,
    InfluenceProfile,
    Point,
    PredictedClass,
)
from captum_influence.visualization.numbers import number

pytest.importorskip("safetensors")


def test_statistics_of_groups_layers_and_quantities() -> None:
    model, (images, labels) = profiled.model(), profiled.data().tensors
    quantities = [ClassScore(0), PredictedClass() - ClassScore(1)]
    influence = DistributionalInfluence(
        model, ["1", model[3]], distribution=Point(), quantity=quantities
    )
    profile = InfluenceProfile.over(influence, profiled.loader(), group_by="label")
    assert profile.layers == ("1", "3")
    assert profile.groups == (0, 1, 2)
    for place, found in enumerate(influence.attribute(images)):
        units = found.sum(dim=(3, 4))  # (quantities, examples, channels)
        for group in profile.groups:
            mine = units[:, labels == group]
            assert profile.count(group) == int((labels == group).sum())
            for k in range(2):
                where = {"layer": place, "quantity": k}
                mean, variance = mine[k].mean(dim=0), mine[k].var(dim=0)
                error = (variance / len(mine[k])).sqrt()
                assert torch.allclose(profile.mean(group, **where), mean, atol=1e-13)
                assert torch.allclose(profile.variance(group, **where), variance, atol=1e-13)
                assert torch.allclose(profile.standard_error(group, **where), error, atol=1e-13)


def test_top_and_difference() -> None:
    influence = DistributionalInfluence(
        profiled.model(), "1", distribution=Point(), quantity=ClassScore(1)
    )
    profile = InfluenceProfile.over(influence, profiled.loader(), group_by="label")
    top = profile.top(2, 1)
    assert [u.index for u in top] == profile.mean(1).argsort(descending=True)[:2].tolist()
    assert profile.top(1, 1, lowest=True)[0].index == int(profile.mean(1).argmin())
    difference = profile.difference(0, 2)
    assert torch.equal(difference.mean, profile.mean(0) - profile.mean(2))
    expected = (profile.standard_error(0) ** 2 + profile.standard_error(2) ** 2).sqrt()
    assert torch.equal(difference.standard_error, expected)


@pytest.mark.parametrize(
    ("path", "files"),
    [
        ("profile.safetensors", {"profile.safetensors", "profile.json"}),
        ("photos.profile", {"photos.profile", "photos.profile.json"}),
        ("kept", {"kept/profile.safetensors", "kept/profile.json"}),
        ("run-0.5", {"run-0.5/profile.safetensors", "run-0.5/profile.json"}),
    ],
)
def test_a_saved_profile_loads_again(tmp_path: Path, path: str, files: set[str]) -> None:
    influence = DistributionalInfluence(profiled.model(), ["1", "3"], distribution=Point())
    profile = InfluenceProfile.over(influence, profiled.loader(), group_by="label")
    written = profile.save(tmp_path / path)
    assert {str(file.relative_to(tmp_path)) for file in written} == files
    loaded = InfluenceProfile.load(tmp_path / path)
    assert profiled.same(profile, loaded)
    assert (loaded.layers, loaded.settings) == (profile.layers, profile.settings)
    assert loaded.to_dict() == profile.to_dict()


def test_no_damaged_profile_loads_with_other_numbers(tmp_path: Path) -> None:
    influence = DistributionalInfluence(profiled.model(), ["1", "3"], distribution=Point())
    profile = InfluenceProfile.over(influence, profiled.loader(), group_by="label")
    path = tmp_path / "profile.safetensors"
    profile.save(path)
    content, refused = path.read_bytes(), 0
    for way in range(damage.COUNT):
        path.write_bytes(damage.damaged(content, way))
        try:
            loaded = InfluenceProfile.load(path)
        except ValueError as error:
            assert "expected" in str(error)  # noqa: PT017  # which of many it is doesn't matter
            refused += 1
            continue
        assert profiled.same(profile, loaded)
        assert (loaded.layers, loaded.facts) == (profile.layers, profile.facts)
    assert refused > 0.75 * damage.COUNT


def _named() -> InfluenceProfile:
    quantities = [ClassScore(0), PredictedClass()]
    influence = DistributionalInfluence(
        profiled.model(),
        ["1", "3"],
        distribution=Point(),
        quantity=quantities,
        multiply_by_inputs=True,
    )
    return InfluenceProfile.over(influence, profiled.loader(), group_by="label", aggregate="max")


def test_the_headline_names_the_unit_of_the_largest_mean() -> None:
    profile = _named()
    cells = {
        (group, layer, quantity): profile.mean(group, layer=layer, quantity=quantity)
        for group in profile.groups
        for layer in profile.layers
        for quantity in (0, 1)
    }
    group, layer, quantity = max(cells, key=lambda cell: float(cells[cell].max()))
    unit = int(cells[group, layer, quantity].argmax())
    words = ("score(class 0)", "score(predicted class)")[quantity]
    assert profile.headline.startswith(
        f"Over 30 examples in 3 groups, unit {unit} of layer {layer} has the largest mean "
        f"contribution to {words} in group {group}: "
    )
    where = {"layer": layer, "quantity": quantity}
    mean = number(float(profile.mean(group, **where).max()))
    error = number(float(profile.standard_error(group, **where)[unit]))
    assert profile.headline.endswith(f": {mean} ± {error}.")


def test_the_table_has_every_group_layer_quantity_and_unit() -> None:
    pytest.importorskip("pandas")
    profile = _named()
    table = profile.to_frame()
    assert list(table.columns) == [
        "group", "layer", "quantity", "unit", "mean", "standard_error", "count",
    ]  # fmt: skip
    assert len(table) == 3 * (4 + 5) * 2
    chosen = table[(table.group == 2) & (table.layer == "3") & (table.quantity == 1)]
    where = {"layer": "3", "quantity": 1}
    assert chosen["mean"].tolist() == profile.mean(2, **where).tolist()
    assert chosen.standard_error.tolist() == profile.standard_error(2, **where).tolist()
    assert set(chosen["count"]) == {profile.count(2)}


def test_the_dict_names_both_ends_of_every_ranking() -> None:
    profile = _named()
    found = profile.to_dict()
    assert found["groups"][1] == {"group": 1, "count": profile.count(1)}
    assert len(found["units"]) == 3 * 2 * 2
    first = found["units"][0]
    assert (first["group"], first["layer"], first["quantity"]) == (0, "1", "score(class 0)")
    assert [unit["index"] for unit in first["lowest"]] == profile.mean(0).argsort().tolist()
    assert found["settings"]["aggregate"] == "max"
    assert found["call"] == (
        "InfluenceProfile.over(influence, loader, group_by='label', aggregate='max')"
    )


def test_what_is_not_there_is_named() -> None:
    profile = _named()
    with pytest.raises(ValueError, match="several groups"):
        profile.mean()
    with pytest.raises(ValueError, match="no group 7"):
        profile.mean(7)
    with pytest.raises(ValueError, match="no layer 'conv'"):
        profile.mean(0, layer="conv")
