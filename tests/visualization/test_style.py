"""A figure shows in a notebook that has never used pyplot, and stays a figure otherwise."""

import copy
import pickle
from io import BytesIO

import numpy as np
import pytest

from captum_influence import explain
from captum_influence.demo import demo_scene, load_demo_network
from captum_influence.training import gallery
from captum_influence.visualization.style import LIGHT, Sheet, empty_figure

Image = pytest.importorskip("PIL.Image")


def _shown(figure: Sheet) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(figure._repr_png_())).convert("L"))


def _drawn() -> Sheet:
    figure = empty_figure(2, 1, LIGHT)
    figure.add_subplot().plot([0, 1], color="black")
    return figure


def test_shows_what_was_drawn_in_its_size() -> None:
    shown = _shown(_drawn())
    assert shown.shape == (100, 200)  # Matplotlib's 100 dots per inch
    assert shown.min() < 50


@pytest.mark.parametrize("twin", [copy.deepcopy, lambda f: pickle.loads(pickle.dumps(f))])
def test_copies_show_the_same(twin) -> None:
    figure = _drawn()
    assert (_shown(twin(figure)) == _shown(figure)).all()


def test_all_figures_of_the_package_are_such() -> None:
    scene = demo_scene()
    explained = explain(load_demo_network(), scene.image, "relu5", top=1).plot()
    assert isinstance(explained, Sheet)
    pictures, masks = scene.image.expand(2, -1, -1, -1), scene.masks["object"].expand(2, -1, -1)
    assert isinstance(gallery(pictures, masks.float()), Sheet)


def test_notebooks_take_it() -> None:
    formatters = pytest.importorskip("IPython.core.formatters")
    shown, _ = formatters.DisplayFormatter().format(_drawn())
    assert shown["image/png"]
