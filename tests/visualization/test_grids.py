"""Maps of many methods side by side, on scales that are said."""

import pytest
import torch

from captum_influence.visualization.grids import limits_of, map_grid, map_rows, plane_of
from captum_influence.visualization.style import DARK

MAPS = {
    "small": torch.tensor([[0.0, 0.5], [-0.25, 0.0]]),
    "large": torch.tensor([[8.0, 0.0], [0.0, -4.0]]),
}
PICTURE = torch.rand(3, 2, 2, generator=torch.Generator().manual_seed(0))


def test_each_map_ends_where_it_is_largest_or_all_where_one_is() -> None:
    assert limits_of(MAPS) == {"small": 0.5, "large": 8.0}
    assert limits_of(MAPS, "shared") == {"small": 8.0, "large": 8.0}
    assert limits_of({}, "shared") == {}
    with pytest.raises(ValueError, match="got 'both'"):
        limits_of(MAPS, "both")


def test_the_grid_draws_every_map_with_its_end() -> None:
    figure = map_grid(MAPS, PICTURE)
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["the picture\n", "small\n±0.500", "large\n±8.00"]
    for axes, values in zip(figure.axes[1:], MAPS.values(), strict=True):
        (image,) = axes.images
        assert torch.equal(torch.from_numpy(image.get_array().filled()), values)
        low, high = image.get_clim()
        assert low == -high


@pytest.mark.parametrize(("scale", "words"), [("each", "its own scale"), ("shared", "One scale")])
def test_it_says_which_scale_it_has(scale, words: str) -> None:
    assert words in map_grid(MAPS, scale=scale).get_suptitle()


@pytest.mark.parametrize("count", [0, 1, 5, 6, 11])
def test_five_go_into_a_row(count: int) -> None:
    figure = map_grid({f"map {i}": MAPS["small"] for i in range(count)}, theme=DARK)
    assert len(figure.axes) == count
    columns = {axes.get_subplotspec().colspan.start for axes in figure.axes}
    assert len(columns) == min(count, 5)


def test_a_line_of_features_is_drawn_taller_than_it_is() -> None:
    figure = map_grid({"row": torch.rand(1, 40)})
    assert figure.axes[0].get_aspect() == "auto"
    assert map_grid(MAPS).axes[0].get_aspect() == 1.0


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((5,), (1, 5)), ((7, 5), (7, 5)), ((3, 4, 6), (4, 6)), ((3, 2, 4, 6), (8, 6)), ((), (1, 1))],
)
def test_units_of_any_layer_become_a_plane(shape, expected) -> None:
    values = torch.rand(shape)
    found = plane_of(values)
    assert found.shape == expected
    torch.testing.assert_close(found.sum(), values.sum())


def test_channels_are_added_up() -> None:
    values = torch.tensor([[[1.0, -2.0]], [[3.0, 2.0]]])
    assert plane_of(values).tolist() == [[4.0, 0.0]]


@pytest.mark.parametrize("scale", ["each", "shared"])
def test_rows_are_drawn_up_to_their_ends(scale) -> None:
    rows = {"small": torch.tensor([0.0, 0.5]), "large": torch.tensor([8.0, -4.0])}
    figure = map_rows(rows, ["a", "b"], scale)
    (image,) = figure.axes[0].images
    ends = torch.tensor([[0.5], [8.0]] if scale == "each" else [[8.0], [8.0]])
    wanted = torch.stack(list(rows.values())) / ends
    torch.testing.assert_close(torch.from_numpy(image.get_array().filled()), wanted.double())
    assert map_rows({}, ["a"]).axes
