"""Options as dataclasses: each field of a group is one option of the shell, declared once."""

from __future__ import annotations

import argparse
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

from typing_extensions import Self

__all__ = ["Command", "Group", "count", "counts", "names", "number", "option", "whole_numbers"]


_DIGITS = 9  # of a count: no machine has room for a thousand million of anything


def option(*flags: str, default: Any = None, **how: Any) -> Any:
    """Declare a field of a :class:`Group` as an option; ``how`` is as argparse takes it."""
    return field(default=default, metadata={"flags": flags, "how": how})


@dataclass(frozen=True, kw_only=True)
class Group:
    """Options that belong together. A subclass is a frozen dataclass of :func:`option` fields."""

    title: ClassVar[str]
    about: ClassVar[str | None] = None

    @classmethod
    def add_to(cls, parser: ArgumentParser) -> None:
        """Add the options to a parser, under the group's title."""
        add = parser.add_argument_group(cls.title, cls.about).add_argument
        for f in fields(cls):
            if "flags" in f.metadata:
                add(*f.metadata["flags"], dest=f.name, default=f.default, **f.metadata["how"])

    @classmethod
    def of(cls, args: Namespace) -> Self:
        """Return what a parser found."""
        return cls(**{f.name: getattr(args, f.name) for f in fields(cls) if hasattr(args, f.name)})

    def given(self, *names: str) -> list[str]:
        """Return those of some fields, or of all, that aren't at their defaults, as flags."""
        chosen = [f for f in fields(self) if f.metadata and (not names or f.name in names)]
        return [f.metadata["flags"][0] for f in chosen if getattr(self, f.name) != f.default]


@dataclass(frozen=True, kw_only=True)
class Command:
    """A subcommand, as far as it is known without loading what does it.

    Attributes:
        purpose: what it does, in a few words, for the list of all.
        description: the same at length, above the options of its help.
        examples: below them.
        groups: what it takes; the ``run`` of its module gets one of each, in this order.
    """

    purpose: str
    description: str
    examples: str
    groups: Sequence[type[Group]]

    def add_to(self, parser: ArgumentParser) -> None:
        """Add the groups to a parser."""
        parser.description, parser.epilog = self.description, self.examples
        for group in self.groups:
            group.add_to(parser)

    def parsed(self, parser: ArgumentParser, words: Sequence[str]) -> list[Group]:
        """Add the groups to a parser and return what the words say."""
        self.add_to(parser)
        return self.of(parser, words)

    def of(self, parser: ArgumentParser, words: Sequence[str]) -> list[Group]:
        """Return what the words say to a parser that has the groups."""
        args = parser.parse_args(list(words))
        return [group.of(args) for group in self.groups]


def count(text: str) -> int:
    """Return a positive whole number."""
    if not text.isdecimal() or len(text) > _DIGITS or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a positive whole number, got {text[:40]!r}")
    return int(text)


def counts(text: str) -> int:
    """Return a whole number, zero included."""
    return 0 if text == "0" else count(text)


def whole_numbers(text: str) -> tuple[int, ...]:
    """Return positive whole numbers, separated by commas."""
    return tuple(count(part.strip()) for part in text.split(","))


def number(*, least: float | None = None) -> Callable[[str], float]:
    """Return what reads a finite number, at least so large."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not abs(value) < float("inf") or (least is not None and value < least):
            bound = "a number" if least is None else f"a number of at least {least:g}"
            raise argparse.ArgumentTypeError(f"expected {bound}, got {text!r}")
        return value

    return read


def names(*known: str) -> Callable[[str], tuple[str, ...]]:
    """Return what reads names, separated by commas, out of the known ones; out of any if none."""

    def read(text: str) -> tuple[str, ...]:
        found = tuple(name.strip() for name in text.split(","))
        if known and (unknown := [name for name in found if name not in known]):
            raise argparse.ArgumentTypeError(
                f"expected some of {', '.join(known)}, got {unknown[0]!r}"
            )
        return found

    return read
