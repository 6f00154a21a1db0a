"""Columns become a table of pandas, where it is installed."""

import sys

import pytest
import torch

from captum_influence.data.frames import frame


def test_columns_keep_their_order_and_types() -> None:
    pandas = pytest.importorskip("pandas")
    found = frame({"name": ("a", "b"), "value": torch.tensor([1.5, 2.5]), "n": range(2)})
    assert isinstance(found, pandas.DataFrame)
    assert list(found.columns) == ["name", "value", "n"]
    assert found.to_dict("list") == {"name": ["a", "b"], "value": [1.5, 2.5], "n": [0, 1]}


def test_without_pandas_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="pip install pandas"):
        frame({"a": [1]})
