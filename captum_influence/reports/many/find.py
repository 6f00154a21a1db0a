"""A verb about one input, asked of many: one by one, shared out, and taken up again."""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, cast, overload

from torch import nn
from typing_extensions import ParamSpec

from captum_influence.data.bars import progress
from captum_influence.data.claims import claim
from captum_influence.data.identity import told
from captum_influence.data.resume import read_record, write_record
from captum_influence.network.inputs import network_of
from captum_influence.reports.many.question import OfMany, Question
from captum_influence.reports.many.result import Entry, Findings, LeftOut
from captum_influence.reports.many.sources import Images, Source, are_many
from captum_influence.reports.summary import Summarized

__all__ = ["INDEX", "Verb", "of_many"]

P = ParamSpec("P")
F = TypeVar("F", bound=Summarized)
Found_co = TypeVar("Found_co", bound=Summarized, covariant=True)

INDEX = "report.html"
_PAGES, _LINES = "pages", "lines"
_WHY = 400  # characters of a reason


class Verb(Protocol[P, Found_co]):
    """A verb about one input that takes many, too."""

    @overload
    def __call__(  # type: ignore[overload-overlap]  # a tensor is neither a path nor a list
        self, *args: P.args, **keywords: P.kwargs
    ) -> Found_co: ...

    @overload
    def __call__(
        self, model: nn.Module, images: Images, /, *args: Any, **keywords: Any
    ) -> Findings: ...


def of_many(*, each: str, labelled: bool = False) -> Callable[[Callable[P, F]], Verb[P, F]]:
    """Let a verb, whose second argument is one input, take a folder or a list there, too.

    It then takes the fields of :class:`OfMany` by keyword, and returns :class:`Findings`.

    Args:
        each: the argument that may be a list, one for each input.
        labelled: whether that may be left out where folders, or the names of files, say it.
    """

    def taking_many(verb: Callable[P, F]) -> Verb[P, F]:
        signature = inspect.signature(verb)
        data = list(signature.parameters)[1]

        @functools.wraps(verb)
        def either(*args: Any, **keywords: Any) -> Any:
            given = args[1] if len(args) > 1 else keywords.get(data)
            if not are_many(given):
                return verb(*args, **keywords)
            many = OfMany.taken_from(keywords)
            if labelled:
                keywords.setdefault(each, None)
            bound = signature.bind(*args, **keywords)
            bound.apply_defaults()
            question: Question[F] = Question(
                verb=either,
                data=data,
                each=each,
                labelled=labelled,
                arguments=bound.arguments,
                many=many,
            )
            return _found(question)

        return cast("Verb[P, F]", either)

    return taking_many


def _found(question: Question[Any]) -> Findings:
    """Ask about all inputs, or about this process's share of them, and write the index."""
    asked, sources, many = question.asked, question.sources(), question.many
    said, shard = question.each_of(sources), many.shard(question.model)
    place = None if many.out is None else _claimed(many.out)
    asking = _Asking(question, place, {} if place is None else question.identity)
    own = [number for number in range(len(said)) if shard.owns(number)]
    name, show = question.verb.__name__, question.show_progress
    turns = progress(own, name, unit="input", show=show)
    lines = {n: asking.line(sources.items[n], said[n], sources.prepare) for n in turns}
    if many.share is None:
        lines = {n: line for part in shard.gather(lines) for n, line in part.items()}
    ordered = [lines[number] for number in sorted(lines)]
    found = Findings(
        asked=asked,
        network=type(network_of(question.model)).__name__,
        verb=question.verb.__name__,
        entries=tuple(line for line in ordered if isinstance(line, Entry)),
        left_out=tuple(line for line in ordered if isinstance(line, LeftOut)),
        notes=sources.left_out,
    )
    _check(found, many)
    if place is not None and many.share is None and shard.rank == 0:
        found.save(place)
        found.to_html(place / INDEX)
    return found


def _claimed(out: Any) -> Path:
    binary, text = Findings.places("")
    names = (INDEX, text.name, binary.name)
    return claim(out, names, text.name, f"captum_influence.{Findings.__name__}")


def _check(found: Findings, many: OfMany) -> None:
    """Refuse a call of which nothing came: what is wrong with all inputs is no input's fault."""
    if not found.entries and found.left_out and many.share is None:
        first = found.left_out[0]
        raise ValueError(
            f"expected inputs that can be asked about, got {len(found.left_out)} that can't, the "
            f"first of them {first.name}: {first.why}"
        )


@dataclass(frozen=True, eq=False)
class _Asking(Generic[F]):
    """Asks about one input after another, and holds none of the answers.

    Attributes:
        question: what is asked.
        place: where the pages go; None: nowhere.
        identity: what tells the question from another.
    """

    question: Question[F]
    place: Path | None
    identity: Mapping[str, Any]

    def line(self, source: Source, said: Any, prepare: Any) -> Entry | LeftOut:
        """Return an input's line: the one that an earlier run wrote, or a new one."""
        try:
            inputs, picture = source.read(prepare)
            identity = {**self.identity, self.question.each: told(said), "input": told(inputs)}
            return self._known(source, identity) or self._new(
                source, identity, functools.partial(self.question.answer, inputs, picture, said)
            )
        # A picture that can't be read, and one that the verb refuses, such as a right answer. What
        # is wrong with the call itself fails for each of them, and is raised in the end.
        except (OSError, ValueError, RuntimeError) as error:
            if self.question.many.strict or isinstance(error, _OtherQuestion):
                raise
            return LeftOut(name=source.name, why=" ".join(str(error).split())[:_WHY])

    def _known(self, source: Source, identity: Mapping[str, Any]) -> Entry | None:
        """Return what an earlier run wrote; its line is written after all that it leads to."""
        if self.place is None:
            return None
        line, page = self._files(source, self.place)
        if not (line.is_file() and page.is_file()):
            return None
        try:
            return read_record(line, "line", Entry, identity)
        except ValueError as error:
            raise _OtherQuestion(str(error)) from None

    def _new(self, source: Source, identity: Mapping[str, Any], answer: Callable[[], F]) -> Entry:
        began = time.perf_counter()
        found = answer()
        address = None
        if self.place is not None:
            line, page = self._files(source, self.place)
            address = page.relative_to(self.place).as_posix()
            found.save(page.with_suffix(".safetensors"))
            found.to_html(page)
        entry = Entry.of(found.summary, source.name, address, time.perf_counter() - began)
        if self.place is not None:
            write_record(line, "line", entry, identity)
        return entry

    def _files(self, source: Source, place: Path) -> tuple[Path, Path]:
        """Return where an input's line goes, and its page."""
        line = place / _LINES / f"{source.stem}.safetensors"
        return line, place / _PAGES / f"{source.stem}.html"


class _OtherQuestion(ValueError):
    """What an earlier run left there belongs to another question."""
