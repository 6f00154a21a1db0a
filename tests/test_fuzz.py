"""Random questions, those of a seed that is printed; ``benchmarks/accuracy/fuzz.py`` asks more."""

import os
import random
from collections import Counter

import pytest
from fuzz.outcomes import outcome

SEED = int(os.environ.get("FUZZ_SEED", random.SystemRandom().randrange(10**6)))
PARTS, CASES = 6, 50


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")
@pytest.mark.parametrize("part", range(PARTS))
def test_random_questions_are_answered_rightly_or_refused(part: int) -> None:
    counts: Counter[str] = Counter()
    first = SEED + part * CASES
    for seed in range(first, first + CASES):
        kind, words = outcome(seed)
        counts[kind] += 1
        assert not kind.startswith("wrong"), f"FUZZ_SEED={seed}: {kind} ({words})"
    assert counts["right"] > CASES / 3, f"{counts} from FUZZ_SEED={first}"
