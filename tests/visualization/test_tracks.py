"""Routes are lines from the bottom to the top."""

from captum_influence.visualization.style import BLUE, ORANGE
from captum_influence.visualization.tracks import Track, labels_of, tracks_figure

TRACKS = [
    Track(places=[0, 1, 2], labels=["", "h0", "h1"], value=2.0),
    Track(places=[1, 1, 2], labels=["", "", "h1"], value=-1.0),
]


def test_each_is_a_line_as_wide_as_what_it_carries() -> None:
    (axes,) = tracks_figure(["a", "b", "c"], ["embedding", "0", "1"], TRACKS).axes
    thin, wide = axes.lines
    assert (thin.get_color(), wide.get_color()) == (BLUE, ORANGE)
    assert thin.get_linewidth() < wide.get_linewidth()
    assert list(wide.get_xdata()) == [0, 1, 2]


def test_what_is_written_at_a_place_is_written_once() -> None:
    assert labels_of(TRACKS) == {(1, 1): "h0", (2, 2): "h1"}
