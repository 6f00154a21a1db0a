"""How the house is built, derived from its own files: ``python tests/layout.py`` prints it.

Nothing here is a list of exceptions: what ``test_layout.py`` asks for, it asks for of every file.
What a folder alone may do is asked of all that stand below it in the reading order; those above
can't import it, and know no network or file of a user's.
"""

from __future__ import annotations

import ast
import re
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "captum_influence"
ARCHITECTURE = ROOT / "docs" / "architecture.md"
ROW = re.compile(r"^\| `(\w+)/` +\|", re.MULTILINE)
FOLDERS = tuple(ROW.findall(ARCHITECTURE.read_text(encoding="utf-8")))  # in reading order

Function = ast.FunctionDef | ast.AsyncFunctionDef

LONG = 400  # lines
# What is done to a network, and to files: by the names of the methods that do it.
TOUCHING = re.compile(
    r"register_(module_)?(forward|full_backward|backward|state_dict|load_state_dict)\w*"
    r"|no_grad|enable_grad|inference_mode|set_grad_enabled"
)
WRITING = re.compile(r"write_text|write_bytes|mkdir|makedirs|unlink|rmdir|rmtree|touch|save_file")
LOADERS = re.compile(r"(\w+\.)*_?(data)?_?loaders?")


@dataclass(frozen=True)
class Module:
    """A file of the package, by its dotted name below the package."""

    name: str
    path: Path

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @property
    def is_init(self) -> bool:
        return self.path.stem == "__init__"

    @property
    def folder(self) -> str:
        return self.name.partition(".")[0]

    @property
    def package(self) -> str:
        """The dotted name of the package that it lies in."""
        return self.name if self.is_init else self.name.rpartition(".")[0]

    @property
    def lines(self) -> int:
        return self.text.count("\n")

    @cached_property
    def functions(self) -> list[Function]:
        return [node for node in ast.walk(self.tree) if isinstance(node, Function)]

    @cached_property
    def public(self) -> list[str]:
        """What ``__all__`` names."""
        assigned = [n for n in self.tree.body if ast.unparse(n).startswith("__all__ =")]
        return list(ast.literal_eval(assigned[0].value)) if assigned else []

    @cached_property
    def imports(self) -> list[Import]:
        return list(self._imports())

    def _imports(self) -> Iterator[Import]:
        typing = {id(n) for block in self._typing() for n in ast.walk(block)}
        inside = {id(n) for function in self.functions for n in ast.walk(function)}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                whole = [f"{node.module}.{alias.name}" for alias in node.names]
                names = [n if _below(n) in MODULES else str(node.module) for n in whole]
                if node.level:
                    raise ValueError(f"{self.name}, line {node.lineno}: import by the full name")
            else:
                continue
            for name in dict.fromkeys(names):
                if name.split(".")[0] == "captum_influence":
                    late = id(node) in inside
                    yield Import(_below(name), node.lineno, id(node) in typing, late)

    def _typing(self) -> Iterator[ast.If]:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
                yield node


@dataclass(frozen=True)
class Import:
    """A place of the package that a file imports; ``late``: inside a function."""

    place: str
    line: int
    typing: bool
    late: bool


def _below(name: str) -> str:
    return name.partition(".")[2]


def _modules() -> dict[str, Module]:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        place = path.parent if path.stem == "__init__" else path.with_suffix("")
        name = ".".join(place.relative_to(PACKAGE).parts)
        found[name] = Module(name, path)
    return found


MODULES = _modules()


def upward() -> list[str]:
    """Imports of a folder that stands further down in the reading order; type checkers' too."""
    order = {folder: place for place, folder in enumerate(FOLDERS)}
    return [
        f"{module.path.relative_to(ROOT)}:{found.line}: {found.place}"
        for module in MODULES.values()
        for found in module.imports
        if module.folder in order
        and order.get(found.place.partition(".")[0], -1) > order[module.folder]
    ]


def beside(module: Module, found: Import) -> bool:
    """The one import that only type checkers follow: a page's, of the result that it shows."""
    name = f"{module.package}.result"
    return found.typing and module.path.stem == "page" and found.place == name


def cycles() -> list[list[str]]:
    """Files that import each other in a circle; packages count as their ``__init__``."""
    follows = {
        name: {f.place for f in module.imports if not beside(module, f) and f.place in MODULES}
        for name, module in MODULES.items()
    }
    return [group for group in _components(follows) if len(group) > 1]


def _components(follows: dict[str, set[str]]) -> list[list[str]]:
    """Strongly connected components (Tarjan, 1972)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for other in follows[name]:
            if other not in index:
                visit(other)
            if other in stack:
                low[name] = min(low[name], low[other])
        if low[name] == index[name]:
            place = stack.index(name)
            found.append(stack[place:])
            del stack[place:]

    for name in follows:
        if name not in index:
            visit(name)
    return found


def code_lines(module: Module, function: Function) -> int:
    """Lines of a function, signature included, that hold code: no docstring, comment, blank."""
    lines = module.text.split("\n")
    first = function.body[0]
    doc: set[int] = set()
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
        doc = set(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    span = range(function.lineno, (function.end_lineno or function.lineno) + 1)
    held = (lines[n - 1].strip() for n in span if n not in doc)
    return sum(bool(line) and not line.startswith("#") for line in held)


def parameters(function: Function) -> int:
    given = function.args
    named = [a.arg for a in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    return len([name for name in named if name not in ("self", "cls")])


def public_functions() -> Iterator[tuple[Module, str, Function]]:
    """Functions that a user calls: public ones, and public methods of public classes."""
    for module in MODULES.values():
        for node in module.tree.body:
            if isinstance(node, Function) and node.name in module.public:
                yield module, node.name, node
            if isinstance(node, ast.ClassDef) and node.name in module.public:
                for method in node.body:
                    if isinstance(method, Function) and not method.name.startswith("_"):
                        yield module, f"{node.name}.{method.name}", method


def clashes() -> list[str]:
    """Public names that are also the name of a module or package beside or below them."""
    found = []
    for module in MODULES.values():
        inside = {n.rpartition(".")[2] for n in MODULES if n.rpartition(".")[0] == module.package}
        found += [f"{module.name or 'captum_influence'}: {n}" for n in module.public if n in inside]
    return found


def stems() -> list[str]:
    """Names of files that stand twice within one top folder."""
    found = []
    for folder in FOLDERS:
        names = [m.path.stem for m in MODULES.values() if m.folder == folder and not m.is_init]
        twice = {n for n in names if names.count(n) > 1} - {"find", "result", "page"}
        found += [f"{folder}: {name}" for name in sorted(twice)]
    return found


def below(folder: str) -> Iterator[Module]:
    """The modules of the folders that stand further down in the reading order."""
    rest = FOLDERS[FOLDERS.index(folder) + 1 :]
    yield from (module for module in MODULES.values() if module.folder in rest)


def touching() -> list[str]:
    """Places below ``network/`` that hook, switch autograd, or call or replace a ``forward``."""
    return [
        f"{module.name}:{node.lineno}: {node.attr}"
        for module in below("network")
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute) and _touches(module, node)
    ]


def _touches(module: Module, node: ast.Attribute) -> bool:
    if node.attr != "forward":
        return TOUCHING.fullmatch(node.attr) is not None
    called = {id(n.func) for n in ast.walk(module.tree) if isinstance(n, ast.Call)}
    return id(node) in called or isinstance(node.ctx, ast.Store)


def writing() -> list[str]:
    """Places below ``data/`` that write, move or delete a file by themselves."""
    return [
        f"{module.name}:{node.lineno}: {ast.unparse(node.func)}"
        for module in below("data")
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call) and _writes(node)
    ]


def _writes(node: ast.Call) -> bool:
    called = ast.unparse(node.func)
    if called == "open" or called.endswith(".open"):
        modes = [a.value for a in (*node.args, *(k.value for k in node.keywords)) if _text(a)]
        return any(set(str(mode)) & set("wax+") for mode in modes if len(str(mode)) <= 3)
    method = isinstance(node.func, ast.Attribute) and WRITING.fullmatch(node.func.attr)
    return bool(method) or called in ("torch.save", "numpy.save", "np.save", "json.dump")


def _text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def iterating() -> list[str]:
    """Places below ``data/`` that go through a loader by themselves."""
    return [
        f"{module.name}:{node.iter.lineno}: {ast.unparse(node.iter)}"
        for module in below("data")
        for node in ast.walk(module.tree)
        if isinstance(node, ast.For | ast.comprehension)
        and LOADERS.fullmatch(ast.unparse(node.iter))
    ]


def mirror(module: Module) -> Path:
    """Where the tests of a module are."""
    inside = module.path.relative_to(PACKAGE)
    return ROOT / "tests" / inside.with_name(f"test_{inside.name}")


def alone() -> list[str]:
    """Modules without a file of tests of their name."""
    return [m.name for m in MODULES.values() if not m.is_init and not mirror(m).is_file()]


def shares() -> dict[str, float]:
    """Each folder's part of the package's lines."""
    whole = sum(module.lines for module in MODULES.values())
    by = {f: sum(m.lines for m in MODULES.values() if m.folder == f) for f in FOLDERS}
    return {folder: lines / whole for folder, lines in by.items()}


def fullest() -> tuple[str, int]:
    """The package with the most modules at its own level."""
    levels = [m.package for m in MODULES.values() if not m.is_init]
    most = max(set(levels), key=levels.count)
    return most, levels.count(most)


def long_modules() -> list[str]:
    return [m.name for m in MODULES.values() if m.lines >= LONG]


def long_tests() -> list[str]:
    tests = (ROOT / "tests").rglob("*.py")
    return [p.name for p in tests if p.read_text("utf-8").count("\n") >= LONG]


def main() -> None:
    modules = MODULES.values()
    lengths = sorted(code_lines(m, f) for m in modules for f in m.functions)
    many = [(parameters(f), name) for _, name, f in public_functions()]
    share = max((s, f) for f, s in shares().items())
    strays = [p.name for p in PACKAGE.iterdir() if p.is_file() and p.stem != "__init__"]
    long = long_modules()
    tests = long_tests()
    deferred = [m.name for m in modules for i in m.imports if i.late]
    print(f"files, lines: {len(MODULES)}, {sum(m.lines for m in modules)}")
    print(f"folders: {len(FOLDERS)}; beside them: {', '.join(strays)}")
    print(f"lines of docs/architecture.md: {ARCHITECTURE.read_text('utf-8').count(chr(10))}")
    print(f"cycles of files: {len(cycles())}; upward imports: {len(upward())}; late: {deferred}")
    print(f"largest folder: {share[1]}/, {share[0]:.1%} of the lines")
    print("fullest level: {}, {} modules".format(*fullest()))
    print(f"public names like a module beside them: {clashes()}")
    print(f"stems that repeat: {stems()}")
    print(f"public signatures over 10 parameters: {sorted(p for p in many if p[0] > 10)}")
    print(f"code lines per function: median {statistics.median(lengths)}, most {lengths[-1]}")
    print(f"functions over 40 code lines: {sum(n > 40 for n in lengths)}")
    print(f"modules, tests of {LONG} lines or more: {long}, {tests}")
    print(f"modules without a mirror: {len(alone())} of {len(MODULES)}: {alone()}")
    print(f"below network/ that touch a network: {touching()}")
    print(f"below data/ that write files: {writing()}; that go through a loader: {iterating()}")


if __name__ == "__main__":
    main()
