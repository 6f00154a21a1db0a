"""What the verbs of circuits take by keyword, and that nothing else is taken."""

from typing import Any

import attending
import pytest
import torch

from captum_influence.circuits.find import circuit
from captum_influence.circuits.options import CircuitOptions
from captum_influence.circuits.scored import edges


@pytest.mark.parametrize("verb", [circuit, edges])
def test_other_keywords_are_refused_with_those_there_are(verb: Any) -> None:
    ids = torch.tensor([[3, 1, 4]])
    with pytest.raises(TypeError, match="seeed") as said:
        verb(attending.reader(), (ids, ids + 1), 7, seeed=1)
    assert "seed" in CircuitOptions.__annotations__
    assert verb.__name__ in str(said.value)
