"""The page that findings about training examples share."""

from pathlib import Path

import influenced
import pytest
from paged import SCRIPT, Page

from captum_influence import LayerInfluence

pytest.importorskip("jinja2", reason="pages need the extra [report]")


def test_the_page_says_shows_and_tabulates(tmp_path: Path) -> None:
    model, data, queries = influenced.problem()
    scores = LayerInfluence(model, data, loss_fn=influenced.LOSSES[1]).scores(queries)
    figures = tmp_path / "figures"
    page = scores.to_html(tmp_path / "a.html", command="x &lt;", figures=figures).read_text("utf-8")
    assert scores.headline in page
    assert "x &amp;lt;" in page
    assert scores.call in page
    assert page.count("<table>") == 2 + len(scores.layers)
    assert "data:image/png;base64," in page
    assert Page(page).scripts == [SCRIPT]
    assert "http" not in page
    assert [file.name for file in figures.iterdir()] == ["overview.png"]
