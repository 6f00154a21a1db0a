"""A Sphinx extension: every subcommand's options as tables, made from the parser of the shell."""

from __future__ import annotations

from argparse import SUPPRESS, Action, ArgumentParser
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from docutils import nodes
from docutils.parsers.rst import Directive

from captum_influence.cli.program import _program


class Options(NamedTuple):
    """A group of options: each as it is typed, and what it means."""

    title: str
    about: str | None
    rows: Sequence[tuple[str, str]]


def subcommands() -> dict[str, tuple[str, list[Options]]]:
    """Return what each subcommand is for, and its options in the groups of its help."""
    parser = _program()
    found: dict[str, tuple[str, list[Options]]] = {}
    for action in parser._actions:
        if isinstance(action.choices, dict):
            for one in action._get_subactions():
                found[one.dest] = str(one.help), list(_groups(action.choices[one.dest]))
    return found


def _groups(parser: ArgumentParser) -> Iterator[Options]:
    formatter = parser._get_formatter()
    for group in parser._action_groups:
        shown = [a for a in group._group_actions if a.help is not SUPPRESS and a.dest != "help"]
        rows = [(_typed(one), formatter._expand_help(one)) for one in shown]
        if rows:
            yield Options(str(group.title), group.description, rows)


def _typed(one: Action) -> str:
    """Return an option as it is typed; where a word is chosen, with room to break between them."""
    value = one.metavar or " | ".join(str(word) for word in one.choices or ())
    return " ".join([*one.option_strings, str(value)]).strip()


class OptionTables(Directive):
    """``{option-tables}``: a section for each subcommand."""

    def run(self) -> list[nodes.Node]:
        """Return the sections."""
        return [_section(name, *about) for name, about in subcommands().items()]


def _section(name: str, purpose: str, groups: Sequence[Options]) -> nodes.section:
    section = nodes.section(ids=[f"options-of-{name}"], names=[f"options of {name}"])
    section += nodes.title("", "", nodes.literal("", name))
    section += nodes.paragraph("", f"{purpose[0].upper()}{purpose[1:]}.")
    for group in groups:
        about = f": {group.about}" if group.about else ""
        section += nodes.paragraph(
            "", "", nodes.strong("", group.title.capitalize()), nodes.Text(about)
        )
        section += _table(group.rows)
    return section


def _table(rows: Sequence[tuple[str, str]]) -> nodes.table:
    group = nodes.tgroup("", *(nodes.colspec(colwidth=width) for width in (35, 65)), cols=2)
    group += nodes.thead("", _row(nodes.Text("option"), nodes.Text("means")))
    group += nodes.tbody("", *(_row(nodes.literal("", f), nodes.Text(means)) for f, means in rows))
    return nodes.table("", group)


def _row(*cells: nodes.Node) -> nodes.row:
    # Two dashes are two dashes, and quotes are as they are typed.
    whole = (nodes.paragraph("", "", cell, support_smartquotes=False) for cell in cells)
    return nodes.row("", *(nodes.entry("", one) for one in whole))


def setup(app: Any) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("option-tables", OptionTables)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
