"""Heads and neurons of a small language model, ready to be replaced by what another prompt has."""

from __future__ import annotations

import prompted
from prompted import CLEAN, CORRUPTED, WordTokenizer

from captum_influence.attr.next_token import NextToken
from captum_influence.units.prompts.patching import Patching
from captum_influence.units.prompts.prompt import Prompt, passing
from captum_influence.units.prompts.sites import Sites

MODEL = prompted.reader()
PROMPT = Prompt.of(MODEL, WordTokenizer(), CLEAN, CORRUPTED)
SITES = Sites.of(MODEL, PROMPT.inputs, 11)
QUANTITY = (NextToken(2) - NextToken(1)).seeing(PROMPT.named)


def patching(rows: int = 5) -> Patching:
    _, instead = passing(MODEL, PROMPT.other, cuts=[site.cut for site in SITES.all])
    return Patching(
        network=MODEL,
        prompt=PROMPT,
        quantity=QUANTITY,
        value=0.0,
        instead={site.cut: z for site, z in zip(SITES.all, instead, strict=True)},
        rows=rows,
    )
