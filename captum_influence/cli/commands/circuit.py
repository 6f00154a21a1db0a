"""``captum-influence circuit``: which parts of a language model speak to which to say so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.nn import Module

from captum_influence.attr.distributions import Distribution, Point
from captum_influence.attr.inputs import Inputs, NamedInputs
from captum_influence.attr.log_probability import LogProbability
from captum_influence.attr.next_token import NextToken
from captum_influence.attr.paths import LinearPath
from captum_influence.attr.positions import at_positions, settled
from captum_influence.attr.prompts import Prompts
from captum_influence.attr.quantities import ClassScore, Quantity
from captum_influence.attr.tokens import token_ids
from captum_influence.circuits.find import circuit
from captum_influence.circuits.result import Circuit
from captum_influence.cli.options import OutputOptions, SeedOptions
from captum_influence.cli.output import Report, tell
from captum_influence.cli.prompts import LanguageModel, demo_prompt
from captum_influence.cli.syntax.texts import EdgesOptions, LanguageOptions, PromptOptions
from captum_influence.data.labels import Names, class_index, read_class_names
from captum_influence.data.prompts.prompt_pairs import PromptPairs, read_prompt_pairs
from captum_influence.demo.induction import induction_network
from captum_influence.network.devices import device_of
from captum_influence.network.modes import without_graph
from captum_influence.network.outputs import tensor_of
from captum_influence.units.given import names_of

__all__ = ["run"]

GRAPH, MIB = "circuit.svg", "circuit_mib.json"
# After the token 3 came 1; then come 1 and 3 again, and 3 is to be followed by 1.
NUMBERS, OTHERS, NEXT = (0, 3, 1, 4, 5, 3), (0, 9, 2, 6, 8, 4), 1


@dataclass(frozen=True, eq=False)
class _Asked:
    """A network, inputs, others beside them, and what is asked of them."""

    model: Module
    clean: Any
    corrupted: Any
    quantity: Quantity


def run(
    network: LanguageOptions,
    question: PromptOptions,
    edges: EdgesOptions,
    seed: SeedOptions,
    output: OutputOptions,
) -> None:
    """Find the circuit, write it, its graph and its edges, and say what was found.

    Raises:
        ImportError: if transformers isn't installed, and a network of it is asked about.
        ValueError: if options are missing, or don't go together.
    """
    _check(network, question, edges)
    report = Report.claim(output, Circuit, GRAPH, MIB)
    asked = _by_hand(edges) if edges.induction else _of_text(network, question, edges)
    found = circuit(
        asked.model,
        (asked.clean, asked.corrupted),
        asked.quantity,
        distribution=_distribution(edges, asked.corrupted),
        edges=edges.edges,
        sizes=edges.sizes,
        controls=edges.controls,
        seed=seed.seed,
        show_progress=output.show_progress,
    )
    report.write(found, beside={GRAPH: found.to_svg, MIB: partial(_write_mib, found)})


def _check(network: LanguageOptions, question: PromptOptions, edges: EdgesOptions) -> None:
    asked = [*network.given("model"), *question.given(), *edges.given("pairs")]
    if edges.induction and asked:
        raise ValueError(
            f"expected --induction alone, got {', '.join(asked)} beside it: the network that is "
            "wired by hand has a question of its own"
        )
    if edges.pairs is not None and (given := question.given("prompt", "against")):
        raise ValueError(
            f"expected prompts from --pairs or from options, got {', '.join(given)} too: leave "
            "one out"
        )
    if edges.pairs is None and (question.prompt is None) != (question.against is None):
        raise ValueError(
            "expected --prompt and --against, got one of them: a circuit carries what differs "
            "between two prompts"
        )
    if network.model is not None and edges.pairs is None and question.prompt is None:
        raise ValueError("expected --prompt and --against, or --pairs, beside --model, got none")
    if edges.distribution == "point" and edges.points is not None:
        raise ValueError("expected --points with --distribution path, got it with point")


def _by_hand(edges: EdgesOptions) -> _Asked:
    """Return the network whose circuit is known."""
    clean, corrupted = (torch.tensor([ids]) for ids in (NUMBERS, OTHERS))
    asked = _quantity(edges.quantity, NEXT, are_tokens=True)
    return _Asked(induction_network(), clean, corrupted, asked)


def _of_text(network: LanguageOptions, question: PromptOptions, edges: EdgesOptions) -> _Asked:
    """Return a language model, its prompts, and the scores that are asked about."""
    if network.model is None and edges.pairs is None and question.prompt is None:
        question = demo_prompt(question)
    pairs = _pairs(question, edges)
    asked = LanguageModel.of(network)
    prompts = Prompts(asked.tokenizer, pairs.clean, pairs.corrupted)
    device = device_of(asked.model)
    clean, corrupted = (
        NamedInputs({name: value.to(device) for name, value in given.items()}, prompts.tokenizer)
        for given in (prompts.clean, prompts.corrupted)
    )
    own = names_of(asked.model)
    names = own if network.labels is None else read_class_names(network.labels)
    answers = _Answers.of(asked.model, clean, names)
    wanted = _quantity(edges.quantity, answers.chosen(pairs.target), answers.are_tokens)
    if pairs.versus:
        other = _quantity(edges.quantity, answers.chosen(pairs.versus), answers.are_tokens)
        wanted = wanted - other
    return _Asked(asked.model, clean, corrupted, wanted)


def _pairs(question: PromptOptions, edges: EdgesOptions) -> PromptPairs:
    """Return the prompts of the options, or of the file; an answer in the options is for all."""
    if edges.pairs is None:
        pairs = PromptPairs(clean=(str(question.prompt),), corrupted=(str(question.against),))
    else:
        pairs = read_prompt_pairs(edges.pairs)
    said = {name: getattr(question, name) for name in ("target", "versus")}
    count = len(pairs.clean)
    return replace(pairs, **{name: (word,) * count for name, word in said.items() if word})


@dataclass(frozen=True, eq=False)
class _Answers:
    """What a network can be asked about: tokens or classes, and which ones it gives itself."""

    given: list[int]
    are_tokens: bool
    names: Names
    tokenizer: Any

    @staticmethod
    def of(model: Module, clean: NamedInputs, names: Names) -> _Answers:
        with without_graph():
            scores = tensor_of(model(**clean))
        are_tokens = scores.ndim == 3
        at = settled("last", clean) if are_tokens else None
        given = at_positions(scores, at, "circuit").argmax(dim=-1).tolist()
        return _Answers(given, are_tokens, names, clean.tokenizer)

    def chosen(self, words: Sequence[str]) -> Any:
        """Return one answer, by its text or number, if it is the same for all; else numbers."""
        if not words:
            numbers = self.given
        elif self.are_tokens:
            numbers = [int(token_ids(word, self.tokenizer)) for word in words]
        else:
            numbers = [class_index(word, self.names) for word in words]
        if len(set(numbers)) > 1:
            return numbers
        return self._text(numbers[0]) if self.are_tokens else numbers[0]

    def _text(self, token: int) -> int | str:
        """Return a token's text, if that means the same token."""
        decode = getattr(self.tokenizer, "decode", None)
        text = decode([token]) if callable(decode) else None
        try:
            return text if text and token_ids(text, self.tokenizer) == token else token
        except ValueError:
            return token


def _quantity(kind: str, answer: Any, are_tokens: bool) -> Quantity:
    """Return the score of tokens, or of classes."""
    if kind == "log-probability":
        return LogProbability(answer, at="last" if are_tokens else None)
    return NextToken(answer) if are_tokens else ClassScore(answer)


def _distribution(edges: EdgesOptions, corrupted: Any) -> Distribution | None:
    if edges.distribution == "point":
        return Point()
    if edges.points is None:
        return None
    return LinearPath(Inputs(corrupted), edges.points, rule="riemann_right")


def _write_mib(found: Circuit, path: Path) -> None:
    """Write the edges for MIB's evaluator, if its format has a place for them."""
    try:
        found.to_mib(path)
    except ValueError as error:
        tell(f"no {path.name}: {error}")
