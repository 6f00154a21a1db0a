"""A loader as a verb is given it: of pictures, or of prompts with what goes beside them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from captum_influence.attr.distributions import Distribution
from captum_influence.attr.inputs import Inputs, NamedInputs, names_inputs
from captum_influence.attr.quantities import Quantity
from captum_influence.attr.run import Run
from captum_influence.attr.tokens import text_tokenizer
from captum_influence.data.batches import images_of, yielded
from captum_influence.data.items import Accepts
from captum_influence.data.labels import class_index
from captum_influence.data.prompts.loaded_prompts import LoadedPrompts, holds_prompts
from captum_influence.network.devices import device_of
from captum_influence.network.inputs import network_of, noun_of, takes_prompts, taking_prompts
from captum_influence.network.outputs import Output, tensor_of
from captum_influence.network.reading import activations, output_of
from captum_influence.reports.display import Display
from captum_influence.reports.shown import Shown
from captum_influence.units.given import (
    Asking,
    GivenLike,
    TokenNames,
    are_ids,
    embeds,
    first_name,
    names_of,
)
from captum_influence.units.options import Chosen, SurveyOptions, check_options, collected
from captum_influence.units.shown.texts import TextDisplay
from captum_influence.units.survey import Survey, named_on
from captum_influence.units.targets import TargetLike
from captum_influence.units.units_of import LayerLike, UnitsOf

__all__ = ["GivenLoader", "chosen_over", "loader_given"]


def chosen_over(
    verb: str,
    model: nn.Module,
    loader: Iterable[Any],
    layer: LayerLike | None,
    options: Any,
    known: Any = SurveyOptions,
) -> tuple[Chosen, GivenLoader]:
    """Return the options of a call, and its loader as it is given.

    Args:
        verb: the function's name, for messages.
        model: the network.
        loader: yields (inputs, labels).
        layer: as the verb takes it; None: the last with several places for each channel.
        options: its keywords.
        known: a TypedDict of the keywords there are.
    """
    check_options(verb, options, known)
    given = loader_given(verb, model, loader, options)
    run: Run = collected(verb, "run", Run, options)
    with run.seeded():
        named = named_on(given.loader, given.network, layer)
        chosen = replace(Chosen.of(verb, named, options, known=known), shown=given.shown)
        given.check(chosen.units)
    return chosen, given


def loader_given(verb: str, model: nn.Module, loader: Iterable[Any], options: Any) -> GivenLoader:
    """Return the loader of a call as it is given; arguments are those of :func:`chosen_over`."""
    run: Run = collected(verb, "run", Run, options)
    with run.seeded():
        return GivenLoader.of(model, loader, collected(verb, "shown", Shown, options), run.output)


@dataclass(frozen=True, eq=False, kw_only=True)
class GivenLoader(Asking):
    """A loader, and the network that takes what it yields as one tensor.

    Attributes:
        network: takes the inputs of ``loader``.
        loader: yields (inputs, labels): as it is given; or prompts, equally long ones together.
        shown: how inputs are shown, with the names of the classes that the network knows itself.
        prompts: those of the loader; None: it yields others.
        scores_tokens: whether the network scores tokens at each position, of which the next one,
            behind the last, is asked as if tokens were classes.
    """

    network: nn.Module
    loader: Iterable[Any]
    shown: Shown
    prompts: LoadedPrompts | None = None
    scores_tokens: bool = False

    @staticmethod
    def of(
        model: nn.Module,
        loader: Iterable[Any],
        shown: Shown,
        output: Output = None,
        *,
        labelled: bool = True,
    ) -> GivenLoader:
        """Return a loader as it is given.

        Args:
            model: the network.
            loader: yields (inputs, labels); that of prompts is read through, once.
            shown: how inputs are shown.
            output: which tensor of what the network returns is meant.
            labelled: whether prompts must have labels.

        Raises:
            TypeError: if prompts have no label each, or one that is none.
        """
        network = network_of(model, output)
        if takes_prompts(network) or not embeds(network):
            return GivenLoader(network=network, loader=loader, shown=shown)
        with torch.random.fork_rng(devices=[]):  # a shuffling loader draws on it
            first = next(iter(yielded(loader)))
        if isinstance(loader, Iterator):
            loader = chain([first], loader)
        if not holds_prompts(first):
            return GivenLoader(network=network, loader=loader, shown=shown)
        name, accepts = first_name(model), Accepts.of(getattr(network, "stands_for", network))
        prompts = LoadedPrompts.read(yielded(loader), name, accepts, labelled=labelled)
        return GivenLoader._taking(network, prompts, shown)

    @staticmethod
    def of_batch(
        model: nn.Module,
        inputs: GivenLike,
        shown: Shown,
        output: Output = None,
        asked: TargetLike = None,
    ) -> GivenLoader:
        """Return some inputs as if a loader yielded them, all with label 0.

        Args:
            model: the network.
            inputs: (examples, ...), or by name.
            shown: how inputs are shown.
            output: which tensor of what the network returns is meant.
            asked: what is asked of them: a quantity reads the network's own output.

        Raises:
            TypeError: if they are neither.
        """
        network = network_of(model, output)
        if not isinstance(inputs, Mapping) and not are_ids(network, inputs):
            none = torch.zeros(len(inputs), dtype=torch.long)
            return GivenLoader(network=network, loader=[(inputs, none)], shown=shown)
        if not holds_prompts(inputs):
            raise TypeError(
                f"expected prompts, whole numbers for each token, got {list(inputs)}: pass what is "
                "explained as a tensor"
            )
        name, accepts = first_name(model), Accepts.of(getattr(network, "stands_for", network))
        prompts = LoadedPrompts.read([inputs], name, accepts, labelled=False)
        return GivenLoader._taking(network, prompts, shown, narrowed=not callable(asked))

    @staticmethod
    def _taking(
        network: nn.Module, prompts: LoadedPrompts, shown: Shown, *, narrowed: bool = True
    ) -> GivenLoader:
        """Return it; ``narrowed``: of tokens that are scored, those behind the last alone."""
        taking = partial(taking_prompts, network, prompts.names, masked=prompts.masked)
        first = prompts.prompts[0][None].to(device_of(network))
        tokens = _tokens_scored(taking(), first) if narrowed else None
        tokenizer = text_tokenizer(shown.tokenizer or prompts.tokenizer)
        own = names_of(network) if tokens is None else TokenNames(tokenizer, tokens)
        shown = replace(shown, class_names=shown.class_names or own, tokenizer=tokenizer)
        found = GivenLoader(
            network=taking(last=tokens is not None),
            loader=(),
            shown=replace(shown, display=partial(_as_text, shown)),
            prompts=prompts,
            scores_tokens=tokens is not None,
        )
        return replace(found, loader=prompts.batches(found._label))

    @property
    def noun(self) -> str:
        """What one of its inputs is called."""
        return noun_of(self.network)

    @property
    def batches(self) -> list[Tensor]:
        """Its inputs, where the network lies."""
        return list(images_of(self.loader, device_of(self.network)))

    def also(self, loader: Iterable[Any] | None) -> Iterable[Any] | None:
        """Return another loader, such as a held-out one, as the network takes it."""
        if self.prompts is None or loader is None:
            return loader
        found = self._read(yielded(loader))
        return found.batches(self._label)

    @property
    def seen(self) -> NamedInputs | None:
        if self.prompts is None:
            return None
        return NamedInputs({}, self.shown.tokenizer, last_alone=self.scores_tokens)

    def target(self, value: int | str) -> int:
        """Return the number of a class that is named, or of a token."""
        return class_index(self.numbered(value), self.shown.class_names)

    def distribution(self, over: Distribution | None) -> Distribution | None:
        """Return over which inputs it is asked, prompts that it names without their pads.

        Raises:
            ValueError: if they aren't as long as the loader's.
        """
        return over if over is None or self.prompts is None else over.located(self._located)

    def survey(
        self,
        classes: tuple[int, ...],
        quantity: Quantity,
        distribution: Distribution | None,
        chosen: Chosen,
    ) -> Survey:
        """Return the survey that a verb asks for with its options."""
        return Survey(
            model=self.network,
            units=chosen.units,
            loader=self.loader,
            classes=classes,
            quantity=quantity,
            distribution=self.distribution(distribution),
            focus=chosen.shown.focus,
            run=chosen.run,
        )

    def check(self, units: UnitsOf) -> None:
        """Check that prompts have the same units, however long they are.

        Raises:
            ValueError: if they haven't.
        """
        if self.prompts is None or len(self.prompts.lengths) == 1:
            return
        device = device_of(self.network)
        sizes = []
        for length in (self.prompts.lengths[0], self.prompts.lengths[-1]):
            one = next(x for x in self.prompts.prompts if x.shape[1] == length)[None].to(device)
            shape = tuple(activations(self.network, one, units.cut).shape[1:])
            axis = units.along(shape, self.network, one)
            sizes.append(axis.sizes)
        if sizes[0] != sizes[1]:
            raise ValueError(
                f"expected units that all prompts have, got {axis.name}s at the {units.cut}, "
                f"{sizes[0]} in a prompt of {self.prompts.lengths[0]} tokens and {sizes[1]} in one "
                f'of {self.prompts.lengths[-1]}: ask for axis="channel" or "head", or give prompts '
                "of one length"
            )

    def _label(self, label: int | str) -> int:
        return self.target(label) if isinstance(label, str) else label

    def _read(self, items: Iterable[Any]) -> LoadedPrompts:
        names = () if self.prompts is None else self.prompts.names
        found = LoadedPrompts.read(items, names[0])
        if found.names != names:
            raise TypeError(
                f"expected prompts with {list(names)}, as those of the loader, got "
                f"{list(found.names)}: tokenise them alike"
            )
        return found

    def _located(self, start: Any, *, is_set: bool = False) -> Any:
        if not names_inputs(start) or self.prompts is None:
            return start
        values = start.values if isinstance(start, Inputs) else start
        given = values if isinstance(values, Mapping) else {self.prompts.names[0]: values}
        ids = given.get(self.prompts.names[0])
        count = len(ids) if isinstance(ids, Tensor) else 1
        found = self._read([(given, [0] * count)])
        if found.lengths != self.prompts.lengths or (len(found.prompts) > 1 and not is_set):
            raise ValueError(
                "expected one other prompt, as long as all of the loader's, of "
                f"{list(self.prompts.lengths)} tokens, got {len(found.prompts)} of "
                f"{list(found.lengths)}: InfluenceProfile takes another one for each"
            )
        return Inputs(torch.stack(found.prompts))


def _tokens_scored(network: nn.Module, prompts: Tensor) -> int | None:
    """Return how many tokens a network scores at each position; None if it doesn't."""
    try:
        scores = tensor_of(output_of(network, prompts))
    except TypeError:
        return None
    return scores.shape[2] if scores.ndim == 3 else None


def _as_text(shown: Shown, prompt: Tensor) -> Tensor | Display:
    """Return how a prompt, (fields, tokens), is shown: by its tokens."""
    if shown.display is not None:
        return shown.display(prompt[0])
    return TextDisplay.of(prompt[0], shown.tokenizer, shown.percentile)
