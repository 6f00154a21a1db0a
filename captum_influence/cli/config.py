"""Options in a file: what the words of a run say, as JSON, and words again."""

from __future__ import annotations

import difflib
import json
from argparse import SUPPRESS, ArgumentParser
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import Field, fields
from pathlib import Path
from typing import Any

from captum_influence import __version__
from captum_influence.cli.groups import Command

__all__ = ["as_json", "as_words", "holds_options", "read_config", "texts"]

# Where it goes and what is said on the way is asked anew each time; a share is no whole run.
_PASSING = {"out", "force", "open", "quiet", "debug", "share", "list-layers"}
_FILES = {"config", "save-config"}
_ABOUT = {"command", "version"}  # what a file says beside options

Texts = Mapping[str, Any]  # an option without its dashes: a text, several, or True of a switch


def texts(command: Command, words: Sequence[str]) -> dict[str, Any]:
    """Return what words that parse say, as it was typed: nothing is at a default."""
    parser = ArgumentParser(add_help=False, allow_abbrev=False)
    for key, one in _options(command):
        how: dict[str, Any] = {}
        if _is_switch(one):
            how = {"action": "store_true"}
        elif "nargs" in one.metadata["how"]:
            how = {"nargs": one.metadata["how"]["nargs"]}
        elif _adds_up(one):
            how = {"action": "append"}
        parser.add_argument(f"--{key}", dest=key, default=SUPPRESS, **how)
    return vars(parser.parse_args(list(words)))


def as_words(command: Command, said: Texts) -> list[str]:
    """Return words that say the same."""
    found: list[str] = []
    for key, one in _options(command):
        flag, value = f"--{key}", said.get(key)
        if value is True:
            found.append(flag)
        elif isinstance(value, list) and not _adds_up(one):
            found += [flag, *value]
        elif value is not None:
            for text in value if isinstance(value, list) else [value]:
                # What begins with a dash would be taken for another option.
                found += [f"{flag}={text}"] if text.startswith("-") else [flag, text]
    return found


def as_json(name: str, said: Texts) -> dict[str, Any]:
    """Return what repeats a run of a subcommand: options as given, but not where it goes."""
    kept = {key: _plain(value) for key, value in said.items() if key not in _PASSING | _FILES}
    return {"command": name, "version": __version__, **kept}


def read_config(path: str, name: str, command: Command) -> dict[str, Any]:
    """Return what a file says, in the form of :func:`texts`.

    Args:
        path: a JSON object of options without their dashes, ``{"layer": "layer3", "top": 3}``.
        name: of the subcommand that it is for.
        command: what that takes.

    Raises:
        ValueError: if there is no such file, it is for another subcommand, or says what isn't an
            option, or a value of the wrong kind.
    """
    content = _object(path)
    meant = content.get("command", name)
    if meant != name:
        raise ValueError(
            f"expected options of {name} as --config, got {path}, which has those of {meant}: say "
            f'captum-influence {meant}, or take "command" out of it'
        )
    known = {key: one for key, one in _options(command) if key not in _FILES}
    found: dict[str, Any] = {}
    for key, value in content.items():
        if key in _ABOUT:
            continue
        if key not in known:
            raise ValueError(
                f"expected options of {name} in {path}, got {key!r}{_near(key, known)}"
            )
        text = _text(known[key], value)
        if text is None:
            raise ValueError(
                f"expected {_wanted(known[key])} as {key!r} in {path}, got {json.dumps(value)[:80]}"
            )
        if text is not False:
            found[key] = text
    return found


def holds_options(path: Path) -> bool:
    """Say whether a file has what :func:`as_json` returns."""
    try:
        return _object(str(path)).keys() >= _ABOUT
    except ValueError:
        return False


def _object(path: str) -> dict[str, Any]:
    try:
        content = json.loads(Path(path).read_text("utf-8-sig"))
    except OSError as error:
        raise ValueError(
            f"expected a file of options as --config, got {path!r}: {error.strerror}; "
            "--save-config FILE writes one"
        ) from error
    except ValueError as error:  # no UTF-8, or no JSON
        raise ValueError(f"expected JSON in {path}, got text that isn't: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(
            f'expected an object in {path}, as {{"top": 3}}, got a {type(content).__name__}'
        )
    return content


def _near(key: str, known: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(key.lstrip("-").replace("_", "-"), known, n=1)
    return f": did you mean {near[0]!r}?" if near else f"; it takes {', '.join(known)}"


def _text(one: Field[Any], value: Any) -> Any:
    """Return a value as it would be typed; None: it is of the wrong kind."""
    if _is_switch(one) or isinstance(value, bool):
        return value if _is_switch(one) and isinstance(value, bool) else None
    several = value if isinstance(value, list) and _is_list(one) else [value]
    if not several or not all(
        isinstance(v, str | int | float) and not isinstance(v, bool) for v in several
    ):
        return None
    typed = [str(v) for v in several]
    if "nargs" in one.metadata["how"]:
        return typed
    return [",".join(typed)] if _adds_up(one) else ",".join(typed)


def _wanted(one: Field[Any]) -> str:
    if _is_switch(one):
        return "true or false"
    return "text, a number or a list of them" if _is_list(one) else "text or a number"


def _plain(value: Any) -> Any:
    """Return a text as the number that it writes, if it is written so."""
    if isinstance(value, list):
        return [_plain(text) for text in value]
    for kind in (int, float):
        try:
            if str(kind(value)) == value and value not in ("nan", "inf", "-inf"):
                return kind(value)
        except ValueError:
            continue
    return value


def _options(command: Command) -> Iterator[tuple[str, Field[Any]]]:
    for group in command.groups:
        for one in fields(group):
            if "flags" in one.metadata:
                yield one.metadata["flags"][0].removeprefix("--"), one


def _is_switch(one: Field[Any]) -> bool:
    return str(one.metadata["how"].get("action", "")).startswith("store_")


def _adds_up(one: Field[Any]) -> bool:
    """Say whether an option may be given several times."""
    return bool(one.metadata["how"].get("action") == "extend")


def _is_list(one: Field[Any]) -> bool:
    """Say whether an option takes several values: one after another, or with commas."""
    how = one.metadata["how"]
    return "nargs" in how or "," in how.get("metavar", "")
