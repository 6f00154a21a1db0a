"""A prompt with its sites, ready to have units replaced, and the first of them named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from captum_influence.attr.run import Run
from captum_influence.explanations.texts.patched import (
    Estimated,
    PatchedUnits,
    Trial,
    tried,
)
from captum_influence.units.prompts.patching import Patching
from captum_influence.units.prompts.prompt import Prompt, passing
from captum_influence.units.prompts.question import PromptQuestion
from captum_influence.units.prompts.sites import Kind, Site, Sites
from captum_influence.units.prompts.spoken import PromptUnit, promoted, written

__all__ = ["Study"]

_PROMOTED = 3  # tokens of each unit
_ROWS = 32  # prompts in a pass


@dataclass(frozen=True, eq=False, kw_only=True)
class Study:
    """A prompt at its sites, ready to have units replaced.

    Attributes:
        patching: replaces them.
        sites: where they are.
        displaced: z(x) less what takes its place, (1, positions, features) at each site.
        scores_tokens: whether the network scores tokens at each position.
    """

    patching: Patching
    sites: Sites
    displaced: Mapping[Site, Tensor]
    scores_tokens: bool

    @staticmethod
    def of(
        network: nn.Module,
        prompt: Prompt,
        sites: Sites,
        asked: PromptQuestion,
        output: Any,
        activations: tuple[Tensor, ...],
        run: Run,
    ) -> Study:
        """Read what takes units' places.

        Raises:
            ValueError: if the network answers the same prompt in two ways.
        """
        instead = tuple(torch.zeros_like(z) for z in activations)
        if prompt.other is not None:
            _, instead = passing(network, prompt.other, cuts=[site.cut for site in sites.all])
        value = float(asked.quantity(output).detach()[0])
        patching = Patching(
            network=network,
            prompt=prompt,
            quantity=asked.quantity,
            value=value,
            instead={site.cut: z for site, z in zip(sites.all, instead, strict=True)},
            rows=run.internal_batch_size or _ROWS,
        )
        again, _ = passing(network, prompt.inputs)
        differs = abs(value - float(asked.quantity(again).detach()[0]))
        if differs > 1e-3 * max(abs(value), 1.0):
            raise ValueError(
                "expected the same answer to the same prompt, got one that differs by "
                f"{differs:.2g}: the network draws at random. Call model.eval() first"
            )
        pairs = zip(sites.all, activations, instead, strict=True)
        return Study(
            patching=patching,
            sites=sites,
            displaced={site: z - other for site, z, other in pairs},
            scores_tokens=asked.scores_tokens,
        )

    def patched(
        self, kind: Kind, estimates: Mapping[Site, Tensor], top: int, seed: int
    ) -> PatchedUnits | None:
        """Replace the first units of a kind, and name them; None if nothing would change."""
        pooled = {site: site.pooled(estimates[site]) for site in self.sites.of_kind(kind)}
        places = [
            Estimated(site, unit, float(values[unit]))
            for site, values in pooled.items()
            for unit in site.pooled(self.displaced[site].abs()).nonzero().flatten().tolist()
        ]
        if not places:
            return None
        trial = tried(self.patching, places, top, seed)
        return PatchedUnits(kind=kind, units=self._named(trial, estimates), **trial.others)

    def _named(self, trial: Trial, estimates: Mapping[Site, Tensor]) -> tuple[PromptUnit, ...]:
        places = [one.site.position(estimates[one.site], one.unit) for one in trial.shown]
        promotes = self._promoted(trial, places)
        return tuple(
            PromptUnit(
                kind=one.site.kind,
                layer=one.site.layer,
                index=one.unit,
                name=self._name(one.site, one.unit),
                estimate=one.estimate,
                effect=effect,
                at=at,
                promotes=tokens,
            )
            for one, effect, at, tokens in zip(
                trial.shown, trial.effects, places, promotes, strict=True
            )
        )

    def _promoted(self, trial: Trial, places: list[int]) -> list[tuple[str, ...]]:
        writing = all(one.site.output is not None for one in trial.shown)
        if not writing or not self.scores_tokens:
            return [()] * len(places)
        network, prompt = self.patching.network, self.patching.prompt
        directions = [
            (at, written(network, one.site, self.displaced[one.site][0, at], one.unit))
            for one, at in zip(trial.shown, places, strict=True)
        ]
        return promoted(network, prompt, self.sites.stream[-1].cut, directions, _PROMOTED)

    def _name(self, site: Site, unit: int) -> str:
        if site.kind == "token":
            return f"token {unit}, {self.patching.prompt.tokens[unit]}"
        return f"{site.kind} {unit} of {site.layer}"
