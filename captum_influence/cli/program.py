"""The program: its parser, and how it reports what went wrong."""

from __future__ import annotations

import os
import shlex
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from typing import NoReturn

from captum_influence import __version__
from captum_influence.cli.commands.compare import add_compare_parser
from captum_influence.cli.commands.counterfactual import add_counterfactual_parser
from captum_influence.cli.commands.essence import add_essence_parser
from captum_influence.cli.commands.expert import add_expert_parser
from captum_influence.cli.commands.explain import add_explain_parser
from captum_influence.cli.commands.pair import add_pair_parser
from captum_influence.cli.commands.profile import add_profile_parser
from captum_influence.cli.commands.prototype import add_prototype_parser
from captum_influence.cli.commands.train_influence import add_training_parser

__all__ = ["main"]

_USER_ERRORS = (ValueError, TypeError, RuntimeError, ImportError, OSError)


class _Parser(ArgumentParser):
    """Reports wrong usage like every other error: in one line, without the usage above it."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(f"{message}; {self.prog} --help says what there is")


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``captum-influence`` and return its exit status: 0, or 2 after an error of the user's.

    Args:
        argv: The words after the program's name; None: those it was started with.
    """
    words = sys.argv[1:] if argv is None else list(argv)
    try:
        args = _parser().parse_args(words or ["--help"])
        args.command = shlex.join(["captum-influence", *words])
        args.run(args)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, head or less, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        return 130
    except _USER_ERRORS as error:
        if "--debug" in words:
            raise
        message = " ".join(str(error).split()) or type(error).__name__
        sys.stderr.write(f"captum-influence: error: {message}\n")
        return 2
    return 0


def _parser() -> ArgumentParser:
    parser = _Parser(
        prog="captum-influence",
        description="Which internal units of a network caused what it said, and what they look at.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    add_explain_parser(commands)
    add_training_parser(commands)
    add_profile_parser(commands)
    add_essence_parser(commands)
    add_pair_parser(commands)
    add_counterfactual_parser(commands)
    add_expert_parser(commands)
    add_prototype_parser(commands)
    add_compare_parser(commands)
    return parser
