"""A prompt with its sites: units that say the same in both prompts are left out."""

import prompted
import torch
from prompted import CLEAN, CORRUPTED, WordTokenizer

from captum_influence.attr.run import Run
from captum_influence.explanations.texts.study import Study
from captum_influence.units.prompts.prompt import Prompt, passing
from captum_influence.units.prompts.question import PromptQuestion
from captum_influence.units.prompts.sites import Sites

MODEL = prompted.reader()


def study(against: str | None) -> Study:
    prompt = Prompt.of(MODEL, WordTokenizer(), CLEAN, against)
    sites = Sites.of(MODEL, prompt.inputs, 11)
    output, seen = passing(MODEL, prompt.inputs, cuts=[site.cut for site in sites.all])
    asked = PromptQuestion.of(2, output, prompt, None)
    return Study.of(MODEL, prompt, sites, asked, output, seen, Run())


def test_displacements_are_those_between_the_prompts() -> None:
    found = study(CORRUPTED)
    name = "blocks.1.down"
    own, other = (prompted.given_to(MODEL, name, text)[0] for text in (CLEAN, CORRUPTED))
    torch.testing.assert_close(found.displaced[found.sites.neurons[1]], own - other)
    zero = study(None)
    torch.testing.assert_close(zero.displaced[zero.sites.neurons[1]], own)
    assert zero.patching.value == float(prompted.scores(MODEL, CLEAN)[0, 2].detach())


def test_only_what_differs_is_tried() -> None:
    found = study(CORRUPTED)
    estimates = {site: torch.ones_like(z) for site, z in found.displaced.items()}
    tokens, heads = (found.patched(kind, estimates, 20, 0) for kind in ("token", "head"))
    assert tokens is not None
    assert heads is not None
    assert [unit.index for unit in tokens.units] == [1]
    assert len(heads.units) == heads.count == 8
    same = {site: 0 * z for site, z in found.displaced.items()}
    still = Study(patching=found.patching, sites=found.sites, displaced=same, scores_tokens=True)
    assert still.patched("head", estimates, 3, 0) is None
