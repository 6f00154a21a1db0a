"""docs/_ext/links.py finds what is broken, and README's own links aren't."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SPEC = importlib.util.spec_from_file_location("links", ROOT / "docs" / "_ext" / "links.py")
assert SPEC is not None
assert SPEC.loader is not None
links = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(links)

GOOD = [
    '<a href="other.html#there">x</a>',
    '<a href="#here">x</a><p id="here"></p>',
    '<a href="https://example.org/a?b=c#d">x</a>',
    '<img src="picture.png" alt="a picture">',
    '<img src="data:image/png;base64,AA==" alt="a picture">',
]
BROKEN = {
    '<a href="nowhere.html">x</a>': "no such file",
    '<a href="other.html#here">x</a>': "no such place",
    '<a href="#there">x</a>': "no such place",
    '<a href="https://example">x</a>': "not an address",
    '<a href="file:///etc/hosts">x</a>': "not an address",
    '<img src="picture.png">': "without a description",
}


def _site(folder: Path, content: str) -> list[str]:
    (folder / "page.html").write_text(content)
    (folder / "other.html").write_text('<p id="there"></p>')
    (folder / "picture.png").touch()
    return [str(folder)]


@pytest.mark.parametrize("content", GOOD)
def test_what_leads_somewhere_passes(content: str, tmp_path: Path) -> None:
    assert links.main(_site(tmp_path, content)) == 0


@pytest.mark.parametrize(("content", "problem"), BROKEN.items())
def test_what_leads_nowhere_is_named(
    content: str, problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert links.main(_site(tmp_path, content)) == 1
    assert problem in capsys.readouterr().out


def test_markdown_files_are_followed_too(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# A heading, long\n[x](#a-heading-long) [y](b.md)")
    assert links.main([str(tmp_path), str(tmp_path / "a.md")]) == 1  # b.md is missing
    (tmp_path / "b.md").touch()
    assert links.main([str(tmp_path), str(tmp_path / "a.md")]) == 0


@pytest.mark.parametrize("name", ["README.md", "CHANGELOG.md", "CONTRIBUTING.md"])
def test_the_projects_own_files(name: str, tmp_path: Path) -> None:
    assert links.main([str(tmp_path), str(ROOT / name)]) == 0
