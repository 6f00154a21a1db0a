"""What units write, and the tokens whose scores that raises, through a network's own last norm."""

import prompted
import pytest
import torch
from prompted import CLEAN, WordTokenizer

from captum_influence.units.prompts.prompt import Prompt
from captum_influence.units.prompts.sites import Sites
from captum_influence.units.prompts.spoken import promoted, written


@pytest.mark.parametrize("kind", ["plain", "GPT-2", "Llama"])
def test_what_units_write_is_their_part_of_the_projection(kind: str) -> None:
    model = prompted.network(kind)
    prompt = Prompt.of(model, WordTokenizer(), CLEAN, None)
    sites = Sites.of(model, prompt.inputs, 11)
    for site in (sites.heads[0], sites.neurons[1]):
        projection = model.get_submodule(str(site.output))
        features = site.axis.shape[1]
        size = features // site.count
        z = torch.randn(features, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        weight = projection.weight if kind == "GPT-2" else projection.weight.T  # (in, out)
        expected = z[size : 2 * size] @ weight[size : 2 * size]
        torch.testing.assert_close(written(model, site, z, 1), expected)


def test_tokens_lose_their_scores_without_it() -> None:
    model = prompted.network("GPT-2")
    prompt = Prompt.of(model, WordTokenizer(), CLEAN, None)
    last = Sites.of(model, prompt.inputs, 11).stream[-1].cut
    stream, _ = prompted.given_to(model, "transformer.ln_f", CLEAN)
    direction = 0.3 * torch.randn(
        16, dtype=torch.float64, generator=torch.Generator().manual_seed(1)
    )
    (found,) = promoted(model, prompt, last, [(4, direction)], 3)

    def scored(x: torch.Tensor) -> torch.Tensor:
        return model.lm_head(model.transformer.ln_f(x))

    gains = scored(stream[0, 4]) - scored(stream[0, 4] - direction)
    best = gains.argsort(descending=True)[:3].tolist()
    assert found == tuple(prompt.text_of(token) for token in best)
    assert promoted(model, prompt, last, [], 3) == []
