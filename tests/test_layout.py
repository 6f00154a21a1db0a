"""The house stands as docs/architecture.md says; what is asked here has no list of exceptions."""

import ast
import re
import statistics
import subprocess
import sys

import layout
import pytest
from layout import FOLDERS, MODULES, PACKAGE, ROOT, Module

REFERENCE = "\n".join(page.read_text(encoding="utf-8") for page in ROOT.glob("docs/reference/*.md"))
FILES = {name: module for name, module in MODULES.items() if not module.is_init}
INITS = {name: module for name, module in MODULES.items() if module.is_init}
DRAWERS = {"utils", "helpers", "common", "misc"}
WITHOUT_MIRROR = {
    "cli.__main__": "one line, run as a process by tests/cli/test_program.py",
    "network.captum_private": "Captum's names, which test_captum_parity.py lists",
    "network.passes.seen": "two records without a method",
}


def test_the_page_names_every_folder() -> None:
    assert set(FOLDERS) == {p.parent.name for p in PACKAGE.glob("*/__init__.py")}
    assert {p.name for p in PACKAGE.iterdir() if p.is_file()} == {"__init__.py", "py.typed"}


def test_the_page_is_a_page() -> None:
    assert layout.ARCHITECTURE.read_text(encoding="utf-8").count("\n") <= 80
    assert len(FOLDERS) <= 15


def test_imports_run_downward() -> None:
    assert layout.upward() == []


def test_no_files_import_each_other() -> None:
    assert layout.cycles() == []


def test_no_public_name_hides_a_module() -> None:
    assert layout.clashes() == []


def test_no_name_of_a_file_stands_twice_in_a_folder() -> None:
    assert layout.stems() == []


def test_no_folder_is_a_hall() -> None:
    assert max(layout.shares().values()) < 0.15
    assert layout.fullest()[1] <= 20


def test_only_network_touches_a_network() -> None:
    assert layout.touching() == []


def test_only_data_writes_files_and_goes_through_loaders() -> None:
    assert layout.writing() == []
    assert layout.iterating() == []


def test_signatures_and_functions_are_short() -> None:
    many = [name for _, name, f in layout.public_functions() if layout.parameters(f) > 10]
    assert many == ["DistributionalInfluence.attribute"]  # Captum's own face
    lengths = [layout.code_lines(m, f) for m in MODULES.values() for f in m.functions]
    assert statistics.median(lengths) <= 7
    assert max(lengths) <= 40


def test_files_are_short() -> None:
    assert layout.long_modules() == []
    assert layout.long_tests() == []


def test_tests_mirror_the_folders() -> None:
    assert set(layout.alone()) == set(WITHOUT_MIRROR)


@pytest.mark.parametrize("name", FILES)
def test_imports_stand_at_the_top_and_name_the_defining_module(name: str) -> None:
    module = FILES[name]
    assert not DRAWERS & set(name.split(".")), "a drawer, not a room"
    for found in module.imports:
        assert not found.late, f"line {found.line}: an import of the package inside a function"
        assert not found.typing or layout.beside(module, found), f"line {found.line}: typing only"


def test_the_package_hands_every_name_on_and_loads_none() -> None:
    top = INITS[""]
    handed = [n for n in ast.walk(top.tree) if isinstance(n, ast.ImportFrom) and n.level == 0]
    names = {alias.name for n in handed if n.module != "importlib" for alias in n.names}
    assert names - {"TYPE_CHECKING", "Any"} == set(_public(top))
    assert all(found.typing for found in top.imports)
    loaded = "import sys, captum_influence; print({'torch', 'captum'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "set()", done.stderr


@pytest.mark.parametrize("name", INITS)
def test_init_only_hands_names_on(name: str) -> None:
    docstring, *body = INITS[name].tree.body
    assert isinstance(docstring, ast.Expr), "a package says in one sentence what it is for"
    if not name:
        return  # the package's own does it when a name is asked for
    imports = [node for node in body if isinstance(node, ast.ImportFrom)]
    rest = [node for node in body if node not in imports]
    kept = {ast.unparse(n.targets[0]) for n in rest if isinstance(n, ast.Assign)}
    assert len(kept) == len(rest), "no code in an __init__"
    assert kept <= {"__all__", "__version__"}
    for found in INITS[name].imports:
        assert found.place.startswith(name), f"{name} hands on only what is its own"


@pytest.mark.parametrize("name", INITS)
def test_public_name_is_in_the_reference(name: str) -> None:
    for public in _public(INITS[name]):
        path = rf"captum_influence(\.\w+)*\.{public}$"
        documented = re.search(rf"auto\w+:: {path}", REFERENCE, re.MULTILINE)
        assert documented, f"{public} has no entry in docs/reference"


def _public(init: Module) -> list[str]:
    return [name for name in init.public if name != "__version__"]
