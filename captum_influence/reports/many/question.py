"""One call of a verb about many inputs: what it was given, and how it asks about one of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from os import PathLike
from typing import Any, Generic, TypeVar, cast

from torch import Tensor, nn

from captum_influence.data.identity import told
from captum_influence.data.sharding import Shard, joined_shard
from captum_influence.network.devices import device_of, dtype_of
from captum_influence.reports.asked import Asked
from captum_influence.reports.many.sources import Sources
from captum_influence.reports.summary import Summarized

__all__ = ["OfMany", "Question"]

F = TypeVar("F", bound=Summarized)

_OPTIONS = "options"  # what every verb calls the rest of its keywords


@dataclass(frozen=True, eq=False, kw_only=True)
class OfMany:
    """What is said of many inputs beside what is said of one.

    Attributes:
        prepare: how a picture becomes an input: a :class:`Preprocessing`, or a function of an image
            of Pillow's, such as torchvision's transforms.
        out: a folder for the index and a page for each input; a run that was killed goes on there.
            None: nothing is written.
        strict: stop at an input that can't be asked about.
        share: (rank, world): only every world-th input, from rank on. None: all of them, or under
            torchrun this process's share.

    Raises:
        ValueError: if there is no such share, or it leads nowhere.
    """

    prepare: Any = None
    out: str | PathLike[str] | None = None
    strict: bool = False
    share: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.share is None:
            return
        rank, world = self.share
        if not 0 <= rank < world:
            raise ValueError(
                f"expected share=(rank, world) with a rank from 0 to {world - 1}, got {self.share}"
            )
        if self.out is None:
            raise ValueError("expected out=FOLDER beside share=, where the shares meet, got none")

    @staticmethod
    def taken_from(keywords: dict[str, Any]) -> OfMany:
        """Return what some keywords say of it, which are taken away from them."""
        names = [f.name for f in fields(OfMany) if f.name in keywords]
        return OfMany(**{name: keywords.pop(name) for name in names})

    @property
    def given(self) -> dict[str, Any]:
        """What is said."""
        said = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: value for name, value in said.items() if value not in (None, False)}

    def shard(self, model: nn.Module) -> Shard:
        """Return this process's share."""
        return joined_shard(device_of(model)) if self.share is None else Shard(*self.share)


@dataclass(frozen=True, eq=False, kw_only=True)
class Question(Generic[F]):
    """One call of a verb about many inputs.

    Attributes:
        verb: what is called.
        data: the parameter that takes the input.
        each: the one that may be a list, one for each input.
        labelled: whether folders can say it.
        arguments: all that it was called with.
        many: what is said of many.
    """

    verb: Callable[..., Any]
    data: str
    each: str
    labelled: bool
    arguments: Mapping[str, Any]
    many: OfMany

    @property
    def model(self) -> nn.Module:
        """The network."""
        return cast("nn.Module", next(iter(self.arguments.values())))

    @property
    def asked(self) -> Asked:
        """The call."""
        options = {**self.arguments[_OPTIONS], **self.many.given}
        return Asked.of(self.verb, {**self.arguments, _OPTIONS: options})

    @property
    def identity(self) -> dict[str, Any]:
        """All that tells this question from another, but the input, as JSON can hold it."""
        named = {k: v for k, v in self.arguments.items() if k not in (self.data, _OPTIONS)}
        if isinstance(named[self.each], list | tuple):  # it is told with each input
            del named[self.each]
        options = {k: v for k, v in self.arguments[_OPTIONS].items() if k != "show_progress"}
        return {k: told(v) for k, v in {"verb": self.verb.__name__, **named, **options}.items()}

    @property
    def show_progress(self) -> bool:
        """Whether a bar is shown over the inputs."""
        options = self.arguments[_OPTIONS]
        return bool(getattr(options.get("run"), "show_progress", options.get("show_progress")))

    def sources(self) -> Sources:
        """Return the inputs, not read yet."""
        options = self.arguments[_OPTIONS]
        names = getattr(options.get("shown"), "class_names", options.get("class_names"))
        labelled = self.labelled and self.arguments[self.each] is None
        return Sources.of(
            self.arguments[self.data],
            self.many.prepare,
            labelled=labelled,
            names=names,
            strict=self.many.strict,
        )

    def each_of(self, sources: Sources) -> list[Any]:
        """Return what is said for each input.

        Raises:
            ValueError: if it is said for more or fewer.
        """
        said, count = self.arguments[self.each], len(sources.items)
        if said is None and self.labelled:
            said = sources.labels
            if said is None:
                raise ValueError(
                    f"expected {self.each}= beside a list, for all inputs or a list of one for "
                    "each, got none: only folders say it by themselves"
                )
        if not isinstance(said, list | tuple):
            return [said] * count
        if len(said) != count:
            raise ValueError(
                f"expected {self.each}= for each of {count} inputs, got {len(said)} of them"
            )
        return list(said)

    def answer(self, inputs: Tensor, picture: Tensor | None, said: Any) -> F:
        """Ask about one input.

        Args:
            inputs: as the network takes it.
            picture: what to show of it; None: it wasn't read from a picture.
            said: what is said for each.
        """
        named = {k: v for k, v in self.arguments.items() if k != _OPTIONS}
        options = dict(self.arguments[_OPTIONS])
        if "run" in options:
            options["run"] = replace(options["run"], show_progress=False)
        else:
            options["show_progress"] = False
        if picture is not None:
            inputs = inputs.to(device_of(self.model), dtype_of(self.model))
            if "shown" in options:
                options["shown"] = replace(options["shown"], picture=picture)
            else:
                options["picture"] = picture
        return cast("F", self.verb(**{**named, self.data: inputs, self.each: said}, **options))
