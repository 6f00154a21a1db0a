"""What a shell completes: a script made from the parser, which needs no torch."""

from __future__ import annotations

from argparse import Action, ArgumentParser, Namespace
from collections.abc import Callable
from typing import Any

__all__ = ["SHELLS", "PrintCompletion", "script"]

SHELLS = ("bash", "zsh", "tcsh")


def script(parser: ArgumentParser, shell: str) -> str:
    """Return the script that tells a shell the subcommands of a parser, and their options.

    Raises:
        ImportError: if shtab isn't installed.
    """
    try:
        import shtab
    except ImportError:
        raise ImportError(
            "completion takes shtab: pip install 'captum_influence[completion]'"
        ) from None
    places = {"FILE": shtab.FILE, "FOLDER": shtab.DIRECTORY}
    for action in _actions(parser):
        if action.metavar in places:
            action.complete = places[action.metavar]  # type: ignore[attr-defined]  # as shtab asks
    made: str = shtab.complete(parser, shell=shell)
    return made


def _actions(parser: ArgumentParser) -> list[Action]:
    """Return the options of a parser and of its subcommands."""
    found = list(parser._actions)
    for action in parser._actions:
        if isinstance(action.choices, dict):
            found += [own for sub in action.choices.values() for own in _actions(sub)]
    return found


class PrintCompletion(Action):
    """Print the script of a shell and stop, as ``--help`` prints the help."""

    def __init__(self, *words: Any, whole: Callable[[], ArgumentParser], **how: Any) -> None:
        super().__init__(*words, **how)
        self.whole = whole

    def __call__(
        self, parser: ArgumentParser, namespace: Namespace, values: Any, option: Any = None
    ) -> None:
        """Print it."""
        print(script(self.whole(), values))
        parser.exit()
