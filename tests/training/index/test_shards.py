"""Files of an index: none that is damaged, or of another build, is taken for a part of it."""

from __future__ import annotations

from pathlib import Path

import influenced
import pytest
import torch
from torch import nn

from captum_influence import InfluenceIndex, LayerInfluence


def _index(path: Path) -> InfluenceIndex:
    model, data, _ = influenced.problem()
    return LayerInfluence(model, data, loss_fn=nn.CrossEntropyLoss(), batch_size=1).index(path)


def _shards(path: Path) -> list[Path]:
    return sorted(path.glob("shard-*"))


def test_a_damaged_shard_is_refused(tmp_path: Path) -> None:
    index = _index(tmp_path)
    queries = influenced.problem()[2]
    last = _shards(tmp_path)[-1]
    content = bytearray(last.read_bytes())
    content[-3] ^= 1
    last.write_bytes(content)
    with pytest.raises(ValueError, match=r"in .*shard-0of1-000001\.safetensors as it was written"):
        index.scores(queries)
    last.write_bytes(content[:-5])
    with pytest.raises(ValueError, match="cut off, damaged"):
        index.scores(queries)
    last.unlink()
    assert _index(tmp_path).scores(queries).shape == (influenced.Q, influenced.N)


def test_a_shard_of_another_build_is_refused(tmp_path: Path) -> None:
    ours, other = _index(tmp_path / "ours"), _index(tmp_path / "other")
    wanted = other.scores(influenced.problem()[2])
    for one, two in zip(_shards(tmp_path / "ours"), _shards(tmp_path / "other"), strict=True):
        one.write_bytes(two.read_bytes())
    with pytest.raises(ValueError, match="of another build"):
        ours.scores(influenced.problem()[2])
    (tmp_path / "ours" / "index.safetensors").unlink()
    again = _index(tmp_path / "ours")  # writes all of them anew
    assert torch.equal(again.scores(influenced.problem()[2]), wanted)


def test_shards_are_mapped_once_they_are_checked(tmp_path: Path) -> None:
    index, queries = _index(tmp_path), influenced.problem()[2]
    assert torch.equal(index.scores(queries), index.scores(queries))
