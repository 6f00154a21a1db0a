"""The house keeps its floors: what docs/architecture.md says of imports holds in the code."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "captum_influence"
ROW = re.compile(r"^\| ([\d.]+) +\| `([\w/]+)\.py` +\|", re.MULTILINE)
ROWS = ROW.findall((ROOT / "docs" / "architecture.md").read_text(encoding="utf-8"))
FLOORS = {name.replace("/", "."): tuple(map(int, f.split("."))) for f, name in ROWS}
REFERENCE = "\n".join(page.read_text(encoding="utf-8") for page in ROOT.glob("docs/reference/*.md"))
APART = {"explain", "training", "metrics"}  # these three don't see each other
DEFERRED = {  # upward, but inside a function: the target needs the [report] extra
    ("explain.finding", "report"),
    ("explain.comparison", "reports.comparison"),
    ("training.bias", "training.bias_page"),
}


def _sources(*, inits: bool) -> dict[str, ast.Module]:
    paths = [p for p in sorted(PACKAGE.rglob("*.py")) if (p.stem == "__init__") == inits]
    places = [path.parent if inits else path.with_suffix("") for path in paths]
    names = [".".join(place.relative_to(PACKAGE).parts) for place in places]
    return {n: ast.parse(p.read_text(encoding="utf-8")) for n, p in zip(names, paths, strict=True)}


MODULES, INITS = _sources(inits=False), _sources(inits=True)


def _imports(tree: ast.Module) -> Iterator[tuple[str, ast.stmt]]:
    """Yields each place of the package that is imported: "attr", "attr.slices", "" for its root."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            whole = [f"{node.module}.{alias.name}" for alias in node.names]
            found = [n if n.partition(".")[2] in MODULES | INITS else node.module for n in whole]
            assert node.level == 0, f"line {node.lineno}: import by the full name, not by dots"
        else:
            continue
        for name in found:
            if name.split(".")[0] == "captum_influence":
                yield name.partition(".")[2], node


def _floor(place: str) -> tuple[int, ...]:
    """The floor of a module; of a package, that of its highest module."""
    inside = [f for name, f in FLOORS.items() if f"{name}.".startswith(f"{place or '__init__'}.")]
    return max(inside, default=(99,))


def _all(tree: ast.Module) -> list[str]:
    assigned = [n for n in tree.body if ast.unparse(n).startswith("__all__ =")]
    return list(ast.literal_eval(assigned[0].value)) if assigned else []


def test_table_names_each_module_once() -> None:
    assert len(FLOORS) == len(ROWS) > 0


@pytest.mark.parametrize("name", MODULES)
def test_module_stands_on_a_floor_and_imports_downward(name: str) -> None:
    assert name in FLOORS, "no row in the table of docs/architecture.md"
    assert not set(name.split(".")) & {"utils", "helpers", "common", "misc"}, "a drawer, not a room"
    functions = (f for f in ast.walk(MODULES[name]) if isinstance(f, ast.FunctionDef))
    inside = {id(node) for function in functions for node in ast.walk(function)}
    for place, node in _imports(MODULES[name]):
        if (name, place) in DEFERRED and id(node) in inside:
            continue
        assert _floor(place) < _floor(name), f"line {node.lineno}: {place} isn't below"


@pytest.mark.parametrize("name", MODULES)
def test_folders_see_each_other_by_public_names_only(name: str) -> None:
    home = name.rpartition(".")[0]
    for place, node in _imports(MODULES[name]):
        folder, _, module = place.partition(".")
        assert not (home != folder and {home, folder} <= APART), f"{home} can't see {folder}"
        if folder == "attr" and home != "attr":
            assert not module, f"{name} reaches into {place}: use captum_influence.attr"
            names = {alias.name for alias in node.names}
            direct = getattr(node, "module", None) == "captum_influence.attr"
            assert not direct or names <= set(_all(INITS["attr"])), "not a public name"


@pytest.mark.parametrize("name", INITS)
def test_init_only_hands_names_on(name: str) -> None:
    docstring, *body = INITS[name].body
    assert isinstance(docstring, ast.Expr), "a package says in one sentence what it is for"
    imports = [node for node in body if isinstance(node, ast.ImportFrom)]
    rest = [node for node in body if node not in imports]
    kept = {ast.unparse(n.targets[0]) for n in rest if isinstance(n, ast.Assign)}
    assert len(kept) == len(rest), "no code in an __init__"
    assert kept <= {"__all__", "__version__"}
    for place, _ in _imports(INITS[name]):
        assert place.startswith(name), f"{name or 'the root'} hands on only what is its own"


@pytest.mark.parametrize("name", [*INITS, "report", "visualization"])
def test_public_name_is_in_the_reference(name: str) -> None:
    for public in _all({**MODULES, **INITS}.get(name, ast.parse(""))):
        path = rf"captum_influence(\.\w+)*\.{public}$"
        documented = re.search(rf"auto\w+:: {path}", REFERENCE, re.MULTILINE)
        assert documented or public == "__version__", f"{public} has no entry in docs/reference"
