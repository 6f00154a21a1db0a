"""The program: which subcommands there are, and how it reports what went wrong."""

from __future__ import annotations

import argparse
import difflib
import importlib
import os
import shlex
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, NoReturn

from captum_influence import __version__
from captum_influence.cli.completion import SHELLS, PrintCompletion
from captum_influence.cli.config import as_json, as_words, read_config, texts
from captum_influence.cli.groups import Command, Group
from captum_influence.cli.options import OutputOptions
from captum_influence.cli.syntax.classes import ESSENCE, EXPERT, PAIR, PROTOTYPE
from captum_influence.cli.syntax.data_sets import PROFILE, TRAIN_INFLUENCE
from captum_influence.cli.syntax.pictures import COMPARE, COUNTERFACTUAL, EXPLAIN
from captum_influence.cli.syntax.texts import CIRCUIT, EXPLAIN_TEXT

__all__ = ["COMMANDS", "main", "parsed"]

PROGRAM = "captum-influence"
COMMANDS: dict[str, Command] = {
    "explain": EXPLAIN,
    "explain-text": EXPLAIN_TEXT,
    "circuit": CIRCUIT,
    "counterfactual": COUNTERFACTUAL,
    "compare": COMPARE,
    "essence": ESSENCE,
    "pair": PAIR,
    "expert": EXPERT,
    "prototype": PROTOTYPE,
    "profile": PROFILE,
    "train-influence": TRAIN_INFLUENCE,
}
_LONGEST = 2000  # characters of an error
_DESCRIPTION = (
    "Which internal units of a network caused what it said, what they look at, and which training "
    "images put them there."
)


class _Parser(ArgumentParser):
    """Reports wrong usage like every other error: in one line, without the usage above it."""

    def error(self, message: str) -> NoReturn:
        _, unknown, words = message.partition("unrecognized arguments: ")
        known = self._option_string_actions if unknown else ()
        near = difflib.get_close_matches(words.partition(" ")[0], known, 1)
        hint = f": did you mean {near[0]}?" if near else ""
        raise ValueError(f"{message}{hint}; {self.prog} --help says what there is")


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``captum-influence`` and return its exit status.

    That is 0; 2 after an error, which is told in one line; 130 after an interruption.

    Args:
        argv: the words after the program's name; None: those it was started with.
    """
    words = sys.argv[1:] if argv is None else list(argv)
    try:
        name, groups = parsed(words)
        _run(name, groups)
        print(end="", flush=True)  # to nowhere, if there is no output
    except BrokenPipeError:  # the reader, head or less, has seen enough
        _drop_output()
    except KeyboardInterrupt:
        return 130
    except SystemExit:  # of --help and --version
        raise
    # Whatever a user's own network raises is told in one line, too.
    except BaseException as error:
        if "--debug" in words:
            raise
        _drop_output()
        with suppress(OSError, AttributeError):  # full, or closed
            sys.stderr.write(f"{PROGRAM}: error: {_told(error)}\n")
        return 2
    return 0


def _run(name: str, groups: Sequence[Group]) -> None:
    try:
        _loaded(name).run(*groups)
    except SystemExit as error:
        raise RuntimeError(
            f"expected code that returns, got sys.exit({error.code!r}) from the network or what it "
            "imports: take it out"
        ) from error


def _loaded(name: str) -> Any:
    """Return the module of a subcommand, which loads torch: help needs none of it."""
    try:
        return importlib.import_module(f"captum_influence.cli.commands.{name.replace('-', '_')}")
    except Exception as error:
        raise ImportError(
            "expected captum_influence and torch to load, got "
            f"{type(error).__name__}: {error}; install them again"
        ) from error


def _told(error: BaseException) -> str:
    """Return what an error says, in one line."""
    try:
        said = " ".join(str(error).split())[:_LONGEST]
    except Exception:  # of its own __str__
        said = ""
    if isinstance(error, MemoryError) or "allocate memory" in said or "out of memory" in said:
        said += "; ask for less: a smaller --size, --batch-size or --points"
    known = isinstance(error, ValueError | TypeError | RuntimeError | ImportError | OSError)
    name = type(error).__name__
    return said if known and said else f"{name}: {said}" if said else name


def _drop_output() -> None:
    """Give up on what can't be written: Python would try again at its end, and fail."""
    try:
        print(end="", flush=True)
    except OSError:
        with suppress(OSError, ValueError):  # there may be no file behind it
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _program(*, whole: bool = True) -> ArgumentParser:
    """Return the parser of the program, with each subcommand's options if it is to be whole."""
    parser = _Parser(prog=PROGRAM, description=_DESCRIPTION, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    parser.add_argument(
        "--print-completion",
        action=PrintCompletion,
        whole=_program,
        choices=SHELLS,
        help="print the script that completes subcommands and options in a shell, and exit",
    )
    parsers = parser.add_subparsers(title="commands", metavar="COMMAND")
    for name, command in COMMANDS.items():
        own = parsers.add_parser(name, help=command.purpose, add_help=whole)
        if whole:
            command.add_to(own)
    return parser


def parsed(words: Sequence[str]) -> tuple[str, list[Group]]:
    """Return the subcommand that words name, and its options; nothing of it is loaded.

    Raises:
        ValueError: if they name none, or an option isn't one.
    """
    parser = _program(whole=False)
    if not words or words[0] not in COMMANDS:
        parser.parse_args(list(words) or ["--help"])
        parser.error(f"expected a command, got {words[0]!r}")  # "--", which parses as nothing
    name = words[0]
    own = _Parser(
        prog=f"{PROGRAM} {name}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,  # a new option must not change what an old command means
    )
    command = COMMANDS[name]
    groups = command.parsed(own, words[1:])
    said, told = texts(command, words[1:]), list(words)
    if "config" in said:
        file = said["config"]
        # What is typed takes the place of what the file says, also where values would add up.
        said = {**read_config(file, name, command), **said}
        said = {key: value for key, value in said.items() if key != "config"}
        told = [name, *as_words(command, said)]
        groups = _of_file(command, own, told[1:], file)
    made: dict[str, Any] = {
        "subcommand": name,
        "command": shlex.join([PROGRAM, *told]),
        "said": as_json(name, said),
    }
    return name, [replace(g, **made) if isinstance(g, OutputOptions) else g for g in groups]


def _of_file(
    command: Command, parser: ArgumentParser, words: Sequence[str], file: str
) -> list[Group]:
    """Return the options that words say; those of the command line are known to be right."""
    try:
        return command.of(parser, words)
    except ValueError as error:
        raise ValueError(f"in {file}: {error}") from error
