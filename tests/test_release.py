"""What a release says of itself is the same everywhere, and its links work away from here."""

import re
from pathlib import Path

import captum_influence

ROOT = Path(__file__).resolve().parents[1]


def _text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_version_is_the_same_everywhere() -> None:
    version = captum_influence.__version__
    assert f"\nversion: {version}\n" in _text("CITATION.cff")
    date = re.search(r'^date-released: "(.*)"$', _text("CITATION.cff"), re.MULTILINE)
    assert date is not None
    assert f"## [{version}] - {date[1]}\n" in _text("CHANGELOG.md")


def test_links_of_the_description_work_on_a_package_index() -> None:
    assert 'readme = "docs/_pypi.md"' in _text("pyproject.toml")
    links = re.findall(r"\]\(([^)]+)\)", _text("docs/_pypi.md"))
    assert links
    assert all(link.startswith("https://") for link in links)


def test_the_first_command_leaves_an_installed_torch_alone() -> None:
    first = re.search(r"```bash\n(.*?)```", _text("README.md"), re.DOTALL)
    assert first is not None
    assert "constraints.txt" not in first[1]
    assert '"torch>=2.6",' in _text("pyproject.toml")
